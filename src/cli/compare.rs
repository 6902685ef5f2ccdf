//! `mexhat compare`.

use super::console::readable;
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

/// Mean and deviation, each as `text` writes it.
fn shown(spread: Option<Spread>, text: impl Fn(f64) -> String) -> String {
    match spread {
        None => "-".into(),
        Some(Spread { mean, std: None }) => text(mean),
        Some(Spread { mean, std: Some(std) }) => format!("{} ± {}", text(mean), text(std)),
    }
}

/// A share in per cent; networks that have diverged have none.
fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.2}", 100.0 * share) } else { "none".into() }
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
        row.push(shown(group.accuracy, percent));
        row.extend(maps.then(|| shown(group.mean_iou, percent)));
        row.extend([group.loss, group.training_loss].map(|loss| shown(loss, readable)));
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
