//! What happens in a run, as it happens.

use crate::named::named;
use serde::{Deserialize, Serialize};

/// What is known before the first step.
///
/// ```
/// use mexhat::train::{Event, Started};
/// fn show(event: &Event) {
///     if let Event::Started(Started { model, parameters, device, steps, decided, .. }) = event {
///         println!("{model}, {parameters} parameters, {steps} steps on {device}");
///         decided.iter().for_each(|line| println!("{line}"));
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Name of the network.
    pub model: String,
    /// Name of its [`Norm`](crate::nn::Norm).
    pub norm: String,
    /// Data set.
    pub data: String,
    /// Adapter.
    pub device: String,
    /// Its backend.
    pub backend: String,
    /// Trainable values.
    pub parameters: usize,
    /// Training images.
    pub train_images: usize,
    /// Validation images.
    #[serde(default)]
    pub validation_images: usize,
    /// Test images.
    pub test_images: usize,
    /// Images per step, of all [processes](crate::processes) together.
    pub batch_size: usize,
    /// Steps of the whole run.
    pub steps: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Steps done before, in a run that goes on.
    pub done: u64,
    /// GPU memory of the run.
    pub gpu_bytes: u64,
    /// What was decided about the data and the batches, a line each.
    #[serde(default)]
    pub decided: Vec<String>,
    /// What is likely a mistake, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The evaluation of an epoch's end that is best so far: with the largest accuracy, of the same ones with the smallest
/// loss.
///
/// ```
/// use mexhat::train::{Best, Event};
/// fn show(event: &Event) {
///     if let Event::Best(Best { epoch, accuracy, .. }) = event {
///         println!("epoch {epoch} is the best so far: {:.1} % right", 100.0 * accuracy);
///     }
/// }
/// # show(&Event::Best(Best { epoch: 2, loss: 0.3, accuracy: 0.9 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Whole epochs done.
    pub epoch: u64,
    /// Validation loss.
    pub loss: f32,
    /// Share of right answers, 0 to 1.
    pub accuracy: f32,
}

impl Best {
    /// Whether this is better than `other`.
    pub(super) fn beats(&self, other: &Self) -> bool {
        (self.accuracy, -self.loss) > (other.accuracy, -other.loss)
    }
}

/// What is known after the last step.
///
/// ```
/// use mexhat::train::{Event, Summary};
/// fn show(event: &Event) {
///     if let Event::Done(Summary { steps, accuracy: Some(accuracy), images_per_second, .. }) = event {
///         println!("{:.1} % right after {steps} steps, {images_per_second:.0} images a second", 100.0 * accuracy);
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the network.
    pub model: String,
    /// Name of its [`Norm`](crate::nn::Norm).
    pub norm: String,
    /// Data set.
    pub data: String,
    /// Adapter.
    pub device: String,
    /// Its backend.
    pub backend: String,
    /// Steps done.
    pub steps: u64,
    /// Whole epochs done.
    pub epochs: u64,
    /// Test loss of the last evaluation; null without one.
    pub loss: Option<f32>,
    /// Share of right answers in it, 0 to 1.
    pub accuracy: Option<f32>,
    /// Mean intersection over union in it, 0 to 1, where pixels have classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_iou: Option<f32>,
    /// Validation loss of the last evaluation; null without one.
    pub validation_loss: Option<f32>,
    /// Share of right answers in it, 0 to 1.
    pub validation_accuracy: Option<f32>,
    /// The best epoch on the validation images, in runs with patience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// True when the run ended because so many epochs were no better than the best.
    #[serde(default)]
    pub stopped_early: bool,
    /// Seconds of training steps, evaluations left out.
    pub train_seconds: f64,
    /// Images per second of training, the first step left out; of all [processes](crate::processes) together.
    pub images_per_second: f64,
    /// Seconds from an open device to the first loss, compilation included.
    pub first_step_seconds: f64,
    /// GPU memory of the run.
    pub gpu_bytes: u64,
    /// Trainable values.
    pub parameters: usize,
    /// True when the run was stopped before its end; `--resume` goes on.
    pub interrupted: bool,
    /// True when a loss or a value of the network was no longer a number. What is kept is from before that.
    pub diverged: bool,
}

named! {
    /// What a network is judged by.
    ///
    /// ```
    /// use mexhat::train::{Event, Split};
    /// let split = Split::Validation;
    /// let event = Event::Eval { step: 100, epoch: 1, split, loss: 0.2, accuracy: 0.95, mean_iou: None };
    /// if let Event::Eval { split, accuracy, .. } = event {
    ///     assert_eq!(format!("{:.0} % of the {split} images", 100.0 * accuracy), "95 % of the validation images");
    /// }
    /// ```
    pub enum Split: "split" {
        /// Images to choose settings by.
        Validation = "validation",
        /// Images to judge by at the end.
        Test = "test",
    }
}

/// One thing that has happened.
///
/// ```
/// use mexhat::train::Event;
/// // A line of a run folder's metrics.jsonl; Learner::fit and Trainer::next give the same events.
/// let line = r#"{ "event": "step", "step": 7, "epoch": 0, "loss": 1.25, "lr": 0.1 }"#;
/// match serde_json::from_str(line).expect("an event") {
///     Event::Step { step, loss, .. } => assert_eq!((step, loss), (7, 1.25)),
///     Event::Eval { accuracy, .. } => println!("{:.1} % are right", 100.0 * accuracy),
///     Event::Done(summary) => println!("{} steps", summary.steps),
///     _ => {}
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Everything is built; the first step comes next.
    Started(Started),
    /// A step's loss is known. Steps come in order and without gaps.
    Step {
        /// Number of the step, from 1.
        step: u64,
        /// Epoch it belongs to, from 0.
        epoch: u64,
        /// Mean loss of its batch, before the update; null in JSON where it is no number.
        #[serde(deserialize_with = "number")]
        loss: f32,
        /// Learning rate of its update.
        lr: f64,
        /// Share of right answers in its batch.
        #[serde(skip)]
        accuracy: f32,
    },
    /// The network has been evaluated: on the validation images, where the data has some, and at the end of the run on
    /// the test images; without validation images always on those.
    Eval {
        /// Steps done.
        step: u64,
        /// Whole epochs done.
        epoch: u64,
        /// Which images; where none are named, test images.
        #[serde(default = "test")]
        split: Split,
        /// Mean loss; null in JSON where it is no number.
        #[serde(deserialize_with = "number")]
        loss: f32,
        /// Share of right answers, 0 to 1: of images, or of pixels where they have classes; null in JSON where the loss
        /// is no number.
        #[serde(deserialize_with = "number")]
        accuracy: f32,
        /// Mean intersection over union, 0 to 1, where pixels have classes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mean_iou: Option<f32>,
    },
    /// The first layer's deconvolution kernels, (channels, channels, kernel, kernel).
    Kernels {
        /// Steps done.
        step: u64,
        /// Channels of a block.
        channels: usize,
        /// Kernel side.
        kernel: usize,
        /// The values.
        values: Vec<f32>,
    },
    /// The evaluation just told is the best so far, in runs with patience. Nothing is in flight: the moment to keep the
    /// network.
    Best(Best),
    /// Nothing is in flight: a good moment for [`Trainer::snapshot`](super::Trainer::snapshot).
    Save {
        /// Steps done.
        step: u64,
    },
    /// The run is over.
    Done(Summary),
    /// The GPU went away.
    DeviceLost {
        /// Steps whose losses are known.
        step: u64,
        /// Step of the values with which training goes on, on a new device: the steps since are made again, and not
        /// told again. Without it an error follows.
        from: Option<u64>,
        /// What the driver says.
        reason: String,
    },
}

fn test() -> Split {
    Split::Test
}

/// JSON has no other way to write what is no number.
fn number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
    Ok(Option::<f32>::deserialize(from)?.unwrap_or(f32::NAN))
}
