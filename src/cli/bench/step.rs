//! `mexhat bench step`.

use super::sizes;
use crate::Result;
use crate::cli::console::rate;
use crate::cli::timings::show_timings;
use crate::cli::{DeviceArgs, say, say_json};
use crate::plural::count;
use crate::train::{BenchOptions, NetOptions, Precision, StepBench, bench_step};
use clap::Args;

/// Measures whole training steps.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    mexhat bench step --model yardstick --norm batch --batch-size 64 --json\n  \
    mexhat bench step --model resnet18 --shape 3x32x32 --batch-size 32 --profile\n  \
    mexhat bench step --model yardstick --norm batch --forward")]
pub(super) struct StepArgs {
    #[command(flatten)]
    net: NetOptions,
    /// Images per step
    #[arg(long, default_value_t = 64, value_name = "N")]
    batch_size: usize,
    /// Channels x height x width of an image [default: what the network was made for, 1x28x28 for a file]
    #[arg(long, value_name = "CxHxW")]
    shape: Option<String>,
    /// Steps that count
    #[arg(long, default_value_t = 20, value_name = "N")]
    steps: usize,
    /// Steps before them
    #[arg(long, default_value_t = 3, value_name = "N")]
    warm_up: usize,
    /// Only the forward pass, with running statistics, as in evaluation
    #[arg(long)]
    forward: bool,
    /// How a step stores activations and their gradients: f32 or f16
    #[arg(long, default_value = "f32", conflicts_with = "forward")]
    precision: Precision,
    /// Also time every kernel (on adapters with timestamp queries)
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object a line on stdout
    #[arg(long)]
    json: bool,
}

impl StepArgs {
    fn input(&self) -> Result<[usize; 3]> {
        let Some(text) = &self.shape else {
            let model = self.net.model.as_str();
            let digits =
                ["lenet", "small", "deep", "mlp", "linear", "yardstick"].contains(&model) || model.ends_with(".toml");
            let large = model.ends_with("-imagenet") || model.starts_with("deeplab");
            return Ok(match (digits, large) {
                (true, _) => [1, 28, 28],
                (_, true) => [3, 224, 224],
                _ => [3, 32, 32],
            });
        };
        sizes(text, "channels, height and width of an image")
    }
}

pub(super) fn run(args: &StepArgs) -> Result<()> {
    let options = BenchOptions {
        net: args.net.clone(),
        input: args.input()?,
        batch_size: args.batch_size,
        steps: args.steps,
        warm_up: args.warm_up,
        forward: args.forward,
        precision: args.precision,
        profile: args.profile,
    };
    options.validate()?;
    let gpu = args.device.open()?;
    let found = pollster::block_on(bench_step(&gpu, &options))?;
    if args.json {
        say_json(&found)?
    } else {
        show(&found)
    }
    match &found.timings {
        Some(timings) => show_timings(timings, args.json),
        None => Ok(()),
    }
}

fn show(found: &StepBench) {
    say(&format!(
        "{} with norm {}, batch {}{}, on {}\n\
         step         {:.1} ms median, {:.1} ms at best, of {}{}\n\
         first step   {:.0} ms after the device was open\n\
         GPU memory   {:.1} MiB\n\
         per step     {}, {}",
        found.model,
        found.norm,
        found.batch_size,
        match (found.forward, found.precision) {
            (true, _) => ", forward only",
            (_, Precision::F16) => ", precision f16",
            (_, Precision::F32) => "",
        },
        found.device,
        found.median_ms,
        found.min_ms,
        count(found.steps, "step"),
        rate(found.batch_size as f64 / found.median_ms * 1e3),
        found.first_step_ms,
        found.gpu_bytes as f64 / 1_048_576.0,
        count(found.submissions_per_step, "submission"),
        count(found.dispatches_per_step, "dispatch")
    ));
}
