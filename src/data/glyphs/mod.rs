//! The built-in data set: handwritten-looking digits drawn from strokes, so that nothing needs to be downloaded.
//!
//! Each digit is written by its own small function with the habits of real hands (`shapes.rs`): a 7 with or without a
//! bar, an open or a closed 4. The strokes are then slanted, stretched and bent, drawn with a pen of varying pressure
//! (`pen.rs`), fitted into 20x20 pixels and centred by their mass in 28x28, as the digits of MNIST are: a network that
//! has seen only these reads real ones too.
//!
//! A sample depends on (seed, index) alone; its label is `index % 10`, so that every prefix is balanced.

mod pen;
mod shapes;

use super::dataset::numbered;
use super::{Augment, Dataset, LoadOptions, Normalize, Splits, threads};
use crate::rng::Rng;

/// Height and width of an image.
pub const SIDE: usize = 28;
/// Training images of [`splits`] without a limit.
pub const TRAIN: usize = 12_000;
/// Test images of [`splits`] without a limit.
pub const TEST: usize = 2_000;
/// Most images of a split.
pub const MAX: usize = 1_000_000;
/// First index of the test split; no training index comes near.
const TEST_START: u64 = 1 << 40;

/// Sample `index` of the data set `seed`: label and 28x28 grey values, white on black.
///
/// ```
/// let (label, image) = mexhat::data::glyphs::render(0, 7);
/// assert_eq!(label, 7);
/// assert!(image.iter().any(|&v| v > 200));
/// ```
pub fn render(seed: u64, index: u64) -> (u32, [u8; SIDE * SIDE]) {
    let digit = (index % 10) as u32;
    let mut rng = Rng::new(seed).fork(index);
    let mut strokes = shapes::write(digit, &mut rng);
    pen::distort(digit, &mut strokes, &mut rng);
    (digit, pen::draw(&strokes, &mut rng))
}

/// `n` samples from index `start` on.
pub fn dataset(seed: u64, start: u64, n: usize) -> Dataset {
    let parts = threads::split(n, |range| {
        let mut images = Vec::with_capacity(range.len() * SIDE * SIDE);
        let mut labels = Vec::with_capacity(range.len());
        for i in range {
            let (label, image) = render(seed, start + i as u64);
            images.extend_from_slice(&image);
            labels.push(label);
        }
        (images, labels)
    });
    let (images, labels): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    Dataset {
        name: "glyphs".into(),
        class_names: numbered(10),
        shape: [1, SIDE, SIDE],
        images: images.concat().into(),
        labels: labels.concat(),
        masks: Vec::new(),
    }
}

/// Both splits: [`TRAIN`] and [`TEST`] images, or as many as the limits say, also more, up to [`MAX`].
pub fn splits(options: &LoadOptions) -> Splits {
    let train = dataset(options.seed, 0, options.limit_train.unwrap_or(TRAIN).min(MAX));
    let test = dataset(options.seed, TEST_START, options.limit_test.unwrap_or(TEST).min(MAX));
    // MNIST's constants, so that a network trained here can be tried there.
    let mut splits = Splits::new(train, test, Normalize::mnist(), Augment::NONE);
    splits.report.source = format!("glyphs, digits drawn from seed {}", options.seed);
    splits.report.normalize = format!("{}, those of MNIST", splits.normalize);
    splits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_depends_on_seed_and_index_only() {
        let all = dataset(3, 0, 40);
        for i in [0, 1, 17, 39] {
            let (label, image) = render(3, i as u64);
            assert_eq!((all.labels[i], all.image(i)), (label, &image[..]));
        }
        assert_eq!(dataset(3, 30, 10).images[..], all.images[30 * 784..]);
        assert_ne!(render(3, 5).1, render(4, 5).1);
        assert_ne!(render(3, 5).1, render(3, 15).1);
    }

    #[test]
    fn images_are_whole_centred_and_bright() {
        for i in 0..3000 {
            let (label, image) = render(1, i);
            let (mut mass, mut x, mut y) = (0.0, 0.0, 0.0);
            for (p, &v) in image.iter().enumerate() {
                mass += f64::from(v);
                x += f64::from(v) * (p % SIDE) as f64;
                y += f64::from(v) * (p / SIDE) as f64;
            }
            assert!((15.0..400.0).contains(&(mass / 255.0)), "digit {label} at {i} has mass {}", mass / 255.0);
            let (x, y) = (x / mass - 13.5, y / mass - 13.5);
            assert!(x.abs() < 1.0 && y.abs() < 1.0, "digit {label} at {i} is off centre by {x}, {y}");
            let edge: u32 = (0..SIDE).map(|k| u32::from(image[k]) + u32::from(image[27 * SIDE + k])).sum();
            assert!(edge < 28 * 60, "digit {label} at {i} runs over the edge");
            assert!(image.iter().any(|&v| v > 150), "digit {label} at {i} is faint");
        }
    }

    #[test]
    fn splits_are_balanced_and_apart() {
        let splits = splits(&LoadOptions { limit_train: Some(200), limit_test: Some(100), ..Default::default() });
        for digit in 0..10 {
            assert_eq!(splits.train.labels.iter().filter(|&&l| l == digit).count(), 20);
            assert_eq!(splits.test.labels.iter().filter(|&&l| l == digit).count(), 10);
        }
        for t in 0..splits.test.len() {
            let image = splits.test.image(t);
            assert!((0..splits.train.len()).all(|i| splits.train.image(i) != image), "test image {t} is in training");
        }
    }

    #[test]
    fn the_mean_is_near_that_of_mnist() {
        let found = Normalize::of(&dataset(0, 0, 3000));
        assert!((found.mean[0] - 0.1307).abs() < 0.015 && (found.std[0] - 0.3081).abs() < 0.02, "{found:?}");
    }
}
