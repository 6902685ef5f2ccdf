//! What a run cannot do is refused before it begins, with a cure that works.

#[path = "common/skip.rs"]
mod skip;

use mexhat::data::{Augment, Dataset, Normalize, Splits};
use mexhat::gpu::Gpu;
use mexhat::models::{self, ModelOptions, Norm};
use mexhat::nn::{Conv, Network};
use mexhat::ops::BlockMode;
use mexhat::tape::State;
use mexhat::train::{Event, NetOptions, Options, Split, Trainer};
use mexhat::{Error, Result};
use skip::skipped;

fn gpu() -> Gpu {
    Gpu::open(std::env::var("MEXHAT_DEVICE").ok().as_deref()).expect("an adapter")
}

/// `images` of two classes, black on the left or on the right; the rest is noise.
fn halves(images: usize, shape: [usize; 3]) -> Dataset {
    let [channels, height, width] = shape;
    let labels: Vec<u32> = (0..images as u32).map(|i| i % 2).collect();
    let value = |at: usize| {
        let (image, x) = (at / (channels * height * width), at % width);
        let dark = (x < width / 2) == (image % 2 == 0);
        if dark { 0 } else { 128 + (at * 7919 % 127) as u8 }
    };
    let pixels = (0..images * channels * height * width).map(value).collect();
    Dataset::new("halves", 2, shape, pixels, labels).unwrap()
}

fn splits(train: Dataset, test: Dataset) -> Splits {
    let normalize = Normalize::of(&train);
    Splits::new(train, test, normalize, Augment::NONE)
}

fn options(model: &str, norm: Norm) -> Options {
    Options { net: NetOptions { model: model.into(), norm, ..Default::default() }, ..Default::default() }
}

fn refused(outcome: Result<Trainer>) -> String {
    outcome.err().map(|e| e.to_string()).expect("a refusal")
}

/// The number behind `field` in backticks.
fn advised(text: &str, field: &str) -> Option<usize> {
    let rest = text.split_once(&format!("`{field}` "))?.1;
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

#[test]
fn advice_for_what_is_too_large_has_been_tried() {
    let gpu = gpu();
    // With a D for each block, 512 values of it for each feature: 2 KiB, in each of three channels.
    let side = (gpu.largest_buffer() as f64 / 6144.0).sqrt() as usize + 1;
    if side > 700 {
        return skipped(&format!("this adapter takes buffers of {} bytes", gpu.largest_buffer()));
    }
    let shape = [3, side.next_multiple_of(16), side.next_multiple_of(16)];
    let data = || splits(halves(8, shape), halves(4, shape));
    let mut options = Options { batch_size: Some(4), ..options("linear", Norm::Deconv) };
    options.net.mode = BlockMode::Paper;
    let error = refused(Trainer::new(&gpu, &options, data()));
    let block_fc = advised(&error, "block_fc").unwrap_or_else(|| panic!("no block_fc in: {error}"));
    // No batch is small enough, because D does not depend on it.
    assert!(block_fc < 512 && advised(&error, "batch_size").is_none() && error.contains(" more; "), "{error}");
    let cured = Options { net: NetOptions { block_fc, ..options.net.clone() }, ..options };
    Trainer::new(&gpu, &cured, data()).map(|_| ()).unwrap();
}

#[test]
fn a_deconvolution_whose_kernel_is_too_large_is_named() {
    let gpu = gpu();
    // D has as many rows as a kernel has taps.
    let kernel = (gpu.largest_buffer() as f64 / 4.0).powf(0.25) as usize + 1;
    let mut net = Network::new([1, 8, 8]);
    net.conv(Conv::new(1, kernel)).global_avg_pool().flatten().linear(2);
    let mut options = options("linear", Norm::Deconv);
    options.network = Some(net);
    let taps = kernel * kernel;
    let wanted = format!("layer 'conv1' has a D of {taps} x {taps}, 1 channel in a block x {kernel} x {kernel} taps");
    let error = refused(Trainer::new(&gpu, &options, splits(halves(8, [1, 8, 8]), halves(4, [1, 8, 8]))));
    assert!(error.contains(&wanted) && error.contains("give it a smaller kernel or norm batch"), "{error}");
    assert!(error.contains("batch size and sampling stride do not change D"), "{error}");
}

#[test]
fn memory_that_is_not_there_is_not_taken() {
    let gpu = gpu();
    let Some(room) = gpu.room() else {
        return skipped("this adapter does not tell its memory");
    };
    gpu.check_room(1 << 20).unwrap();
    let error = gpu.check_room(room + (64 << 30)).unwrap_err();
    assert!(matches!(&error, Error::Memory { need, .. } if *need == room + (64 << 30)), "{error}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn the_least_size_of_images_is_named_and_is_enough() {
    let (gpu, shape) = (gpu(), [3, 8, 8]);
    let error = refused(Trainer::new(&gpu, &options("vgg11", Norm::None), splits(halves(8, shape), halves(4, shape))));
    assert!(error.contains("8 x 8") && error.contains("at least 32 x 32") && error.contains("`size` 32,32"), "{error}");
    let builds = |side| {
        let options = ModelOptions { norm: Norm::None, input: [3, side, side], classes: 2, ..Default::default() };
        models::build("vgg11", &options, &mut State::new()).is_ok()
    };
    assert!(builds(32) && !builds(31));
}

#[test]
fn the_nearest_width_that_fits_is_named() {
    let (gpu, shape) = (gpu(), [3, 32, 32]);
    let mut options = options("pnasnet-a", Norm::None);
    options.net.width = 0.3;
    let error = refused(Trainer::new(&gpu, &options, splits(halves(8, shape), halves(4, shape))));
    for words in ["groups", "`width` 0.3", "0.25 is the nearest"] {
        assert!(error.contains(words), "no '{words}' in {error}");
    }
    let summarized = mexhat::train::summarize(&gpu, &options, &splits(halves(8, shape), halves(4, shape)));
    assert!(summarized.unwrap_err().to_string().contains("0.25 is the nearest"));
}

#[test]
fn images_of_one_value_have_no_covariance() {
    let gpu = gpu();
    let flat = |dark: usize, images: usize| {
        let mut data = halves(images, [1, 8, 8]);
        let mut images = data.images.to_vec();
        images.chunks_mut(64).take(dark).enumerate().for_each(|(i, image)| image.fill(i as u8 * 20));
        data.images = images.into();
        data
    };
    let run = |dark, norm| {
        let options = Options { batch_size: Some(4), ..options("linear", norm) };
        Trainer::new(&gpu, &options, splits(flat(dark, 8), halves(4, [1, 8, 8])))
    };
    assert!(refused(run(8, Norm::Deconv)).contains("every training image of 'halves' has one value throughout"));
    run(8, Norm::Batch).map(|_| ()).unwrap();
    let said = run(6, Norm::Deconv).map(|trainer| trainer.report().notes.concat()).unwrap();
    assert!(said.contains("6 of 8 training images have one value throughout"), "{said}");
    assert_eq!(run(3, Norm::Deconv).map(|trainer| trainer.report().notes.len()).unwrap(), 0);
}

#[test]
fn validation_images_judge_during_training_and_test_images_at_the_end() {
    let mut splits = splits(halves(32, [1, 8, 8]), halves(6, [1, 8, 8]));
    splits.validation = Some(halves(10, [1, 8, 8]));
    let options = Options { epochs: Some(3), batch_size: Some(8), lr: Some(0.05), ..options("linear", Norm::None) };
    let mut trainer = Trainer::new(&gpu(), &options, splits).unwrap();
    let (mut judged, mut summary) = (Vec::new(), None);
    while let Some(event) = pollster::block_on(trainer.next()).unwrap() {
        match event {
            Event::Started(started) => assert_eq!((started.validation_images, started.test_images), (10, 6)),
            Event::Eval { epoch, split, accuracy, .. } => judged.push((epoch, split, accuracy)),
            Event::Done(done) => summary = Some(done),
            _ => {}
        }
    }
    let when: Vec<_> = judged.iter().map(|(epoch, split, _)| (*epoch, *split)).collect();
    assert_eq!(when, [(1, Split::Validation), (2, Split::Validation), (3, Split::Validation), (3, Split::Test)]);
    let summary = summary.unwrap();
    assert_eq!((summary.validation_accuracy, summary.accuracy), (Some(judged[2].2), Some(judged[3].2)));
    assert_eq!(summary.accuracy, Some(1.0), "{summary:?}");
}

/// What the program calls `--batch-size` is `batch_size` to everybody else.
#[test]
fn the_library_speaks_of_fields_not_of_flags() {
    let mut wrong = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("cli") {
                    folders.push(path);
                }
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            // Comments are for the help of the program too, and styles of pages have such names.
            let tests = ["#[cfg(test)]", "#[cfg(all(test"];
            let lines = text.lines().take_while(|line| !tests.iter().any(|tests| line.starts_with(tests)));
            let lines = lines.filter(|line| !line.trim_start().starts_with("//") && !line.contains("var(--"));
            let flag = |line: &str| {
                line.match_indices("--").any(|(at, _)| line[at + 2..].starts_with(|c: char| c.is_ascii_lowercase()))
            };
            let styles = path.ends_with("viz/report.rs");
            wrong.extend(lines.filter(|line| flag(line) && !styles).map(|line| format!("{}: {line}", path.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
