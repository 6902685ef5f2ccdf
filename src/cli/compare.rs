//! `mexhat compare`.

use super::output::{Side, say_table};
use super::{say, say_json};
use crate::train::{Comparison, Group, Spread, compare, write_whole};
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

/// Mean and deviation, times `scale`; what explodes without its forty digits.
fn shown(spread: Option<Spread>, scale: f64, digits: usize) -> String {
    match spread {
        None => "-".into(),
        Some(Spread { mean, .. }) if !mean.is_finite() => "none".into(),
        Some(Spread { mean, .. }) if mean >= 1e6 => format!("{mean:.1e}"),
        Some(Spread { mean, std: None }) => format!("{:.digits$}", mean * scale),
        Some(Spread { mean, std: Some(std) }) => format!("{:.digits$} ± {:.digits$}", mean * scale, std * scale),
    }
}

/// One row for each group; a column for maps of classes where there are some.
fn table(groups: &[Group]) -> Vec<Vec<String>> {
    let maps = groups.iter().any(|group| group.mean_iou.is_some());
    let accuracy = if maps { "test accuracy of pixels, %" } else { "test accuracy, %" };
    let iou = maps.then_some("test mean IoU, %");
    let head = ["runs", "seeds", "steps", accuracy].into_iter().chain(iou).chain(["test loss", "training loss"]);
    let row = |group: &Group| {
        let diverged = match (group.diverged, group.runs.len()) {
            (0, _) => String::new(),
            (1, 1) => " (diverged)".to_owned(),
            (some, all) => format!(" ({some} of {all} diverged)"),
        };
        let seeds = group.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
        let mut row = vec![format!("{}{diverged}", group.name), seeds, group.steps.to_string()];
        row.push(shown(group.accuracy, 100.0, 2));
        row.extend(maps.then(|| shown(group.mean_iou, 100.0, 2)));
        row.extend([group.loss, group.training_loss].map(|loss| shown(loss, 1.0, 4)));
        row
    };
    std::iter::once(head.map(String::from).collect()).chain(groups.iter().map(row)).collect()
}

pub(super) fn run(args: &CompareArgs) -> Result<()> {
    let Comparison { title, groups } = compare(&args.runs)?;
    if args.json {
        groups.iter().try_for_each(say_json)?;
    } else {
        say_table(table(&groups).iter(), Side::Right);
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
