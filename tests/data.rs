//! What comes in: every decision that is taken about a data set is the right one, is said, or is refused by name.

use image::{DynamicImage, GrayImage, ImageFormat, Luma, LumaA, Rgb, RgbImage, RgbaImage};
use mexhat::data::{self, Augment, LoadOptions, Normalize, Preparation, Reading, Splits, load, load_test};
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A data set under construction.
struct Set(TempDir);

impl Set {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    /// `n` grey 4x4 pictures of value `v` in `folder`.
    fn pictures(&self, folder: &str, n: usize, v: u8) -> &Self {
        (0..n).for_each(|i| _ = self.put(&format!("{folder}/{i}.png"), &grey(4, 4, v)));
        self
    }

    fn load_with(&self, options: &LoadOptions) -> Result<Splits, String> {
        load(self.0.path().to_str().unwrap(), options).map_err(|e| e.to_string())
    }

    fn load(&self) -> Splits {
        self.load_with(&LoadOptions::default()).unwrap()
    }

    fn refused(&self, prepare: Preparation, wanted: &[&str]) {
        let text = self.load_with(&LoadOptions { prepare, ..Default::default() }).unwrap_err();
        wanted.iter().for_each(|wanted| assert!(text.contains(wanted), "'{wanted}' is missing in: {text}"));
    }
}

fn encode(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn grey(width: u32, height: u32, v: u8) -> Vec<u8> {
    encode(GrayImage::from_pixel(width, height, Luma([v])), ImageFormat::Png)
}

fn prepare(text: &str) -> LoadOptions {
    LoadOptions { prepare: serde_json::from_str(text).unwrap(), ..Default::default() }
}

fn reading(reading: Reading) -> Preparation {
    Preparation { reading, ..Default::default() }
}

fn said(splits: &Splits, wanted: &str) {
    let lines = splits.report.lines().join("\n");
    assert!(lines.contains(wanted), "'{wanted}' is missing in:\n{lines}");
}

#[test]
fn augmentation_and_normalisation_are_never_guessed() {
    let set = Set::new();
    for folder in ["old-fashioned-photos/train/a", "old-fashioned-photos/test/a", "old-fashioned-photos/train/b"] {
        let colour = RgbImage::from_fn(32, 32, |x, y| Rgb([x as u8, y as u8, folder.len() as u8]));
        set.put(&format!("{folder}/0.png"), &encode(colour, ImageFormat::Png));
    }
    let path = set.path("old-fashioned-photos");
    let path = path.to_str().unwrap();
    let splits = load(path, &LoadOptions::default()).unwrap();
    assert_eq!((splits.augment, &splits.normalize), (Augment::NONE, &Normalize::of(&splits.train)));
    said(&splits, "augmentation: none");
    said(&splits, "of the training images");
    let splits = load(path, &prepare(r#"{"augment":"flip,crop","normalize":"cifar10"}"#)).unwrap();
    assert_eq!((splits.augment, &splits.normalize), (Augment::CIFAR, &Normalize::cifar10()));
    said(&splits, "flip, crop (window moved by up to 4 pixels), as `augment` says");
    let text = load(path, &prepare(r#"{"normalize":"mnist"}"#)).unwrap_err().to_string();
    assert!(text.contains("`normalize` mnist is for 1 channel,"), "{text}");
}

#[test]
fn idx_sets_are_never_mixed() {
    let set = Set::new();
    let idx = |v: u8, labels: &[u8]| {
        let images = data::idx::encode(&[labels.len(), 2, 2], &vec![v; 4 * labels.len()]);
        (images, data::idx::encode(&[labels.len()], labels))
    };
    let fill = |folder: &str, prefix: &str, v: u8, labels: &[u8]| {
        let (images, tags) = idx(v, labels);
        for split in ["train", "t10k"] {
            set.put(&format!("{folder}/{prefix}{split}-images-idx3-ubyte"), &images);
            set.put(&format!("{folder}/{prefix}{split}-labels-idx1-ubyte"), &tags);
        }
    };
    let nope = || reading(Reading { set: Some("nope".into()), ..Default::default() });
    let one = Set::new();
    let (images, tags) = idx(1, &[0, 1]);
    for split in ["train", "t10k"] {
        one.put(&format!("{split}-images-idx3-ubyte"), &images).put(&format!("{split}-labels-idx1-ubyte"), &tags);
    }
    assert_eq!(one.load().train.len(), 2);
    one.refused(nope(), &["there is no set 'nope'", "has no name", "leave out `set`"]);
    fill("mnist/raw", "", 1, &[0, 1]);
    assert_eq!(set.load().train.images[0], 1);
    set.refused(nope(), &["no one set 'nope'", "expected `set` 'mnist/raw'"]);
    // The same images gzipped, one of them unpacked by hand: what lies in one folder stays together.
    fill("fashion/raw", "", 2, &[1, 0]);
    set.refused(Preparation::default(), &["2 IDX sets: 'fashion/raw', 'mnist/raw'", "`set`"]);
    fs::remove_file(set.path("fashion/raw/train-labels-idx1-ubyte")).unwrap();
    let splits = set.load();
    assert_eq!((splits.train.images[0], splits.train.labels[0]), (1, 0));
    said(&splits, "IDX set 'mnist/raw' is used, not 'fashion/raw'");

    fs::remove_dir_all(set.path("mnist")).unwrap();
    fs::remove_dir_all(set.path("fashion")).unwrap();
    fill("gzip", "emnist-letters-", 3, &[1, 2]);
    fill("gzip", "emnist-digits-", 4, &[0, 1]);
    set.refused(Preparation::default(), &["'gzip/emnist-digits', 'gzip/emnist-letters'"]);
    let letters = set.load_with(&prepare(r#"{"set":"emnist-letters"}"#)).unwrap();
    assert_eq!((letters.train.images[0], letters.train.classes()), (3, 3));
    said(&letters, "no training image of class '0'");
    set.refused(reading(Reading { set: Some("emnist".into()), ..Default::default() }), &["no one set 'emnist'"]);
}

/// A JPEG with an EXIF orientation.
fn oriented(picture: RgbImage, orientation: u8) -> Vec<u8> {
    let jpeg = encode(picture, ImageFormat::Jpeg);
    let tiff =
        [b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0]].concat();
    let body = [b"Exif\0\0".as_slice(), &tiff].concat();
    let length = (body.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &body, &jpeg[2..]].concat()
}

#[test]
fn pictures_are_seen_as_a_viewer_shows_them() {
    let set = Set::new();
    let seen = RgbImage::from_fn(8, 16, |_, y| if y < 8 { Rgb([240; 3]) } else { Rgb([10; 3]) });
    let stored = image::imageops::rotate270(&seen);
    for class in ["a", "b"] {
        set.put(&format!("train/{class}/0.jpg"), &encode(seen.clone(), ImageFormat::Jpeg));
        set.put(&format!("test/{class}/0.jpg"), &oriented(stored.clone(), 6));
    }
    let splits = set.load();
    assert_eq!((splits.train.shape, splits.test.shape), ([3, 16, 8], [3, 16, 8]));
    let far = splits.train.image(0).iter().zip(splits.test.image(0)).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(far < Some(12), "{far:?}");
    said(&splits, "2 pictures turned as the EXIF orientation says");
}

#[test]
fn transparency_lies_over_white_or_what_is_asked_for() {
    let set = Set::new();
    for folder in ["train/a", "train/b", "test/a"] {
        let ink = RgbaImage::from_fn(2, 1, |x, _| [0, 0, 0, if x == 0 { 255 } else { 0 }].into());
        set.put(&format!("{folder}/0.png"), &encode(ink, ImageFormat::Png));
    }
    let splits = set.load();
    assert_eq!(splits.train.image(0), [0, 255, 0, 255, 0, 255]);
    said(&splits, "3 transparent pictures laid over white");
    let black = set.load_with(&prepare(r##"{"background":"#102030"}"##)).unwrap();
    assert_eq!(black.train.image(0), [0, 16, 0, 32, 0, 48]);
    // Grey with alpha stays grey.
    let set = Set::new();
    for folder in ["train/a", "train/b", "test/a"] {
        let half = image::GrayAlphaImage::from_pixel(1, 1, LumaA([0, 128]));
        set.put(&format!("{folder}/0.png"), &encode(half, ImageFormat::Png));
    }
    assert_eq!((set.load().train.shape, &set.load().train.images[..]), ([1, 1, 1], &[127, 127][..]));
}

#[test]
fn every_picture_counts_or_is_named() {
    let set = Set::new();
    let colour = RgbImage::from_pixel(4, 4, Rgb([200, 0, 0]));
    for split in ["train", "test"] {
        set.pictures(&format!("{split}/good"), 2, 9);
        for (class, ending, format) in [
            ("scratched", "bmp", ImageFormat::Bmp),
            ("dented", "tif", ImageFormat::Tiff),
            ("bent", "gif", ImageFormat::Gif),
        ] {
            set.put(&format!("{split}/{class}/0.{ending}"), &encode(colour.clone(), format));
        }
        set.put(&format!("{split}/good/Thumbs.db"), b"x");
    }
    let splits = set.load();
    assert_eq!(splits.train.class_names, ["bent", "dented", "good", "scratched"]);
    said(&splits, "4 classes: bent 1+1, dented 1+1, good 2+2, scratched 1+1");
    said(&splits, "skipped 2 files: test/good/Thumbs.db (no picture that is read), train/good/Thumbs.db");
    set.put("train/rusty/0.heic", b"x");
    set.refused(Preparation::default(), &["the class 'rusty' of the train split has files but no picture"]);
}

#[test]
fn damaged_pictures_are_all_listed_or_skipped() {
    let set = Set::new();
    set.pictures("train/a", 20, 1).pictures("train/b", 20, 2).pictures("test/a", 2, 1).pictures("test/b", 2, 2);
    let scene = RgbImage::from_fn(4, 4, |x, y| Rgb([x as u8 * 60, y as u8 * 60, 7]));
    let jpeg = encode(scene, ImageFormat::Jpeg);
    for i in 0..12 {
        set.put(&format!("train/a/{i}.png"), &jpeg[..jpeg.len() - 20]);
    }
    set.refused(
        Preparation::default(),
        &["12 of 44 pictures cannot be read", "`skip_bad`", "train/a/0.png", "cut short", "and 2 more"],
    );
    let splits = set.load_with(&prepare(r#"{"skip_bad":true}"#)).unwrap();
    assert_eq!((splits.train.counts(), splits.train.len()), (vec![8, 20], 28));
    assert_eq!(
        splits.train.labels.iter().zip(0..).filter(|(l, i)| (**l == 0) != (splits.train.image(*i)[0] == 1)).count(),
        0
    );
    said(&splits, "skipped 12 files");
    (0..20).for_each(|i| _ = set.put(&format!("train/a/{i}.png"), b"no"));
    set.refused(
        reading(Reading { skip_bad: true, ..Default::default() }),
        &["no picture of the class 'a' can be read"],
    );
}

#[test]
fn sizes_differ_only_on_request() {
    let set = Set::new();
    set.pictures("train/a", 2, 50).pictures("train/b", 2, 60).pictures("test/a", 1, 70);
    set.put("test/b/wide.png", &grey(8, 2, 80));
    set.refused(
        Preparation::default(),
        &["wide.png: expected 4 x 4 pixels (height x width), as 5 of 6", "found 2 x 8", "1 of 6 differ", "`size` 4,4"],
    );
    let splits = set.load_with(&prepare(r#"{"size":"2,3"}"#)).unwrap();
    assert_eq!((splits.train.shape, splits.test.image(1)), ([1, 2, 3], &[80; 6][..]));
    said(&splits, "6 pictures stretched to 2 x 3 (triangle filter)");
    set.refused(reading(Reading { set: Some("nope".into()), ..Default::default() }), &["there is no set 'nope'"]);
    // The first picture alone is odd, not all others.
    set.put("test/b/wide.png", &grey(4, 4, 80)).put("train/a/0.png", &grey(5, 3, 50));
    set.refused(
        Preparation::default(),
        &["train/a/0.png: expected 4 x 4", "found 3 x 5", "1 of 6 differ", "`size` 4,4"],
    );
    let digits =
        load("glyphs", &LoadOptions { limit_train: Some(20), limit_test: Some(5), ..prepare(r#"{"size":"14"}"#) });
    assert_eq!(digits.unwrap().train.shape, [1, 14, 14]);
}

#[test]
fn splits_are_what_their_folders_say() {
    let set = Set::new();
    for (split, n) in [("Train", 6), ("VAL", 3), ("Test", 2)] {
        set.pictures(&format!("{split}/a"), n, 1).pictures(&format!("{split}/b"), n, 2);
    }
    let splits = set.load();
    assert_eq!((splits.train.len(), splits.validation.as_ref().map(|v| v.len()), splits.test.len()), (12, Some(6), 4));
    said(&splits, "split: 12 training, 6 validation, 4 test images");
    said(&splits, "validation images judge the network during training, test images at its end");
    set.refused(reading(Reading { split: Some(0.5), ..Default::default() }), &["has a test folder"]);
    fs::remove_dir_all(set.path("Test")).unwrap();
    let splits = set.load();
    assert_eq!((splits.train.len(), splits.validation, splits.test.len()), (12, None, 6));
    said(&set.load(), "validation/, which stands in for the test folder that is not there");
    fs::remove_dir_all(set.path("VAL")).unwrap();
    set.refused(Preparation::default(), &["no test folder", "`split` 0.1"]);
    let half = |seed| set.load_with(&LoadOptions { seed, ..prepare(r#"{"split":0.5}"#) }).unwrap();
    assert_eq!((half(0).train.counts(), half(0).test.counts()), (vec![3, 3], vec![3, 3]));
    assert_eq!(half(3).train.checksum(), half(3).train.checksum());
    said(&half(3), "50 % of each class held back for testing, seed 3");
}

#[test]
fn class_folders_alone_need_a_split_and_two_classes() {
    let set = Set::new();
    set.pictures("pets/cat", 10, 1).pictures("pets/dog", 20, 2).put("pets/readme.txt", b"hi");
    set.refused(Preparation::default(), &["'cat', 'dog'", "`split` 0.1"]);
    let splits = set.load_with(&prepare(r#"{"split":0.1}"#)).unwrap();
    assert_eq!((splits.train.counts(), splits.test.counts()), (vec![9, 18], vec![1, 2]));
    said(&splits, "skipped 1 file: pets/readme.txt");
    // A trained network can be asked about all of them.
    let (test, report) = load_test(set.0.path().to_str().unwrap(), &LoadOptions::default()).unwrap();
    assert_eq!((test.len(), report.images), (30, [0, 0, 30]));

    let one = Set::new();
    one.pictures("train/cat", 3, 1).pictures("test/cat", 3, 1);
    one.refused(Preparation::default(), &["the one class 'cat'"]);
    let twice = Set::new();
    twice.pictures("x/train/a", 1, 1).pictures("x/test/a", 1, 1).pictures("y/train/b", 1, 1);
    twice.refused(Preparation::default(), &["several places: 'x', 'y'"]);
}

#[test]
fn names_are_equal_however_unicode_spells_them() {
    let set = Set::new();
    set.pictures("train/caf\u{e9}", 2, 1).pictures("train/tea", 2, 2).pictures("test/cafe\u{301}", 1, 1);
    let splits = set.load();
    assert_eq!(
        (splits.train.class_names.as_slice(), splits.test.labels.as_slice()),
        (&["caf\u{e9}".into(), "tea".into()][..], &[0][..])
    );
    set.pictures("test/Tea", 1, 2);
    set.refused(Preparation::default(), &["class 'Tea'", "is it 'tea'"]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn tar_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut to = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        to.append_data(&mut header, name, *bytes).unwrap();
    }
    to.into_inner().unwrap()
}

#[test]
fn cifar_is_read_from_its_published_archives() {
    let record = |label: u8, v: u8| [&[label][..], &[v; 3072]].concat();
    let meta = (0..10).map(|i| format!("kind{i}\n")).collect::<String>();
    let mut entries: Vec<(String, Vec<u8>)> =
        (1..6).map(|i| (format!("cifar-10-batches-bin/data_batch_{i}.bin"), record(i, i))).collect();
    entries.push(("cifar-10-batches-bin/test_batch.bin".into(), record(9, 9)));
    entries.push(("cifar-10-batches-bin/batches.meta.txt".into(), meta.into_bytes()));
    let entries: Vec<(&str, &[u8])> = entries.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
    let set = Set::new();
    let archive = gzip(&tar_of(&entries));
    set.put("cifar-10-binary.tar.gz", &archive);
    for path in [set.path("cifar-10-binary.tar.gz"), set.0.path().to_owned()] {
        let splits = load(path.to_str().unwrap(), &LoadOptions::default()).unwrap();
        assert_eq!((splits.train.labels.as_slice(), splits.test.labels.as_slice()), (&[1, 2, 3, 4, 5][..], &[9][..]));
        assert_eq!((splits.train.class_names[9].as_str(), splits.train.image(4)[3071]), ("kind9", 5));
        said(&splits, "CIFAR-10 (binary version)");
    }
    set.put("cifar-10-binary.tar.gz", &archive[..archive.len() / 2]);
    set.refused(Preparation::default(), &["cifar-10-binary.tar.gz: expected a whole tar archive"]);
}

#[test]
fn a_leftover_zip_beside_its_folders_is_left_alone() {
    let set = Set::new();
    set.pictures("train/a", 2, 1).pictures("train/b", 2, 2).pictures("test/a", 1, 1).put("train.zip", b"half a zip");
    let splits = set.load();
    assert_eq!(splits.train.len(), 4);
    said(&splits, "skipped 1 file: train.zip");
}

#[test]
fn archives_that_unpack_to_gigabytes_are_refused() {
    // 1 GiB of zeros in 1 MB.
    let zeros = |of: &mut dyn Write| (0..1024).for_each(|_| of.write_all(&vec![0; 1 << 20]).unwrap());
    let set = Set::new();
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("train-images-idx3-ubyte", zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(&[0, 0, 8, 3, 0, 16, 0, 0, 0, 0, 0, 32, 0, 0, 0, 32]).unwrap();
    zeros(&mut zip);
    for name in ["train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    }
    let small = zip.finish().unwrap().into_inner();
    assert!(small.len() < 2 << 20, "{}", small.len());
    set.put("bomb.zip", &small);
    set.refused(Preparation::default(), &["bomb.zip", "more than 256 MiB and 50 times its size"]);

    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(&[0, 0, 8, 3, 0, 16, 0, 0, 0, 0, 0, 32, 0, 0, 0, 32]).unwrap();
    zeros(&mut to);
    let small = to.finish().unwrap();
    let set = Set::new();
    for name in
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
    {
        set.put(&format!("{name}.gz"), &small);
    }
    set.refused(Preparation::default(), &["train-images-idx3-ubyte.gz", "a file of its size may hold"]);
    fs::remove_dir_all(set.0.path()).unwrap();
    fs::create_dir(set.0.path()).unwrap();
    set.put("bomb.tar.gz", &small);
    set.refused(Preparation::default(), &["bomb.tar.gz"]);
}

#[test]
fn pictures_that_claim_gigabytes_are_refused() {
    // 121 million pixels in a file of a few kilobytes.
    let huge = GrayImage::new(11_000, 11_000);
    let set = Set::new();
    set.pictures("train/a", 2, 1).pictures("train/b", 2, 2).pictures("test/a", 1, 1);
    set.put("train/a/0.png", &encode(huge, ImageFormat::Png));
    set.refused(Preparation::default(), &["11000 x 11000 pixels", "scale it down"]);
}

#[cfg(unix)]
#[test]
fn pipes_devices_and_links_upwards_are_left_out() {
    use std::os::unix::fs::symlink;
    let set = Set::new();
    set.pictures("train/a", 2, 1).pictures("train/b", 2, 2).pictures("elsewhere/a", 1, 1);
    let made = std::process::Command::new("mkfifo").arg(set.path("train/a/pipe.png")).status().unwrap();
    assert!(made.success());
    for (target, link) in [
        (Path::new("/"), "train/root"),
        (Path::new("/dev/zero"), "train/a/zero.png"),
        (Path::new(".."), "train/a/up"),
        (Path::new("nowhere"), "train/b/gone.png"),
        (Path::new("elsewhere"), "test"),
    ] {
        symlink(target, set.path(link)).unwrap();
    }
    fs::create_dir(set.path("train/empty")).unwrap();
    // What lies beside the split folders is another name of the same.
    let splits = set.load();
    assert_eq!((splits.train.len(), splits.test.len(), splits.train.classes()), (4, 1, 2));
    for wanted in [
        "train/a/pipe.png (a pipe or a device)",
        "train/a/zero.png (a pipe or a device)",
        "train/root (a link to a folder that it lies in)",
        "train/a/up (a link to a folder that it lies in)",
        "train/b/gone.png (a link that leads nowhere)",
        "train/empty/ (an empty folder)",
    ] {
        said(&splits, wanted);
    }
    let text = load(set.path("train/a/pipe.png").to_str().unwrap(), &LoadOptions::default()).unwrap_err().to_string();
    assert!(text.contains("neither a folder nor a file"), "{text}");
}
