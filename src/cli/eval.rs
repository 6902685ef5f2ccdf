//! `mexhat eval`.

use super::{DeviceArgs, say, say_json};
use crate::data::LoadOptions;

use crate::train::{Saved, evaluate, read_model};
use crate::{Error, Result, data};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

/// Evaluates.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    mexhat eval runs/20260131-120000-lenet-deconv\n  \
    mexhat eval model.safetensors --data mnist")]
pub(super) struct EvalArgs {
    /// A run folder or a .safetensors file
    run: PathBuf,
    /// Data set [default: the one it was trained on]
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// Use only so many test images
    #[arg(long, value_name = "N")]
    limit_test: Option<usize>,
    /// Images per step
    #[arg(long, default_value_t = 128, value_name = "N")]
    batch_size: usize,
    /// Seed of generated data
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Found<'a> {
    event: &'static str,
    model: &'a str,
    norm: String,
    data: &'a str,
    images: usize,
    loss: f32,
    accuracy: f32,
    device: &'a str,
}

pub(super) fn run(args: &EvalArgs) -> Result<()> {
    if args.batch_size == 0 {
        return Err(Error::Usage("--batch-size is 0; expected at least 1".into()));
    }
    let (path, bytes) = read_model(&args.run)?;
    let saved = Saved::read(&path, &bytes)?;
    let mut state = saved.state();
    saved.spec.build(0, &mut state)?;
    saved.restore(&mut state)?;
    let name = args.data.as_deref().unwrap_or(&saved.spec.data);
    // Only the test split is looked at.
    let load = LoadOptions { limit_train: Some(1), limit_test: args.limit_test, seed: args.seed, ..Default::default() };
    let test = Arc::new(data::load(name, &load)?.test);
    let gpu = args.device.open()?;
    let found = pollster::block_on(evaluate(&gpu, &saved.spec, &mut state, test, args.batch_size))?;
    if args.json {
        return say_json(&Found {
            event: "eval",
            model: &saved.spec.net.model,
            norm: saved.spec.net.norm.to_string(),
            data: name,
            images: found.images,
            loss: found.loss,
            accuracy: found.accuracy,
            device: &gpu.adapter().name,
        });
    }
    let (percent, loss, images) = (100.0 * found.accuracy, found.loss, found.images);
    say(&format!("test accuracy {percent:.2} %, test loss {loss:.4}, on {images} images of {name}"));
    Ok(())
}
