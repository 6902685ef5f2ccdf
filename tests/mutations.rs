//! Files of every kind that is read, changed at random: each is read or refused, without a panic and without more
//! memory than a stated limit. `MEXHAT_MUTATE` seconds for each kind (2 without it); the same changes every time.

use image::{DynamicImage, ImageFormat, RgbImage};
use mexhat::data::files::Zip;
use mexhat::data::{LoadOptions, cifar, idx, load, load_files};
use mexhat::models::{ModelOptions, NetworkFile};
use mexhat::rng::Rng;
use mexhat::tape::State;
use mexhat::train::{DataMark, ModelSpec, NetOptions, Options, Progress, Saved, SavedRun, Snapshot};
use safetensors::SafeTensors;
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::io::{Cursor, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What is allocated now, and the most that was.
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator as it came; counting touches no memory of it.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a small file may make the reader allocate. Sixteen million pixels, the most that a small picture may say it
/// has, are 48 MiB decoded, once more while they are turned or scaled, and that in two threads; archives may unpack to
/// 256 MiB.
const MOST_BYTES: usize = 384 << 20;

fn random(rng: &mut Rng, below: usize) -> usize {
    rng.below(below.max(1))
}

/// Changes a file in one to four places.
fn mutate(rng: &mut Rng, seed: &[u8]) -> Vec<u8> {
    const DIGITS: [&str; 8] =
        ["0", "-1", "1e308", "18446744073709551615", "9223372036854775808", "4294967296", "null", "NaN"];
    const BYTES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'[', b'{'];
    let mut out = seed.to_vec();
    for _ in 0..1 + random(rng, 4) {
        let at = random(rng, out.len());
        let to = (at + 1 + random(rng, 64)).min(out.len());
        match random(rng, 9) {
            0 if !out.is_empty() => out[at] ^= 1 << random(rng, 8),
            1 if !out.is_empty() => out[at] = BYTES[random(rng, BYTES.len())],
            2 => out.truncate(at),
            3 => drop(out.drain(at..to)),
            4 => {
                let part = out[at.min(to)..to].to_vec();
                out.splice(at..at, part);
            }
            5 => {
                let wide = [u32::MAX, 0, 1, 1 << 31, 1 << 24][random(rng, 5)];
                let bytes = if rng.next_u32() & 1 == 0 { wide.to_be_bytes() } else { wide.to_le_bytes() };
                out.splice(at..(at + 4).min(out.len()), bytes);
            }
            6 => {
                // A number of a text becomes another one.
                let from = out[at..].iter().position(u8::is_ascii_digit).map(|i| at + i);
                if let Some(from) = from {
                    let end = out[from..].iter().position(|b| !b.is_ascii_digit()).map_or(out.len(), |i| from + i);
                    out.splice(from..end, DIGITS[random(rng, DIGITS.len())].bytes());
                }
            }
            7 => {
                let (a, b) = (random(rng, out.len()), random(rng, out.len()));
                if !out.is_empty() {
                    out.swap(a, b);
                }
            }
            _ => out.extend((0..random(rng, 32)).map(|_| rng.next_u32() as u8).collect::<Vec<_>>()),
        }
    }
    out
}

/// Whether a changed file was read.
type Reader<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// Reads changes of `seeds` for a while; what it tells.
fn try_all(kind: &str, seeds: &[Vec<u8>], read: Reader<'_>) -> String {
    let seconds = std::env::var("MEXHAT_MUTATE").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let (begun, mut rng) = (Instant::now(), Rng::new(seeds.len() as u64));
    let (mut tried, mut taken, mut most) = (0u64, 0u64, 0);
    for seed in seeds {
        assert!(read(seed), "{kind}: an unchanged file was refused");
    }
    while begun.elapsed() < Duration::from_secs(seconds) {
        let seed = &seeds[random(&mut rng, seeds.len())];
        let file = mutate(&mut rng, seed);
        let before = NOW.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(|| read(&file)));
        let used = MOST.load(Ordering::Relaxed).saturating_sub(before);
        if outcome.is_err() || used > MOST_BYTES {
            let place = std::env::temp_dir().join(format!("mexhat-{kind}-{tried}.bin"));
            std::fs::write(&place, &file).ok();
            panic!("{kind}: change {tried} ({} bytes, {}) took {used} bytes or panicked", file.len(), place.display());
        }
        tried += 1;
        taken += u64::from(matches!(outcome, Ok(true)));
        most = most.max(used);
    }
    format!(
        "{kind}: {tried} changed files, {taken} read, {} refused, at most {} KiB allocated",
        tried - taken,
        most >> 10
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(bytes).and_then(|()| to.finish()).expect("memory")
}

fn picture(format: ImageFormat) -> Vec<u8> {
    let pixels = RgbImage::from_fn(9, 7, |x, y| image::Rgb([x as u8 * 20, y as u8 * 30, 99]));
    let mut out = Cursor::new(Vec::new());
    DynamicImage::from(pixels).write_to(&mut out, format).expect("memory");
    out.into_inner()
}

fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut to = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, bytes) in entries {
        to.start_file(*name, options).and_then(|()| Ok(to.write_all(bytes)?)).expect("memory");
    }
    to.finish().expect("memory").into_inner()
}

fn tar_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut to = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        to.append_data(&mut header, name, *bytes).expect("memory");
    }
    to.into_inner().expect("memory")
}

/// A batch of one image as Python 2 and NumPy pickled CIFAR, protocol 2.
fn pickle() -> Vec<u8> {
    let text = |s: &str| [&[b'U', s.len() as u8][..], s.as_bytes()].concat();
    let parts: [&[u8]; 13] = [
        b"\x80\x02}q\x01(",
        &text("labels"),
        b"]q\x02(K\x03e",
        &text("data"),
        b"cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85",
        &text("b"),
        b"\x87Rq\x05(K\x01K\x01J\x00\x0c\x00\x00\x86cnumpy\ndtype\n",
        &text("u1"),
        b"K\x00K\x01\x87R(K\x03",
        &text("|"),
        b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\x00\x00",
        &[7; 3072],
        b"tbu.",
    ];
    parts.concat()
}

fn idx_of(dims: &[u32]) -> Vec<u8> {
    let mut out = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|d| out.extend(d.to_be_bytes()));
    out.extend((0..dims.iter().product::<u32>()).map(|i| i as u8 % 10));
    out
}

fn files_of(bytes: &[u8]) -> bool {
    Zip::new("a.zip", Cursor::new(bytes)).and_then(|zip| load_files(&zip, "a.zip", &LoadOptions::default())).is_ok()
}

/// A saved network and a checkpoint of it.
fn saved() -> Snapshot {
    let net = NetOptions { model: "linear".into(), ..Default::default() };
    let options = Options { net, ..Default::default() };
    let few = LoadOptions { limit_train: Some(4), limit_test: Some(4), ..Default::default() };
    let splits = load("glyphs", &few).expect("drawn");
    let spec = ModelSpec::new(&options, &splits);
    let mut state = State::new();
    spec.build(3, &mut state).expect("a network");
    let parameters = state.parameters();
    parameters.into_iter().for_each(|parameter| _ = state.moment("momentum", parameter));
    let progress = Progress { step: 7, epoch: 1, batch: 2, epochs: 3, ..Default::default() };
    let data = DataMark::of(&splits.train, None, &splits.test);
    Snapshot::new(&state, &spec, &SavedRun { options, progress, data }).expect("a snapshot")
}

fn read_saved(bytes: &[u8]) -> bool {
    let path = Path::new("x.safetensors");
    let read = Saved::read(path, bytes).and_then(|saved| {
        let mut state = saved.state();
        saved.spec.build(0, &mut state)?;
        saved.restore(&mut state)
    });
    read.is_ok()
}

/// With the checksum that belongs to a changed file: what the checksum would catch first must hold without it.
fn reseal(bytes: &[u8]) -> Option<Vec<u8>> {
    let tensors = SafeTensors::deserialize(bytes).ok()?;
    let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
    let text = header.metadata().as_ref()?.get("mexhat")?;
    let sum = mexhat::train::checksum(text, tensors.iter()).ok()?;
    let mut metadata: serde_json::Value = serde_json::from_str(text).ok()?;
    metadata.as_object_mut()?.insert("checksum".into(), sum.into());
    let metadata = HashMap::from([("mexhat".to_owned(), metadata.to_string())]);
    safetensors::serialize(tensors.iter(), Some(metadata)).ok()
}

#[test]
fn changed_files_are_read_or_refused() {
    let png = picture(ImageFormat::Png);
    let classes: [(&str, &[u8]); 4] =
        [("train/a/1.png", &png), ("train/b/2.png", &png), ("test/a/3.png", &png), ("test/b/4.png", &png)];
    let mut lines = Vec::new();
    let idx = |bytes: &[u8]| idx::parse("a", bytes, 3).is_ok() || idx::parse("a", bytes, 1).is_ok();
    lines.push(try_all("IDX", &[idx_of(&[3, 4, 5]), idx_of(&[20])], &mut |bytes| idx(bytes)));
    lines.push(try_all("gzip", &[gzip(&idx_of(&[3, 4, 5])), gzip(&idx_of(&[20]))], &mut |bytes| idx(bytes)));
    let record: Vec<u8> = (0..2 * 3073).map(|i| if i % 3073 == 0 { 4 } else { i as u8 }).collect();
    lines.push(try_all("CIFAR", &[record], &mut |bytes| {
        cifar::parse("a", bytes, cifar::Kind::Cifar10, 100, &mut Vec::new(), &mut Vec::new()).is_ok()
    }));
    lines.push(try_all("pickle", &[pickle()], &mut |bytes| {
        cifar::parse_python("a", bytes, cifar::Kind::Cifar10, 100, &mut Vec::new(), &mut Vec::new()).is_ok()
    }));
    lines.push(try_all("zip", &[zip_of(&classes)], &mut files_of));
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("set.tar");
    lines.push(try_all("tar", &[tar_of(&classes), gzip(&tar_of(&classes))], &mut |bytes| {
        std::fs::write(&file, bytes).expect("a disk");
        load(file.to_str().expect("a name"), &LoadOptions::default()).is_ok()
    }));
    let formats =
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Gif];
    lines.push(try_all("pictures", &formats.map(picture), &mut |bytes| {
        // Changed inside of an archive that is whole.
        files_of(&zip_of(&[("train/a/1.png", bytes), classes[1], classes[2], classes[3]]))
    }));
    let folder = dir.path().join("folder");
    for (name, bytes) in classes {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder"))
            .and_then(|()| std::fs::write(path, bytes))
            .expect("a disk");
    }
    lines.push(try_all("folders", std::slice::from_ref(&png), &mut |bytes| {
        std::fs::write(folder.join(classes[0].0), bytes).expect("a disk");
        load(folder.to_str().expect("a name"), &LoadOptions::default()).is_ok()
    }));
    let Snapshot { model, checkpoint, .. } = saved();
    lines.push(try_all("safetensors", std::slice::from_ref(&model), &mut read_saved));
    lines.push(try_all("checkpoints", std::slice::from_ref(&checkpoint), &mut read_saved));
    lines.push(try_all("resealed", &[model, checkpoint], &mut |bytes| {
        reseal(bytes).is_some_and(|bytes| read_saved(&bytes))
    }));
    let options = serde_json::to_vec_pretty(&Options::default()).expect("JSON");
    lines.push(try_all("options.json", &[options], &mut |bytes| {
        serde_json::from_slice::<Options>(bytes).is_ok_and(|options| options.validate().is_ok())
    }));
    let networks = ["residual", "branches"].map(|name| {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/networks/{name}.toml")))
            .expect("a network")
    });
    lines.push(try_all("TOML", &networks, &mut |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let file = NetworkFile::parse("net.toml", text);
        file.and_then(|file| {
            file.network(&ModelOptions { input: file.input().unwrap_or([3, 32, 32]), ..Default::default() })
        })
        .and_then(|network| network.build(&mut State::within(1 << 22)))
        .is_ok()
    }));
    println!("{}", lines.join("\n"));
}
