//! Data sets: built in, read from files, and handed out in normalised batches.
//!
//! - [`load`] turns a name or a path into [`Splits`]: both splits as bytes, how to normalise and how to augment them.
//! - [`glyphs`] draws the built-in digits, so that a first run needs no download.
//! - [`idx`] and [`cifar`] read what is published: MNIST's IDX files, CIFAR's binaries; class folders of pictures, and
//!   pictures with masks, are read beside them; [`files`] lets all of them read a folder and an archive alike.
//! - [`Loader`] shuffles, augments and normalises into [`Batch`]es, ahead of the training step.
//!
//! Pixels stay bytes until a batch is made: a quarter of the memory, and one table look-up per pixel. In a run of the
//! trainer they are bytes still when they reach the device, which crops, mirrors and normalises them.
//!
//! Files and folders of pictures are read and decoded whole, before training begins. What takes more than 2 GiB then
//! lies in a temporary file, below `TMPDIR` on Unix, until the data set goes: 20,000 JPEGs of 224 x 224 took 2.7 GB of
//! disk and 70 MB of memory, in November 2026.
//!
//! ```
//! # use mexhat::data::{load, LoadOptions};
//! let splits = load("glyphs", &LoadOptions { limit_train: Some(100), ..Default::default() })?;
//! assert_eq!(splits.train.shape, [1, 28, 28]);
//! assert_eq!(splits.train.len(), 100);
//! # Ok::<(), mexhat::error::Error>(())
//! ```

mod batch;
#[doc(hidden)]
pub mod cifar;
mod dataset;
mod drawn;
#[doc(hidden)]
#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
pub mod fetch;
#[doc(hidden)]
pub mod files;
mod fill;
mod folders;
mod found;
mod given;
#[doc(hidden)]
pub mod glyphs;
#[cfg(not(target_arch = "wasm32"))]
mod home;
#[doc(hidden)]
pub mod idx;
mod idx_sets;
mod labels;
mod layout;
mod loader;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod mask;
// A page has no option for it, and counts every byte.
#[cfg(not(target_arch = "wasm32"))]
mod mixup;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod nearest;
mod options;
#[cfg(not(target_arch = "wasm32"))]
mod pairs;
mod pickle;
pub(crate) mod picture;
mod report;
#[doc(hidden)]
#[cfg(not(target_arch = "wasm32"))]
pub mod shapes;
mod source;
mod split;
mod store;
mod tables;
mod threads;
mod view;

use crate::error::{Error, Result};
use crate::plural;

pub use batch::Batch;
pub(crate) use batch::{Form, Images};
pub use dataset::{Dataset, IGNORED, class_name};
pub use fill::fill;
pub(crate) use fill::fill_augmented;
pub use given::load_given;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub use home::{data_home, look_in, places};
pub(crate) use idx_sets::{FASHION, is_fashion};
pub(crate) use labels::labels_augmented;
pub use loader::{Epoch, Loader, LoaderOptions};
pub use options::{Augmentation, Background, LoadOptions, Normalization, Preparation, Reading, Size};
pub use report::{ClassCount, Report, Skipped};
pub use source::{NAMES, load, load_files, load_test};
#[doc(hidden)]
pub use store::ImageStore;

/// What titles call the data `spec`, a name or a path: the last part of it.
pub(crate) fn title(spec: &str) -> &str {
    spec.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(spec)
}

/// What a training run needs to know about its data.
///
/// ```
/// use mexhat::data::{Augment, Dataset, Normalize, Splits};
/// let train = Dataset::new("dots", 2, [1, 1, 2], vec![0, 255, 255, 0], vec![0, 1])?;
/// let test = train.pick(&[1])?;
/// let normalize = Normalize::of(&train);
/// let splits = Splits::new(train, test, normalize, Augment::NONE);
/// assert_eq!((splits.train.len(), splits.test.len(), splits.validation), (2, 1, None));
/// assert_eq!(splits.report.images, [2, 0, 1]);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Splits {
    /// Images to learn from.
    pub train: Dataset,
    /// Images to choose settings by, where the data set has such a split; same shape and classes.
    pub validation: Option<Dataset>,
    /// Images to judge by; same shape and classes.
    pub test: Dataset,
    /// Normalisation of both.
    pub normalize: Normalize,
    /// Augmentation of the training split.
    pub augment: Augment,
    /// What was decided about the data, for the user.
    pub report: Report,
}

impl Splits {
    /// Two splits, the report saying what can be seen from them.
    pub fn new(train: Dataset, test: Dataset, normalize: Normalize, augment: Augment) -> Self {
        let mut report = Report { normalize: normalize.to_string(), augment: augment.to_string(), ..Report::default() };
        report.source = train.name.clone();
        report.count(&train, None, &test);
        Self { train, validation: None, test, normalize, augment, report }
    }
}

/// Per channel: `(value / 255 - mean) / std`.
///
/// ```
/// use mexhat::data::{Dataset, Normalize};
/// // The first channel is black and white, the second always grey.
/// let data = Dataset::new("two", 1, [2, 1, 2], vec![0, 255, 51, 51], vec![0])?;
/// let Normalize { mean, std } = Normalize::of(&data);
/// assert!((mean[0] - 0.5).abs() < 1e-6 && (std[0] - 0.5).abs() < 1e-6);
/// assert!((mean[1] - 0.2).abs() < 1e-6 && std[1] == 1.0);
/// assert_eq!(Normalize::none(1).to_string(), "none, values from 0 to 1");
/// # Ok::<(), mexhat::Error>(())
/// ```
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

    /// What becomes of `value`, from 0 to 1, in a channel.
    pub(crate) fn apply(&self, channel: usize, value: f32) -> f32 {
        (value - self.mean[channel]) / self.std[channel]
    }

    /// Refuses what is not one mean and one positive deviation for each of `channels`.
    pub(crate) fn check(&self, channels: usize) -> Result<()> {
        let Self { mean, std } = self;
        let usable = mean.iter().all(|m| m.is_finite()) && std.iter().all(|s| s.is_normal() && *s > 0.0);
        if mean.len() == channels && std.len() == channels && usable {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "the normalisation does not fit: expected {} and as many positive standard deviations, one for each \
             channel, found {mean:?} and {std:?}",
            plural::count(channels, "mean")
        )))
    }

    /// The usual constants of MNIST.
    pub fn mnist() -> Self {
        Self { mean: vec![0.1307], std: vec![0.3081] }
    }

    /// The constants of CIFAR-10 (method, section 10.2).
    pub fn cifar10() -> Self {
        Self { mean: vec![0.4914, 0.4822, 0.4465], std: vec![0.2023, 0.1994, 0.2010] }
    }

    /// The constants of CIFAR-100 (method, section 10.2).
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
///
/// ```
/// use mexhat::data::Augment;
/// use mexhat::train::Fit;
/// let fit = Fit { augment: Augment { pad: 2, flip: true, ..Augment::NONE }, ..Fit::default() };
/// assert_eq!(fit.augment.to_string(), "flip, crop (window moved by up to 2 pixels)");
/// assert!(Augment::NONE.is_none() && !Augment::CIFAR.is_none());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Augment {
    /// Pixels of black border (before normalisation) from which a window of the original size is cut at random.
    pub pad: usize,
    /// Mirror left to right with probability one half.
    pub flip: bool,
    /// Side of a square at a random place whose values are 0 after normalisation (DeVries and Taylor, 2017); 0 for
    /// none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cutout: usize,
    /// A random part, of 8 to 100 % of the area and of sides 3:4 to 4:3, stretched over the whole image. PyTorch's
    /// `RandomResizedCrop` does so with the picture as it is; here `size` ([`Reading::size`]) has stretched it
    /// before: the part's sides are those of the stretched picture, and its detail is what that has left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resized_crop: bool,
    /// The image, 0.5 to 2 times as large, cut back to its size or surrounded by black (torchvision's `RandomResize`,
    /// as for segmentation).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub random_resize: bool,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Augment {
    /// The recipe for CIFAR (method, section 10.2).
    pub const CIFAR: Self = Self { pad: 4, flip: true, ..Self::NONE };
    /// Images as they are.
    pub const NONE: Self = Self { pad: 0, flip: false, cutout: 0, resized_crop: false, random_resize: false };

    /// Whether this leaves every image as it is.
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

impl std::fmt::Display for Normalize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::none(self.mean.len()) {
            return write!(f, "none, values from 0 to 1");
        }
        let list = |values: &[f32]| values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(" ");
        write!(f, "mean {}, deviation {} (of 0 to 1)", list(&self.mean), list(&self.std))
    }
}

impl std::fmt::Display for Augment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_none() {
            return f.write_str("none");
        }
        let Self { pad, flip, cutout, resized_crop, random_resize } = *self;
        let crop = (pad > 0).then(|| format!("crop (window moved by up to {pad} pixels)"));
        let cutout = (cutout > 0).then(|| format!("cutout (a square of {cutout} pixels)"));
        let resized = resized_crop.then(|| "resized crop (a part of 8 to 100 % of the area)".to_owned());
        let random = random_resize.then(|| "random resize (0.5 to 2 times, cut or surrounded by black)".to_owned());
        let parts = [flip.then(|| "flip".to_owned()), crop, resized, random, cutout];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_per_channel() {
        let images = vec![0, 255, 51, 51, 255, 0, 51, 51];
        let data = Dataset::new("x", 1, [2, 1, 2], images, vec![0, 0]).unwrap();
        let norm = Normalize::of(&data);
        assert!((norm.mean[0] - 0.5).abs() < 1e-6 && (norm.std[0] - 0.5).abs() < 1e-6, "{norm:?}");
        assert!((norm.mean[1] - 0.2).abs() < 1e-6 && norm.std[1] == 1.0, "{norm:?}");
    }
}
