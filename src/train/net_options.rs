//! The options of a network: the part of a run's options that its file keeps.

use crate::models::{self, ModelOptions, Norm};
use crate::named::named;
use crate::nn::{Network, Whitening};
use crate::ops::{BlockMode, MOST_ITERATIONS};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::Display;

named! {
    /// Settings of deconvolution that belong together.
    ///
    /// ```
    /// use mexhat::train::{NetOptions, WhiteningPreset};
    /// let fast = NetOptions::default().with_whitening(WhiteningPreset::Fast);
    /// assert_eq!((fast.block, fast.block_fc, fast.iterations), (4, 32, 2));
    /// let between = NetOptions { iterations: 3, ..fast };
    /// between.validate()?;
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    pub enum WhiteningPreset: "whitening" {
        /// The paper's: blocks of 64 channels and 512 features, 5 iterations.
        Paper = "paper",
        /// Blocks of 4 channels with a D of their own and of 32 features, 2 iterations: nearly batch norm's step, at
        /// some accuracy. `mexhat reproduce cost` measures both.
        Fast = "fast",
    }
}

/// The network and its normalisation.
///
/// ```
/// use mexhat::nn::Norm;
/// use mexhat::train::{NetOptions, Options};
/// let net = NetOptions { model: "resnet18".into(), norm: Norm::Batch, ..Default::default() };
/// Options { net, ..Default::default() }.validate()?;
/// let error = NetOptions { iterations: 0, ..Default::default() }.validate().unwrap_err().to_string();
/// assert!(error.starts_with("`iterations` is 0; expected 1 to"));
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default)]
pub struct NetOptions {
    /// Name of the network, one of [`models::NAMES`], or of a file that lists its layers
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            default_value = "lenet",
            help_heading = "Network",
            help = format!("Network: {}; or the path of a .toml file that lists the layers", models::NAMES.join(", "))
        )
    )]
    pub model: String,
    /// Times the channels of a network known by name: 0.25 makes it four times narrower
    #[cfg_attr(feature = "cli", arg(long, default_value_t = NetOptions::default().width, value_name = "TIMES", help_heading = "Network"))]
    pub width: f64,
    /// Normalisation: deconv, batch, group, layer, iterative or none
    #[cfg_attr(feature = "cli", arg(long, default_value = "deconv", help_heading = "Network"))]
    pub norm: Norm,
    /// Preset of deconvolution: paper, or fast (--mode paper --block 4 --block-fc 32 --iterations 2); options beside it
    /// win
    #[cfg_attr(feature = "cli", arg(long, default_value = "paper", help_heading = "Network"))]
    #[serde(skip, default = "paper")]
    pub whitening: WhiteningPreset,
    /// Blocks of deconvolution: reference (the authors' code) or paper
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            default_value = "reference",
            help_heading = "Network",
            default_value_if("whitening", "fast", "paper")
        )
    )]
    pub mode: BlockMode,
    /// Channels per block of deconvolution in convolutions, and per group of iterative norm
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            default_value_t = NetOptions::default().block,
            value_name = "N",
            help_heading = "Network",
            default_value_if("whitening", "fast", "4")
        )
    )]
    pub block: usize,
    /// Features per block of deconvolution in linear layers
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            default_value_t = NetOptions::default().block_fc,
            value_name = "N",
            help_heading = "Network",
            default_value_if("whitening", "fast", "32")
        )
    )]
    pub block_fc: usize,
    /// Newton-Schulz iterations, of which few regularise; or converge, as many as reach the inverse root, which wants a
    /// larger --eps
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            default_value_t = NetOptions::default().iterations,
            value_name = "N",
            help_heading = "Network",
            default_value_if("whitening", "fast", "2"),
            value_parser = parsed
        )
    )]
    #[serde(with = "crate::nn::iterations")]
    pub iterations: usize,
    /// Groups of channels of group norm: the largest divisor of a layer's channels that is at most N
    #[cfg_attr(feature = "cli", arg(long, default_value_t = NetOptions::default().num_groups, value_name = "N", help_heading = "Network"))]
    #[serde(skip_serializing_if = "is_usual")]
    pub num_groups: usize,
    /// Newton-Schulz iterations of the first layer, in networks that treat it apart
    #[cfg_attr(feature = "cli", arg(long, default_value_t = NetOptions::default().first_iterations, value_name = "N", help_heading = "Network", value_parser = parsed))]
    #[serde(with = "crate::nn::iterations")]
    pub first_iterations: usize,
    /// Added to the diagonal of each covariance
    #[cfg_attr(feature = "cli", arg(long, default_value_t = NetOptions::default().eps, help_heading = "Network"))]
    pub eps: f32,
    /// Covariances look at every N-th position
    #[cfg_attr(feature = "cli", arg(long, default_value_t = NetOptions::default().sampling_stride, value_name = "N", help_heading = "Network"))]
    pub sampling_stride: usize,
}

impl Default for NetOptions {
    fn default() -> Self {
        let (whitening, model) = (Whitening::default(), ModelOptions::default());
        Self {
            model: "lenet".into(),
            width: model.width,
            norm: Norm::Deconv,
            whitening: WhiteningPreset::Paper,
            mode: whitening.mode,
            block: whitening.block,
            block_fc: model.block_fc,
            iterations: whitening.iterations,
            num_groups: model.num_groups,
            first_iterations: model.first_iterations,
            eps: whitening.eps,
            sampling_stride: whitening.sampling_stride,
        }
    }
}

/// Most times the width of an architecture.
const MOST_WIDTH: f64 = 16.0;

fn paper() -> WhiteningPreset {
    WhiteningPreset::Paper
}

/// Whether a file may leave these groups out.
fn is_usual(groups: &usize) -> bool {
    *groups == ModelOptions::default().num_groups
}

fn iterations(option: &str, value: usize) -> Result<()> {
    if (1..=MOST_ITERATIONS).contains(&value) || value == Whitening::CONVERGE {
        return Ok(());
    }
    Err(Error::Usage(format!("`{option}` is {value}; expected 1 to {MOST_ITERATIONS}, or converge")))
}

/// A number of iterations of a command line.
#[cfg(feature = "cli")]
fn parsed(text: &str) -> std::result::Result<usize, String> {
    if text == "converge" {
        return Ok(Whitening::CONVERGE);
    }
    // No number means what the word does.
    let number = text.parse().ok().filter(|number| *number != Whitening::CONVERGE);
    number.ok_or_else(|| format!("expected 1 to {MOST_ITERATIONS}, or converge"))
}

pub(super) fn at_least_1(option: &str, value: usize) -> Result<()> {
    if value > 0 { Ok(()) } else { Err(Error::Usage(format!("`{option}` is 0; expected at least 1"))) }
}

/// Refuses a number that is not finite or not in `range` (which the text repeats).
pub(super) fn number(option: &str, value: impl Into<f64> + Display + Copy, fits: bool, range: &str) -> Result<()> {
    if value.into().is_finite() && fits {
        return Ok(());
    }
    Err(Error::Usage(format!("`{option}` is {value}; expected {range}")))
}

impl NetOptions {
    /// These options with the numbers of a preset, as `--whitening` sets them.
    pub fn with_whitening(self, whitening: WhiteningPreset) -> Self {
        let paper = Self::default();
        let (mode, block, block_fc, iterations) = match whitening {
            WhiteningPreset::Paper => (paper.mode, paper.block, paper.block_fc, paper.iterations),
            WhiteningPreset::Fast => (BlockMode::Paper, 4, 32, 2),
        };
        Self { whitening, mode, block, block_fc, iterations, ..self }
    }

    /// These options with what they have in common with `network` taken from there.
    pub(super) fn of(&self, network: &Network) -> Self {
        let Whitening { mode, block, iterations, eps, sampling_stride, .. } = network.whitening;
        let (model, norm, block_fc) = (network.name.clone(), network.norm, network.block_fc);
        let num_groups = network.num_groups;
        Self { model, norm, mode, block, block_fc, num_groups, iterations, eps, sampling_stride, ..self.clone() }
    }

    /// Refuses what no network can be built from.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the option.
    pub fn validate(&self) -> Result<()> {
        if !models::NAMES.contains(&self.model.as_str()) {
            let known = models::NAMES.join(", ");
            return Err(Error::Usage(format!("unknown model '{}'; expected one of {known}", self.model)));
        }
        self.numbers()
    }

    /// Refuses numbers that no network can be built from.
    pub(super) fn numbers(&self) -> Result<()> {
        number(
            "width",
            self.width,
            self.width > 0.0 && self.width <= MOST_WIDTH,
            "a number above 0 and up to 16, such as 0.5",
        )?;
        at_least_1("block", self.block)?;
        at_least_1("block_fc", self.block_fc)?;
        at_least_1("num_groups", self.num_groups)?;
        iterations("iterations", self.iterations)?;
        iterations("first_iterations", self.first_iterations)?;
        at_least_1("sampling_stride", self.sampling_stride)?;
        number("eps", self.eps, self.eps > 0.0, "a number above 0, such as 1e-5")
    }

    /// What the network is built with.
    pub fn model_options(&self, input: [usize; 3], classes: usize, seed: u64) -> ModelOptions {
        let whitening = Whitening {
            mode: self.mode,
            block: self.block,
            iterations: self.iterations,
            eps: self.eps,
            sampling_stride: self.sampling_stride,
            ..Default::default()
        };
        ModelOptions {
            norm: self.norm,
            whitening,
            first_iterations: self.first_iterations,
            width: self.width,
            block_fc: self.block_fc,
            num_groups: self.num_groups,
            input,
            classes,
            seed,
        }
    }
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;

    #[test]
    fn presets_set_what_the_library_says_and_options_beside_them_win() {
        use clap::{Args, FromArgMatches};
        let parsed = |args: &[&str]| {
            let command = NetOptions::augment_args(clap::Command::new("test"));
            NetOptions::from_arg_matches(&command.get_matches_from(std::iter::once(&"test").chain(args))).unwrap()
        };
        for preset in [WhiteningPreset::Paper, WhiteningPreset::Fast] {
            let expected = NetOptions::default().with_whitening(preset);
            assert_eq!(parsed(&["--whitening", &preset.to_string()]), expected);
        }
        let mixed = parsed(&["--whitening", "fast", "--block", "16"]);
        assert_eq!((mixed.block, mixed.iterations), (16, 2));
    }
}
