//! Data sets: built in, read from files, and handed out in normalised batches.
//!
//! - [`load`] turns a name or a path into [`Splits`]: both splits as bytes, how to normalise and how to augment them.
//! - [`glyphs`] draws the built-in digits, so that a first run needs no download.
//! - [`idx`], [`cifar`] and [`folders`] read what is published: MNIST's IDX files, CIFAR's binaries, class folders of
//!   pictures; [`files`] lets all three read a folder and a zip alike.
//! - [`Loader`] shuffles, augments and normalises into [`Batch`]es, ahead of the training step.
//!
//! Pixels stay bytes until the loader makes a batch: a quarter of the memory, and one table look-up per pixel.
//!
//! ```
//! # use mexhat::data::{load, LoadOptions};
//! let splits = load("glyphs", &LoadOptions { limit_train: Some(100), ..Default::default() })?;
//! assert_eq!(splits.train.shape, [1, 28, 28]);
//! assert_eq!(splits.train.len(), 100);
//! # Ok::<(), mexhat::error::Error>(())
//! ```

pub mod cifar;
#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
pub mod fetch;
pub mod files;
pub mod folders;
pub mod glyphs;
pub mod idx;
mod loader;
mod source;
mod threads;

use crate::error::{Error, Result};

pub use loader::{Batch, Epoch, Loader, LoaderOptions, fill};
pub use source::{LoadOptions, NAMES, load, load_files};
#[cfg(not(target_arch = "wasm32"))]
pub use source::{data_home, places};

/// Labelled images of one size, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// What messages and summaries call it.
    pub name: String,
    /// Number of classes; every label is below it.
    pub classes: usize,
    /// Channels, height, width of every image.
    pub shape: [usize; 3],
    /// All pixels, (N, C, H, W), 0 to 255.
    pub images: Vec<u8>,
    /// One class per image.
    pub labels: Vec<u32>,
}

impl Dataset {
    /// A data set whose parts fit together.
    ///
    /// # Errors
    /// [`Error::Usage`] when there is no image, the shape has a zero, the bytes are not `labels.len()` images of
    /// `shape`, or a label is not below `classes`.
    pub fn new(
        name: impl Into<String>,
        classes: usize,
        shape: [usize; 3],
        images: Vec<u8>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        let name = name.into();
        let wanted = shape.iter().try_fold(labels.len(), |n, &d| n.checked_mul(d));
        if labels.is_empty() || shape.contains(&0) {
            return Err(Error::Usage(format!("data set '{name}' is empty: {} images of {shape:?}", labels.len())));
        }
        if wanted != Some(images.len()) {
            return Err(Error::Usage(format!(
                "data set '{name}' has {} labels of images {shape:?} (channels, height, width), so it needs {} bytes, \
                 but {} were given",
                labels.len(),
                wanted.map_or("more than the memory's".into(), |w| w.to_string()),
                images.len()
            )));
        }
        if let Some((i, label)) = labels.iter().enumerate().find(|&(_, &l)| l as usize >= classes) {
            return Err(Error::Usage(format!(
                "image {i} of data set '{name}' has label {label}, but with {classes} classes labels are below {classes}"
            )));
        }
        Ok(Self { name, classes, shape, images, labels })
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one image, `C * H * W`.
    pub fn pixels(&self) -> usize {
        self.shape.iter().product()
    }

    /// The bytes of image `i`, (C, H, W); `i` below [`len`](Self::len).
    pub fn image(&self, i: usize) -> &[u8] {
        let pixels = self.pixels();
        &self.images[i * pixels..][..pixels]
    }

    /// Keeps the first `n` images.
    pub fn truncate(&mut self, n: usize) {
        let n = n.min(self.len());
        self.images.truncate(n * self.pixels());
        self.labels.truncate(n);
    }
}

/// What a training run needs to know about its data.
#[derive(Clone, Debug, PartialEq)]
pub struct Splits {
    /// Images to learn from.
    pub train: Dataset,
    /// Images to judge by; same shape and classes.
    pub test: Dataset,
    /// Normalisation of both.
    pub normalize: Normalize,
    /// Augmentation of the training split.
    pub augment: Augment,
}

/// Per channel: `(value / 255 - mean) / std`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Normalize {
    /// Mean of each channel, in 0..1.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, in 0..1.
    pub std: Vec<f32>,
}

impl Normalize {
    /// Values stay in 0..1.
    pub fn none(channels: usize) -> Self {
        Self { mean: vec![0.0; channels], std: vec![1.0; channels] }
    }

    /// The usual constants of MNIST.
    pub fn mnist() -> Self {
        Self { mean: vec![0.1307], std: vec![0.3081] }
    }

    /// The constants of CIFAR-10 (spec 10.2).
    pub fn cifar10() -> Self {
        Self { mean: vec![0.4914, 0.4822, 0.4465], std: vec![0.2023, 0.1994, 0.2010] }
    }

    /// The constants of CIFAR-100 (spec 10.2).
    pub fn cifar100() -> Self {
        Self { mean: vec![0.5071, 0.4865, 0.4409], std: vec![0.2009, 0.1984, 0.2023] }
    }

    /// Mean and standard deviation of the pixels of `dataset`. A channel that never changes keeps its scale.
    pub fn of(dataset: &Dataset) -> Self {
        let [channels, height, width] = dataset.shape;
        // Counting is exact and needs no second pass over the bytes.
        let mut counts = vec![[0u64; 256]; channels];
        for (i, plane) in dataset.images.chunks_exact((height * width).max(1)).enumerate() {
            let counts = &mut counts[i % channels];
            plane.iter().for_each(|&v| counts[usize::from(v)] += 1);
        }
        let (mean, std) = counts
            .iter()
            .map(|counts| {
                let n = counts.iter().sum::<u64>().max(1) as f64;
                let moment = |p: i32, shift: f64| {
                    counts.iter().enumerate().map(|(v, &k)| k as f64 * (v as f64 / 255.0 - shift).powi(p)).sum::<f64>()
                        / n
                };
                let mean = moment(1, 0.0);
                let std = moment(2, mean).sqrt();
                (mean as f32, if std > 1e-6 { std as f32 } else { 1.0 })
            })
            .unzip();
        Self { mean, std }
    }
}

/// Random changes to training images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Augment {
    /// Pixels of black border (before normalisation) from which a window of the original size is cut at random.
    pub pad: usize,
    /// Mirror left to right with probability one half.
    pub flip: bool,
}

impl Augment {
    /// The recipe for CIFAR (spec 10.2).
    pub const CIFAR: Self = Self { pad: 4, flip: true };
    /// Images as they are.
    pub const NONE: Self = Self { pad: 0, flip: false };

    /// Whether this leaves every image as it is.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let make = |classes, shape, bytes, labels: &[u32]| {
            Dataset::new("x", classes, shape, vec![0; bytes], labels.to_vec())
                .map(|d| d.len())
                .map_err(|e| e.to_string())
        };
        assert_eq!(make(2, [1, 2, 2], 8, &[0, 1]), Ok(2));
        assert!(make(2, [1, 2, 2], 7, &[0, 1]).unwrap_err().contains("needs 8 bytes, but 7"));
        assert!(make(2, [1, 2, 2], 8, &[0, 2]).unwrap_err().contains("image 1"));
        assert!(make(2, [1, 2, 2], 0, &[]).unwrap_err().contains("empty"));
        assert!(make(2, [1, 0, 2], 0, &[0]).unwrap_err().contains("empty"));
        assert!(make(2, [usize::MAX, 2, 2], 8, &[0, 1]).unwrap_err().contains("memory"));
    }

    #[test]
    fn statistics_are_per_channel() {
        let images = vec![0, 255, 51, 51, 255, 0, 51, 51];
        let data = Dataset::new("x", 1, [2, 1, 2], images, vec![0, 0]).unwrap();
        let norm = Normalize::of(&data);
        assert!((norm.mean[0] - 0.5).abs() < 1e-6 && (norm.std[0] - 0.5).abs() < 1e-6, "{norm:?}");
        assert!((norm.mean[1] - 0.2).abs() < 1e-6 && norm.std[1] == 1.0, "{norm:?}");
    }

    #[test]
    fn truncation_keeps_images_and_labels_together() {
        let mut data = Dataset::new("x", 3, [1, 1, 2], vec![1, 2, 3, 4, 5, 6], vec![0, 1, 2]).unwrap();
        data.truncate(2);
        assert_eq!((data.images.as_slice(), data.labels.as_slice()), (&[1, 2, 3, 4][..], &[0, 1][..]));
        data.truncate(9);
        assert_eq!(data.len(), 2);
    }
}
