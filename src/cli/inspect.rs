//! `mexhat inspect`.

use super::{DeviceArgs, say, say_json};
use crate::Result;
use crate::study::{Folder, InspectOptions, inspect};
use clap::Args;
use std::path::PathBuf;

/// Shows what a trained network's deconvolutions do.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    mexhat inspect runs/20260131-120000-lenet-deconv\n  \
    mexhat inspect model.safetensors --data mnist --out report")]
pub(super) struct InspectArgs {
    /// A run folder or a .safetensors file
    run: PathBuf,
    /// Data set [default: the one it was trained on]
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// Folder for the report [default: RUN/inspect, or inspect beside a file]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Seed of generated data
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object a line: one for each layer
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &InspectArgs) -> Result<()> {
    // A wrong path is heard of before a device is opened.
    crate::train::read_model(&args.run)?;
    let gpu = args.device.open()?;
    let options = InspectOptions { data: args.data.clone(), seed: args.seed };
    let found = pollster::block_on(inspect(&gpu, &args.run, &options))?;
    let beside = || {
        let folder = if args.run.is_dir() { Some(args.run.as_path()) } else { args.run.parent() };
        folder.unwrap_or(std::path::Path::new(".")).join("inspect")
    };
    let folder = Folder::open(args.out.clone().unwrap_or_else(beside))?;
    for (name, bytes) in &found.files {
        folder.write(name, bytes)?;
    }
    folder.json("report.json", &found.layers)?;
    folder.write("report.html", found.html.as_bytes())?;
    for layer in &found.layers {
        if args.json {
            say_json(layer)?;
        } else {
            say(&format!(
                "{}: {} x {d} x {d}, whiteness {:.3} before, {:.3} after, {:.3} with the running D; condition {:.2e} before, {:.2e} after; \
                 kurtosis {:.2} before, {:.2} after",
                layer.name,
                layer.statistics,
                layer.whiteness_before,
                layer.whiteness_after,
                layer.whiteness_after_running,
                layer.condition_before,
                layer.condition_after,
                layer.kurtosis_before,
                layer.kurtosis_after,
                d = layer.d,
            ));
        }
    }
    if !args.json {
        say(&format!("report in {}", folder.path().join("report.html").display()));
    }
    Ok(())
}
