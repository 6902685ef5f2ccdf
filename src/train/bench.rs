//! How long a training step takes.

use super::NetOptions;
use super::clock::Instant;
use super::learner::record::{Pass, record};
use super::learner::{Loss, Sgd, Update};
use crate::data::Form;
use crate::gpu::{Gpu, Timings};
use crate::nn::Mode;
use crate::rng::Rng;
use crate::tape::{Precision, Session, State};
use crate::{Error, Result};
use serde::Serialize;

/// Most values of a batch of images: 4 GiB.
const MOST_VALUES: usize = 1 << 30;
/// Most steps.
const MOST_STEPS: usize = 1_000_000;

/// What is measured.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// The network.
    pub net: NetOptions,
    /// (C, H, W) of one image.
    pub input: [usize; 3],
    /// Images per step.
    pub batch_size: usize,
    /// Steps that count.
    pub steps: usize,
    /// Steps before them, the first one included.
    pub warm_up: usize,
    /// Only the forward pass to the logits, with running statistics.
    pub forward: bool,
    /// How a training step stores activations and their gradients.
    pub precision: Precision,
    /// Also time every kernel.
    pub profile: bool,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct StepBench {
    /// `step`.
    pub bench: &'static str,
    /// Name of the network.
    pub model: String,
    /// Name of its [`Norm`](crate::nn::Norm).
    pub norm: String,
    /// Images per step.
    pub batch_size: usize,
    /// Only the forward pass.
    pub forward: bool,
    /// How activations and their gradients were stored.
    pub precision: Precision,
    /// Median over the steps, each from its submission to its loss (forward only: to its logits).
    pub median_ms: f64,
    /// Fastest step.
    pub min_ms: f64,
    /// Steps that counted.
    pub steps: usize,
    /// From an open device to the first loss: recording, planning, buffers, pipelines, their compilation, one step.
    pub first_step_ms: f64,
    /// GPU memory.
    pub gpu_bytes: u64,
    /// Submissions of one step.
    pub submissions_per_step: f64,
    /// Kernel launches of one step.
    pub dispatches_per_step: usize,
    /// Adapter.
    pub device: String,
    /// Time of every kernel, when asked for.
    #[serde(skip)]
    pub timings: Option<Timings>,
}

impl BenchOptions {
    /// Refuses what cannot be measured.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the option.
    pub fn validate(&self) -> Result<()> {
        self.net.validate()?;
        if self.batch_size == 0 || self.steps == 0 {
            return Err(Error::Usage("`batch_size` and `steps`: expected at least 1, found 0".into()));
        }
        let values = self.input.iter().try_fold(self.batch_size, |n, side| n.checked_mul(*side));
        if values.is_none_or(|values| values > MOST_VALUES) || self.steps > MOST_STEPS || self.warm_up > MOST_STEPS {
            return Err(Error::Usage(format!(
                "{} steps and {} before them on {} images of {:?} are more than {MOST_STEPS} steps or {MOST_VALUES} values a batch",
                self.steps, self.warm_up, self.batch_size, self.input
            )));
        }
        Ok(())
    }
}

/// Times training steps (SGD with momentum) on random images, one in flight at a time.
///
/// # Errors
/// The network cannot be built, the device fails, or it has no timestamps to profile with.
pub async fn bench_step(gpu: &Gpu, options: &BenchOptions) -> Result<StepBench> {
    let begin = Instant::now();
    options.validate()?;
    let classes = 10;
    let mut state = State::new();
    let model_options = options.net.model_options(options.input, classes, 0);
    let model = crate::models::build(&options.net.model, &model_options, &mut state)?;
    let update = Update::from(Sgd::new(0.01).momentum(0.9)).precision(options.precision);
    let images = options.batch_size;
    let pass = if options.forward { Pass::Outputs(images) } else { Pass::Train(Mode::Train, images, Form::Values) };
    let how = (Some(&update), &Loss::CrossEntropy);
    let tape = record(pass, gpu.profile(), &model, &mut state, how)?;
    let mut session = Session::new(gpu, &state)?;
    let mut step = session.compile(&[&tape])?.remove(0);

    let mut rng = Rng::new(0);
    let pixels = options.input.iter().product::<usize>() * options.batch_size;
    let images: Vec<f32> = (0..pixels).map(|_| rng.normal()).collect();
    // One for each image, or for each pixel of a network's map.
    let count = tape.inputs().get(1).map_or(0, |labels| tape.shape(*labels).iter().product());
    let labels: Vec<u32> = (0..count).map(|_| rng.below(classes) as u32).collect();
    let scalars = update.rule.scalars(update.lr, 1, 0);
    let inputs = [bytemuck::cast_slice(&images), bytemuck::cast_slice(&labels), scalars.bytes()];
    let inputs = if options.forward { &inputs[..1] } else { &inputs };

    let mut first_step_ms = 0.0;
    let mut times = Vec::with_capacity(options.steps);
    let mut before = gpu.counters();
    for i in 0..options.warm_up.max(1) + options.steps {
        if i == options.warm_up.max(1) {
            before = gpu.counters();
        }
        let start = Instant::now();
        step.submit(inputs).await?;
        step.take().await?;
        if i == 0 {
            first_step_ms = begin.elapsed().as_secs_f64() * 1e3;
        }
        if i >= options.warm_up.max(1) {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    let submissions = gpu.counters().submissions - before.submissions;
    times.sort_by(f64::total_cmp);
    let timings = if options.profile { Some(step.executable().profile().await?) } else { None };
    Ok(StepBench {
        bench: "step",
        model: options.net.model.clone(),
        norm: options.net.norm.to_string(),
        batch_size: options.batch_size,
        forward: options.forward,
        precision: options.precision,
        median_ms: (times[(times.len() - 1) / 2] + times[times.len() / 2]) / 2.0,
        min_ms: times[0],
        steps: options.steps,
        first_step_ms,
        gpu_bytes: session.memory().total(),
        submissions_per_step: submissions as f64 / options.steps as f64,
        dispatches_per_step: step.executable().dispatches(),
        device: gpu.adapter().name.clone(),
        timings,
    })
}
