//! `mexhat compare`.

use super::output::{Side, say_table};
use super::{say, say_json};
use crate::train::{Comparison, Spread, compare, write_whole};
use crate::viz::{RunCurves, curves_svg};
use crate::{Error, Result};
use clap::Args;
use std::path::PathBuf;

/// Compares.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    mexhat compare runs/*-lenet-*\n  \
    mexhat compare deconv-0 deconv-1 batch-0 batch-1 --out norms.svg")]
pub(super) struct CompareArgs {
    /// Run folders; those that differ by their seed alone are one row, with mean and deviation
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Picture of their curves
    #[arg(long, value_name = "SVG", default_value = "compare.svg")]
    out: PathBuf,
    /// One JSON object a row on stdout
    #[arg(long)]
    json: bool,
}

/// Mean and deviation, times `scale`.
fn shown(spread: Option<Spread>, scale: f64, digits: usize) -> String {
    match spread {
        None => "-".into(),
        Some(Spread { mean, std: None }) => format!("{:.digits$}", mean * scale),
        Some(Spread { mean, std: Some(std) }) => format!("{:.digits$} ± {:.digits$}", mean * scale, std * scale),
    }
}

pub(super) fn run(args: &CompareArgs) -> Result<()> {
    let Comparison { title, groups } = compare(&args.runs)?;
    if args.json {
        groups.iter().try_for_each(say_json)?;
    } else {
        let head = ["runs", "seeds", "steps", "test accuracy, %", "test loss", "training loss"].map(String::from);
        let mut rows = vec![head.to_vec()];
        rows.extend(groups.iter().map(|group| {
            vec![
                group.name.clone(),
                group.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(" "),
                group.steps.to_string(),
                shown(group.accuracy, 100.0, 2),
                shown(group.loss, 1.0, 4),
                shown(group.training_loss, 1.0, 4),
            ]
        }));
        say_table(rows.iter(), Side::Right);
        if groups.iter().any(|group| group.seeds.len() > 1) {
            say(
                "± is the sample standard deviation over seeds; the training loss is that of the last tenth of the steps",
            );
        }
    }
    let curves: Vec<RunCurves> = groups.into_iter().map(|group| group.curves).collect();
    let svg = curves_svg(&title, &curves)?;
    write_whole(&args.out, svg.as_bytes())
        .map_err(|e| Error::input(&args.out, format!("cannot be written: {e}; choose another --out")))?;
    if !args.json {
        say(&format!("curves are in {}", args.out.display()));
    }
    Ok(())
}
