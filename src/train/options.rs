//! Everything that describes a run: one struct for the command line, the run folder and a page's address.

use super::net_options::{NetOptions, at_least_1, number};
use super::{Adam, CheckpointEvery, ClassWeights, Loss, Sgd, Update};
use crate::data::{Dataset, LoadOptions, Preparation};
use crate::named::named;
use crate::nn::Network;
use crate::optim::Schedule;
use crate::tape::Precision;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

named! {
    /// Which update rule.
    ///
    /// ```
    /// use mexhat::train::{OptimizerKind, Options};
    /// let options = Options { optimizer: "adamw".parse()?, ..Default::default() };
    /// assert_eq!((options.optimizer, options.base_lr()), (OptimizerKind::AdamW, 1e-3));
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    pub enum OptimizerKind: "optimizer" {
        /// Stochastic gradient descent with momentum.
        Sgd = "sgd",
        /// Adam.
        Adam = "adam",
        /// Adam with decoupled weight decay.
        AdamW = "adamw",
    }
}

named! {
    /// How the learning rate changes over the run.
    ///
    /// ```
    /// use mexhat::train::{Schedule, ScheduleKind};
    /// let schedule = ScheduleKind::MultiStep.over(100);
    /// assert_eq!(schedule, Schedule::MultiStep { milestones: vec![40, 80], gamma: 0.1 });
    /// let error = "linear".parse::<ScheduleKind>().unwrap_err().to_string();
    /// assert_eq!(error, "unknown schedule 'linear'; expected one of cosine, multistep, constant, onecycle, poly");
    /// ```
    pub enum ScheduleKind: "schedule" {
        /// Half a cosine down to 0.
        Cosine = "cosine",
        /// A tenth after 40 % of the run, a hundredth after 80 %.
        MultiStep = "multistep",
        /// The same throughout.
        Constant = "constant",
        /// From a 25th up over the first 30 % of the run, then half a cosine down to almost 0, as PyTorch's
        /// `OneCycleLR`.
        OneCycle = "onecycle",
        /// Down to 0 as the 0.9th power of what is left of the run: usual for segmentation.
        Poly = "poly",
    }
}

impl ScheduleKind {
    /// The schedule of a run of `total` steps.
    pub fn over(self, total: u64) -> Schedule {
        match self {
            Self::Constant => Schedule::Constant,
            Self::Cosine => Schedule::Cosine { total },
            Self::OneCycle => Schedule::OneCycle { total },
            Self::Poly => Schedule::Poly { total, power: 0.9 },
            Self::MultiStep => {
                let at = |part: u64| ((u128::from(total) * u128::from(part)) / 10) as u64;
                Schedule::MultiStep { milestones: vec![at(4), at(8)], gamma: 0.1 }
            }
        }
    }
}

/// Images per step unless something else is asked for.
pub(super) const BATCH_SIZE: usize = 128;
/// Most parts of a step.
const MOST_PARTS: usize = 1 << 16;

/// A training run. The defaults train a small network with deconvolution on generated digits.
///
/// ```
/// use mexhat::train::{OptimizerKind, Options};
/// let optimizer = OptimizerKind::Adam;
/// let options = Options { data: "mnist".into(), optimizer, epochs: Some(3), ..Default::default() };
/// options.validate()?;
/// assert_eq!(options.base_lr(), 1e-3); // Adam's, where none is given
/// // A run folder's options.json; what it leaves out takes the defaults.
/// let text = r#"{ "data": "mnist", "optimizer": "adam", "epochs": 3 }"#;
/// let kept: Options = serde_json::from_str(text).expect("options");
/// assert_eq!(kept, options);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default)]
pub struct Options {
    /// Data set: glyphs, mnist, fashion-mnist, cifar10, cifar100, shapes (with masks), or the path of a folder or zip.
    /// Pictures are decoded whole before training begins, above 2 GiB into a temporary file below TMPDIR: 2.7 GB for
    /// 20,000 JPEGs of 224 x 224
    #[cfg_attr(feature = "cli", arg(long, default_value = "glyphs", value_name = "NAME|PATH", help_heading = "Data"))]
    pub data: String,
    /// Network and normalisation.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub net: NetOptions,
    /// A network of one's own in place of the named one.
    #[cfg_attr(feature = "cli", arg(skip))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Begin with the values of a run, or of a safetensors file such as a PyTorch state_dict, wherever name and shape
    /// agree
    #[cfg_attr(feature = "cli", arg(long, value_name = "RUN|FILE", help_heading = "Network"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Leave the parameters of these layers or blocks as they are: conv1,layer1.0
    #[cfg_attr(feature = "cli", arg(long, value_name = "LAYER,...", value_delimiter = ',', help_heading = "Network"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// Passes over the training images [default: 1, or as many as --steps needs]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", help_heading = "Training"))]
    pub epochs: Option<u64>,
    /// Stop after so many steps; the schedule still runs over all epochs
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", help_heading = "Training"))]
    pub steps: Option<u64>,
    /// Images per batch, of which a step takes one [default: 128, fewer where there are fewer than 512 training images]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", help_heading = "Training"))]
    pub batch_size: Option<usize>,
    /// Add up the gradients of so many batches for each step, one after the other, so that only one needs memory
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 1, value_name = "N", help_heading = "Training"))]
    pub accumulate: usize,
    /// Processes that train as one, each with batches of that size.
    #[cfg_attr(feature = "cli", arg(skip = 1usize))]
    #[serde(skip_serializing_if = "is_1")]
    pub processes: usize,
    /// Update rule: sgd, adam or adamw
    #[cfg_attr(feature = "cli", arg(long, default_value = "sgd", help_heading = "Training"))]
    pub optimizer: OptimizerKind,
    /// Learning rate [default: 0.1 with sgd, 0.001 with adam and adamw]
    #[cfg_attr(feature = "cli", arg(long, allow_negative_numbers = true, help_heading = "Training"))]
    pub lr: Option<f64>,
    /// Momentum of sgd
    #[cfg_attr(
        feature = "cli",
        arg(long, default_value_t = 0.9, allow_negative_numbers = true, help_heading = "Training")
    )]
    pub momentum: f32,
    /// Pull of all parameters towards zero
    #[cfg_attr(
        feature = "cli",
        arg(long, default_value_t = 1e-3, allow_negative_numbers = true, help_heading = "Training")
    )]
    pub weight_decay: f32,
    /// Look ahead along the new direction, with the momentum of sgd
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Training"))]
    pub nesterov: bool,
    /// Scale the gradients of a step down to this norm over all parameters, where theirs is larger
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "NORM", allow_negative_numbers = true, help_heading = "Training")
    )]
    pub clip_grad_norm: Option<f32>,
    /// How training stores activations and their gradients: f32 or f16, with gradients scaled against overflow;
    /// arithmetic is f32
    #[cfg_attr(feature = "cli", arg(long, default_value = "f32", help_heading = "Training"))]
    #[serde(skip_serializing_if = "is_f32")]
    pub precision: Precision,
    /// Share of each label, 0 to below 1, that is spread over all classes in training
    #[cfg_attr(
        feature = "cli",
        arg(
            long,
            default_value_t = 0.0,
            value_name = "SHARE",
            allow_negative_numbers = true,
            help_heading = "Training"
        )
    )]
    pub label_smoothing: f32,
    /// Average training images and their losses in pairs, in shares drawn from Beta(ALPHA, ALPHA) for each batch, such
    /// as 0.2 (mixup)
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "ALPHA", allow_negative_numbers = true, help_heading = "Training")
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixup: Option<f32>,
    /// How much each class counts in the training loss: balanced (all the same, whatever images they have), or a number
    /// each, 1,0.5,2
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "W,...", allow_hyphen_values = true, help_heading = "Training")
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// Judge, save and export averages of the weights over the steps, of which each step keeps this share, such as
    /// 0.999
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "DECAY", allow_negative_numbers = true, help_heading = "Training")
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// Stop after so many epochs without a better accuracy on the validation images; the best network is kept beside
    /// the last
    #[cfg_attr(feature = "cli", arg(long, value_name = "EPOCHS", help_heading = "Training"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// Learning rate over the run: cosine, multistep, onecycle, poly or constant
    #[cfg_attr(feature = "cli", arg(long, default_value = "cosine", help_heading = "Training"))]
    pub schedule: ScheduleKind,
    /// Steps over which the learning rate first rises in a straight line; the schedule takes the rest of the run
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, value_name = "STEPS", help_heading = "Training"))]
    pub warmup: u64,
    /// Keep a checkpoint after so many steps (500) or so much time (30s, 5m, 1h), beside those at epochs and at the end
    #[cfg_attr(feature = "cli", arg(long, default_value = "1m", value_name = "STEPS|TIME", help_heading = "Run"))]
    pub checkpoint_every: CheckpointEvery,
    /// When the run diverges, make its last steps again and name the operation, step and tensor that went bad first
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Run"))]
    #[serde(skip)]
    pub check_numbers: bool,
    /// Use only so many training images
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", help_heading = "Data"))]
    pub limit_train: Option<usize>,
    /// Use only so many test images
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", help_heading = "Data"))]
    pub limit_test: Option<usize>,
    /// How images are chosen and made ready.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub prepare: Preparation,
    /// Seed of initial values, order, augmentation and generated data
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, help_heading = "Training"))]
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data: "glyphs".into(),
            net: NetOptions::default(),
            network: None,
            init: None,
            freeze: Vec::new(),
            epochs: None,
            steps: None,
            batch_size: None,
            accumulate: 1,
            processes: 1,
            optimizer: OptimizerKind::Sgd,
            lr: None,
            momentum: 0.9,
            weight_decay: 1e-3,
            nesterov: false,
            clip_grad_norm: None,
            precision: Precision::F32,
            label_smoothing: 0.0,
            mixup: None,
            class_weights: None,
            ema: None,
            patience: None,
            schedule: ScheduleKind::Cosine,
            warmup: 0,
            checkpoint_every: CheckpointEvery::default(),
            check_numbers: false,
            limit_train: None,
            limit_test: None,
            prepare: Preparation::default(),
            seed: 0,
        }
    }
}

fn is_1(count: &usize) -> bool {
    *count == 1
}

fn is_f32(precision: &Precision) -> bool {
    *precision == Precision::F32
}

impl Options {
    /// Refuses what no run can be made from, before anything is loaded.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the option, its value and what was expected.
    pub fn validate(&self) -> Result<()> {
        match &self.network {
            Some(network) => self.net.of(network).numbers()?,
            None => self.net.validate()?,
        }
        at_least_1("processes", self.processes)?;
        if self.processes > 1 && self.class_weights.is_some() {
            let what =
                "`class_weights` divide by the weights of a batch, which differ between processes; leave them out";
            return Err(Error::Usage(what.into()));
        }
        at_least_1("batch_size", self.batch_size.unwrap_or(BATCH_SIZE))?;
        let count = |value: Option<u64>| value.map_or(1, |n| n.min(usize::MAX as u64) as usize);
        at_least_1("accumulate", self.accumulate)?;
        if self.accumulate > MOST_PARTS {
            return Err(Error::Usage(format!("`accumulate` is {}; expected at most {MOST_PARTS}", self.accumulate)));
        }
        at_least_1("patience", count(self.patience))?;
        at_least_1("epochs", count(self.epochs))?;
        at_least_1("steps", count(self.steps))?;
        let (lr, momentum, decay) = (self.base_lr(), self.momentum, self.weight_decay);
        number("lr", lr, lr > 0.0, "a number above 0, such as 0.1")?;
        number("momentum", momentum, (0.0..1.0).contains(&momentum), "a number from 0 to below 1, such as 0.9")?;
        number("weight_decay", decay, decay >= 0.0, "0 or a small positive number, such as 0.001")?;
        let (smoothing, clip) = (self.label_smoothing, self.clip_grad_norm.unwrap_or(1.0));
        number(
            "label_smoothing",
            smoothing,
            (0.0..1.0).contains(&smoothing),
            "a number from 0 to below 1, such as 0.1",
        )?;
        let alpha = self.mixup.unwrap_or(1.0);
        number("mixup", alpha, alpha > 0.0, "a number above 0, such as 0.2")?;
        if cfg!(target_arch = "wasm32") && self.mixup.is_some() {
            return Err(Error::Usage("a page has no `mixup`; leave it out".into()));
        }
        if self.mixup.is_some() && self.class_weights.is_some() {
            let what = "`class_weights` are of one class for an image, and `mixup` gives it two; leave one of them out";
            return Err(Error::Usage(what.into()));
        }
        if self.warmup > 0 && self.schedule == ScheduleKind::OneCycle {
            let what =
                "`warmup` lets the learning rate rise, and the schedule onecycle has its own rise; leave `warmup` out";
            return Err(Error::Usage(what.into()));
        }
        let ema = self.ema.unwrap_or(0.0);
        number("ema", ema, (0.0..1.0).contains(&ema), "a number from 0 to below 1, such as 0.999")?;
        number("clip_grad_norm", clip, clip > 0.0, "a number above 0, such as 1")?;
        if self.nesterov && (self.optimizer != OptimizerKind::Sgd || self.momentum == 0.0) {
            return Err(Error::Usage(
                "`nesterov` looks ahead with the momentum of sgd; expected sgd with momentum".into(),
            ));
        }
        Ok(())
    }

    /// Learning rate before the schedule acts on it.
    pub fn base_lr(&self) -> f64 {
        self.lr.unwrap_or(match self.optimizer {
            OptimizerKind::Sgd => 0.1,
            OptimizerKind::Adam | OptimizerKind::AdamW => 1e-3,
        })
    }

    /// The update rule with its constants.
    pub fn update(&self) -> Update {
        let (lr, decay) = (self.base_lr(), self.weight_decay);
        let update: Update = match self.optimizer {
            OptimizerKind::Sgd => {
                let sgd = Sgd::new(lr).momentum(self.momentum).weight_decay(decay);
                if self.nesterov { sgd.nesterov() } else { sgd }.into()
            }
            OptimizerKind::Adam => Adam::new(lr).weight_decay(decay).into(),
            OptimizerKind::AdamW => Adam::new(lr).weight_decay(decay).decoupled().into(),
        };
        let Self { clip_grad_norm, accumulate, ema: average, precision, .. } = *self;
        Update { clip_grad_norm, accumulate, average, precision, ..update }
    }

    /// What training on `train` makes small.
    ///
    /// # Errors
    /// There are weights of classes, but not one for each.
    pub fn loss(&self, train: &Dataset) -> Result<Loss> {
        let label_smoothing = self.label_smoothing;
        Ok(match &self.class_weights {
            Some(weights) => Loss::ClassWeights { weights: weights.of(train)?.into(), label_smoothing },
            #[cfg(not(target_arch = "wasm32"))]
            None if self.mixup.is_some() => Loss::Mixup { label_smoothing },
            None if label_smoothing > 0.0 => Loss::LabelSmoothing(label_smoothing),
            None => Loss::CrossEntropy,
        })
    }

    /// How the data set is loaded.
    pub fn load(&self) -> LoadOptions {
        let prepare = self.prepare.clone();
        LoadOptions { limit_train: self.limit_train, limit_test: self.limit_test, seed: self.seed, prepare }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Norm;

    #[test]
    fn bad_numbers_are_named() {
        let refused = |change: fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            options.validate().unwrap_err().to_string()
        };
        assert_eq!(Options::default().validate().map_err(|e| e.to_string()), Ok(()));
        assert!(refused(|o| o.lr = Some(f64::NAN)).contains("`lr` is NaN"));
        assert!(refused(|o| o.lr = Some(-0.1)).contains("above 0"));
        assert!(refused(|o| o.momentum = -0.1).contains("`momentum` is -0.1; expected"));
        let rises_twice = |o: &mut Options| (o.schedule, o.warmup) = (ScheduleKind::OneCycle, 3);
        assert!(refused(rises_twice).contains("has its own rise"));
        assert!(refused(|o| o.weight_decay = f32::INFINITY).contains("`weight_decay`"));
        assert!(refused(|o| o.label_smoothing = 1.0).contains("`label_smoothing` is 1"));
        assert!(refused(|o| o.clip_grad_norm = Some(0.0)).contains("`clip_grad_norm` is 0"));
        assert!(refused(|o| o.ema = Some(1.0)).contains("`ema` is 1"));
        assert!(refused(|o| o.accumulate = 0).contains("`accumulate` is 0"));
        assert!(refused(|o| o.patience = Some(0)).contains("`patience` is 0"));
        assert!(refused(|o| (o.nesterov, o.momentum) = (true, 0.0)).contains("`nesterov`"));
        assert!(refused(|o| o.batch_size = Some(0)).contains("`batch_size` is 0"));
        assert!(refused(|o| o.epochs = Some(0)).contains("`epochs`"));
        assert!(refused(|o| o.net.block = 0).contains("`block` is 0"));
        assert!(refused(|o| o.net.eps = 0.0).contains("`eps`"));
        assert!(refused(|o| o.net.model = "alexnet".into()).contains("lenet"));
    }

    #[test]
    fn a_partial_object_takes_the_defaults() {
        let options: Options = serde_json::from_str(r#"{"norm":"batch","steps":7,"schedule":"constant"}"#).unwrap();
        assert_eq!((options.net.norm, options.steps, options.schedule), (Norm::Batch, Some(7), ScheduleKind::Constant));
        let rest = Options { net: NetOptions::default(), steps: None, schedule: ScheduleKind::Cosine, ..options };
        assert_eq!(rest, Options::default());
    }
}
