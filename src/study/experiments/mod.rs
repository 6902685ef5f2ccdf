//! The paper's small experiments: each computes, draws, and says whether it shows what the paper expects (method,
//! section 11).

mod algebra;
mod batches;
mod components;
mod cost;
mod courses;
mod newton;
mod regression;
mod segmentation;
mod tables;

use serde::Serialize;
pub use tables::Runs;

use super::photos::PhotoSet;
use crate::gpu::Gpu;
use crate::train::NetOptions;
use crate::{Error, Result};

/// An experiment, for lists.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Experiment {
    /// Under this name it is asked for.
    pub name: &'static str,
    /// What is computed.
    pub about: &'static str,
    /// What the paper says should come out.
    pub expects: &'static str,
}

/// All of them.
pub const EXPERIMENTS: &[Experiment] = &[
    Experiment {
        name: "fig5a",
        about: "linear regression on Fashion-MNIST, loss per mini-batch: vanilla, batch norm, deconvolution; and Proposition 1",
        expects: "deconvolution at learning rate 1 is near its optimum within 5 steps; vanilla needs small rates and is far slower",
    },
    Experiment {
        name: "fig5b",
        about: "the same with logistic regression",
        expects: "the same order: deconvolution first, vanilla last",
    },
    Experiment {
        name: "fig5cd",
        about: "a sigmoid network 784-128-128-10 on MNIST: no norm, batch norm, deconvolution",
        expects: "deconvolution is fastest, batch norm second",
    },
    Experiment {
        name: "fig6",
        about: "DeepLabV3 on ResNet-50, a class for each pixel, with batch norm and with deconvolution; on generated shapes without `data`",
        expects: "deconvolution has the higher mean IoU and pixel accuracy and the lower training loss, from the first epochs on",
    },
    Experiment {
        name: "fig7",
        about: "coupled against uncoupled Newton-Schulz on the 27 x 27 covariance of a photograph's 3 x 3 patches",
        expects: "coupled: a plateau, then a drop, then flat for a hundred iterations; uncoupled: the same at first, then it explodes",
    },
    Experiment {
        name: "table3",
        about: "time of patches, covariance, Newton-Schulz, weight product and convolution, by layer, on this adapter",
        expects: "Newton-Schulz does not depend on the sampling step, patches and covariance fall with it; all are small next to the convolution except in deep layers",
    },
    Experiment {
        name: "table1",
        about: "CIFAR networks with batch norm and with deconvolution, with the paper's settings; model, epochs and limits make it smaller",
        expects: "deconvolution is ahead in every network: by 10 to 60 points after 1 epoch, by 0.5 to 4 after 100",
    },
    Experiment {
        name: "table2",
        about: "the same of networks for 224 x 224, on a folder of pictures",
        expects: "deconvolution is ahead by 1 to 1.6 points after 90 epochs of ImageNet",
    },
    Experiment {
        name: "fig8a",
        about: "VGG-13 on CIFAR-100 with a small and a large weight decay, batch norm and deconvolution",
        expects: "the larger decay hurts batch norm and helps deconvolution",
    },
    Experiment {
        name: "fig8b",
        about: "VGG-11, training loss of the first 1000 steps: no norm, batch norm, deconvolution; on CIFAR-10, in full on ImageNet",
        expects: "the loss falls fastest with deconvolution",
    },
    Experiment {
        name: "fig12",
        about: "VGG-11, test accuracy against the time of the clock, with batch norm and with deconvolution; on CIFAR-10, in full on ImageNet",
        expects: "deconvolution is above batch norm at equal time",
    },
    Experiment {
        name: "table4",
        about: "batch size against accuracy, with the paper's rates, eps and iterations",
        expects: "within 2.5 points over three decades of batch size",
    },
    Experiment {
        name: "cost",
        about: "accuracy and step time over block size, iterations and mode, on MNIST and CIFAR-10, beside batch norm",
        expects: "small blocks and few iterations cost little; on digits they lose nothing, on photographs large blocks buy accuracy",
    },
    Experiment {
        name: "a8",
        about: "gradient steps through the deconvolution against plain gradients corrected by D twice",
        expects: "forward correction and backward correction are the same",
    },
    Experiment {
        name: "sec5",
        about: "deconvolution with k = 1, and with blocks of one channel",
        expects: "k = 1 decorrelates channels; blocks of 1 with k = 1 are batch normalisation",
    },
];

/// What an experiment is run with.
#[derive(Debug, Default)]
pub struct ExperimentOptions {
    /// The paper's size instead of minutes on a CPU.
    pub full: bool,
    /// Seed of order and initial values.
    pub seed: u64,
    /// Data set in place of the paper's: a name or a path.
    pub data: Option<String>,
    /// Photographs in place of generated ones.
    pub photos: Option<PhotoSet>,
    /// Length and number of the runs of `table1`, `table2`, `fig6`, `fig8a`, `fig8b` and `fig12`.
    pub runs: Runs,
}

/// A claim and whether this run shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What should be seen.
    pub claim: String,
    /// Whether it is.
    pub shown: bool,
    /// The numbers that decide.
    pub numbers: String,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// The experiment.
    #[serde(flatten)]
    pub experiment: Experiment,
    /// On what it ran.
    pub note: String,
    /// Columns of the table.
    pub heading: Vec<String>,
    /// Rows of the table.
    pub rows: Vec<Vec<String>>,
    /// What the paper says, decided.
    pub checks: Vec<Check>,
    /// Every number, by series.
    pub series: Vec<Series>,
    /// Pictures: name and SVG.
    #[serde(skip)]
    pub pictures: Vec<(String, String)>,
}

/// Numbers of one curve; what is not finite is `null` in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// What it is.
    pub name: String,
    /// Values in order.
    pub values: Vec<f64>,
}

impl Findings {
    /// True when every claim is shown.
    pub fn all_shown(&self) -> bool {
        self.checks.iter().all(|check| check.shown)
    }
}

/// Runs the experiment called `name`.
///
/// # Errors
/// The name is unknown, the data cannot be read, or the device fails.
pub async fn reproduce(gpu: &Gpu, name: &str, options: &ExperimentOptions) -> Result<Findings> {
    let known: Vec<&str> = EXPERIMENTS.iter().map(|e| e.name).collect();
    let experiment = EXPERIMENTS
        .iter()
        .find(|e| e.name == name)
        .ok_or_else(|| Error::Usage(format!("unknown experiment '{name}'; expected one of {}", known.join(", "))))?;
    if options.runs != Runs::default() && !tables::NAMES.contains(&name) {
        return Err(Error::Usage(format!(
            "{name} has its own networks and lengths; model, epochs, limits, batch size, rate and seeds are for {}",
            tables::NAMES.join(", ")
        )));
    }
    if options.runs.seeds == Some(0) {
        return Err(Error::Usage("`seeds` is 0; expected at least 1".into()));
    }
    // Before data is looked for, which may not be there.
    for model in &options.runs.models {
        NetOptions { model: model.clone(), ..Default::default() }.validate()?;
    }
    match name {
        "table1" | "table2" | "fig8a" => tables::tables(gpu, *experiment, options).await,
        "fig8b" => courses::fig8b(gpu, *experiment, options).await,
        "fig12" => courses::fig12(gpu, *experiment, options).await,
        "fig6" => segmentation::fig6(gpu, *experiment, options).await,
        "cost" => cost::cost(gpu, *experiment, options).await,
        "fig7" => newton::fig7(gpu, *experiment, options).await,
        "table3" => components::table3(gpu, *experiment, options).await,
        "table4" => batches::table4(gpu, *experiment, options).await,
        "a8" => algebra::a8(gpu, *experiment, options).await,
        "sec5" => algebra::sec5(gpu, *experiment, options).await,
        _ => regression::fig5(gpu, *experiment, options).await,
    }
}
