//! `mexhat reproduce`.

use super::output::{Side, say_table};
use super::{DeviceArgs, say, say_json};
use crate::study::{EXPERIMENTS, ExperimentOptions, Findings, Folder, PhotoSet, Runs, reproduce};
use crate::{Error, Result};
use clap::Args;
use std::path::PathBuf;

/// Runs an experiment of the paper.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    mexhat reproduce --list\n  \
    mexhat reproduce fig7 --image photo.jpg\n  \
    mexhat reproduce table1 --model vgg16,resnet18 --epochs 1 --limit-train 4000 --limit-test 2000 --seeds 3\n  \
    mexhat reproduce fig5a --data path/to/fashion-mnist --out fig5a")]
pub(super) struct ReproduceArgs {
    /// Name of the experiment
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// List all experiments with what each expects
    #[arg(long)]
    list: bool,
    /// The paper's size instead of minutes on a CPU
    #[arg(long)]
    full: bool,
    /// Data set in place of the paper's: a name or a path
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// Photograph for fig7 [default: a generated picture]
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    #[command(flatten)]
    runs: Runs,
    /// Seed of order and initial values
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder for pictures and numbers [default: reproduce/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

fn show(found: &Findings) {
    say(&format!("{}: {}", found.experiment.name, found.experiment.about));
    say(&found.note);
    say("");
    say_table(std::iter::once(&found.heading).chain(&found.rows), Side::Left);
    say("");
    say(&format!("the paper expects: {}", found.experiment.expects));
    for check in &found.checks {
        let verdict = if check.shown { "shown" } else { "NOT shown" };
        say(&format!("{verdict}: {} ({})", check.claim, check.numbers));
    }
}

pub(super) fn run(args: &ReproduceArgs) -> Result<()> {
    if args.list {
        for experiment in EXPERIMENTS {
            if args.json {
                say_json(experiment)?;
            } else {
                say(&format!("{:7} {}", experiment.name, experiment.about));
                say(&format!("{:7} expects: {}", "", experiment.expects));
            }
        }
        return Ok(());
    }
    let name = args.name.as_deref().unwrap_or_default();
    if !EXPERIMENTS.iter().any(|e| e.name == name) {
        let known: Vec<&str> = EXPERIMENTS.iter().map(|e| e.name).collect();
        return Err(Error::Usage(format!("unknown experiment '{name}'; expected one of {}", known.join(", "))));
    }
    let photos = (!args.image.is_empty()).then(|| PhotoSet::files(&args.image));
    let options = ExperimentOptions {
        full: args.full,
        seed: args.seed,
        data: args.data.clone(),
        photos,
        runs: args.runs.clone(),
    };
    let gpu = args.device.open()?;
    let found = pollster::block_on(reproduce(&gpu, name, &options))?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from("reproduce").join(name));
    let folder = Folder::open(&out)?;
    for (file, svg) in &found.pictures {
        folder.write(file, svg.as_bytes())?;
    }
    folder.json(&format!("{name}.json"), &found)?;
    if args.json {
        return say_json(&found);
    }
    show(&found);
    say(&format!("pictures and numbers in {}", out.display()));
    Ok(())
}
