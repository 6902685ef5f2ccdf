//! `mexhat eval`.

use super::console::said_iou;
use super::{DeviceArgs, note, say, say_json};
use crate::data::{LoadOptions, Preparation, Reading};
use crate::plural::count;
use crate::train::{Confusion, Learner, Saved, evaluate, read_model};
use crate::viz::confusion_svg;
use crate::{Error, Result, data};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Evaluates.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    mexhat eval runs/20260131-120000-lenet-deconv\n  \
    mexhat eval model.safetensors --data mnist --confusion confusion.svg")]
pub(super) struct EvalArgs {
    /// A run folder or a .safetensors file
    run: PathBuf,
    /// Data set [default: the one it was trained on]
    #[arg(long, value_name = "NAME|PATH")]
    data: Option<String>,
    /// Use only so many test images [default: as many as the run, of its own data]
    #[arg(long, value_name = "N")]
    limit_test: Option<usize>,
    /// Images per step
    #[arg(long, default_value_t = 128, value_name = "N")]
    batch_size: usize,
    /// Seed of generated data [default: the run's]
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    reading: Reading,
    /// Draw which classes are taken for which
    #[arg(long, value_name = "SVG")]
    confusion: Option<PathBuf>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_iou: Option<f32>,
    device: &'a str,
    classes: Vec<Class<'a>>,
    confusion: &'a [Vec<u64>],
}

#[derive(Serialize)]
struct Class<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pixels: Option<u64>,
    right: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iou: Option<f32>,
}

/// Most classes whose whole matrix is printed.
const MOST_SHOWN: usize = 12;

/// A table of the classes, and the matrix where it fits a terminal.
fn show(confusion: &Confusion, masks: bool) {
    let names = &confusion.names;
    let wide = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(5);
    let percent = |share: Option<f64>| share.map_or("       -".to_owned(), |share| format!("{:>6.2} %", 100.0 * share));
    let (things, iou, cell) = if masks { ("pixels", "       IoU", 10) } else { ("images", "", 6) };
    say(&format!("{:wide$}  {things:>cell$}  {:>cell$}  accuracy{iou}  most often taken for", "class", "right"));
    for (i, name) in names.iter().enumerate() {
        let (all, right) = confusion.class(i);
        let accuracy = percent((all > 0).then(|| right as f64 / all as f64));
        let iou = if masks { format!("  {}", percent(confusion.iou(i).map(f64::from))) } else { String::new() };
        let taken = confusion.mistaken_for(i).map_or(String::new(), |(other, n)| format!("{other} ({n})"));
        say(format!("{name:wide$}  {all:>cell$}  {right:>cell$}  {accuracy}{iou}  {taken}").trim_end());
    }
    if names.len() > MOST_SHOWN {
        return;
    }
    let largest = confusion.counts.iter().flatten().max().copied().unwrap_or(0);
    let cell = largest.to_string().len().max(3);
    say(&format!("confusion (rows: what {things} are; columns: what the network says, in the same order)"));
    for (name, row) in names.iter().zip(&confusion.counts) {
        let row: Vec<String> = row.iter().map(|n| format!("{n:>cell$}")).collect();
        say(&format!("{name:wide$}  {}", row.join(" ")));
    }
}

/// Whether both name the same data: a set by its name, or one file or folder however it is reached.
fn same_place(a: &str, b: &str) -> bool {
    let place = |path: &str| std::fs::canonicalize(path).ok();
    a == b || place(a).is_some_and(|a| place(b) == Some(a))
}

/// Whether the run in this folder says that it diverged.
fn diverged(run: &Path) -> bool {
    let text = std::fs::read(run.join("summary.json")).unwrap_or_default();
    serde_json::from_slice::<serde_json::Value>(&text).is_ok_and(|summary| summary["diverged"] == true)
}

pub(super) fn run(args: &EvalArgs) -> Result<()> {
    if args.batch_size == 0 {
        return Err(Error::Usage("--batch-size is 0; expected at least 1".into()));
    }
    if let Some(path) = args.confusion.as_ref().filter(|path| path.extension().is_none_or(|end| end != "svg")) {
        let what = format!("--confusion {} would hold SVG; give it a name that ends in .svg", path.display());
        return Err(Error::Usage(what));
    }
    let (path, bytes) = read_model(&args.run)?;
    let saved = Saved::read(&path, &bytes)?;
    let mut state = saved.state();
    saved.build(&mut state)?;
    saved.restore_judged(&mut state)?;
    let spec = &saved.spec;
    let name = args.data.as_deref().unwrap_or(&spec.data);
    let own = same_place(name, &spec.data);
    // Only the test split is looked at; of the run's own data it is the run's, unless told otherwise.
    let known = &spec.load.prepare.reading;
    let Reading { size, background, .. } = *known;
    let others = Reading { size, background, ..Default::default() };
    let reading = args.reading.clone().or(if own { known } else { &others });
    let drawn_anew = reading.split.is_some() && args.seed.is_some_and(|seed| seed != spec.load.seed);
    if own && (reading.split != known.split || drawn_anew) {
        note("note: the network may have learnt from some of these images, because --split or --seed is not the run's");
    }
    if diverged(&args.run) {
        note("note: training of this network diverged; this is its last good state");
    }
    let load = LoadOptions {
        limit_train: Some(1),
        limit_test: args.limit_test.or(spec.load.limit_test.filter(|_| own)),
        seed: args.seed.unwrap_or(spec.load.seed),
        prepare: Preparation { reading, ..if own { spec.load.prepare.clone() } else { Preparation::default() } },
    };
    let mut test = if own {
        data::load(name, &load)?.test
    } else {
        let (test, report) = data::load_test(name, &load)?;
        report.lines().iter().for_each(|line| note(line));
        test
    };
    if own {
        // Otherwise another way to the same folder would pass for other data.
        test.name.clone_from(&spec.data);
    }
    for change in spec.adapt(&mut test)? {
        note(&format!("note: {change}"));
    }
    let gpu = args.device.open()?;
    let test = Arc::new(test);
    let found = pollster::block_on(evaluate(&gpu, spec, &mut state, Arc::clone(&test), args.batch_size))?;
    let mut learner = Learner::from_bytes(&gpu, &path, &bytes, |_| Ok(()))?;
    let confusion = match spec.masks {
        true => Confusion::of_pixels(&test, &learner.classes(&*test)?.values)?,
        false => Confusion::of(&test, &learner.outputs(&*test)?.values)?,
    };
    if let Some(path) = &args.confusion {
        let (shown, percent) = (data::title(name), 100.0 * found.accuracy);
        let title = format!("{} on {shown}: {percent:.2} % of {}", spec.net.model, count(found.images, "image"));
        let svg = confusion_svg(&title, &confusion.names, &confusion.counts)?;
        std::fs::write(path, svg).map_err(|e| Error::Run(format!("{} could not be written: {e}", path.display())))?;
    }
    if args.json {
        let class = |(i, name)| {
            let (all, right) = confusion.class(i);
            let [images, pixels] = [!spec.masks, spec.masks].map(|of| of.then_some(all));
            Class { name, images, pixels, right, iou: confusion.iou(i).filter(|_| spec.masks) }
        };
        return say_json(&Found {
            event: "eval",
            model: &spec.net.model,
            norm: spec.net.norm.to_string(),
            data: name,
            images: found.images,
            loss: found.loss,
            accuracy: found.accuracy,
            mean_iou: found.mean_iou,
            device: &gpu.adapter().name,
            classes: confusion.names.iter().map(String::as_str).enumerate().map(class).collect(),
            confusion: &confusion.counts,
        });
    }
    let (percent, loss, images) = (100.0 * found.accuracy, found.loss, found.images);
    show(&confusion, spec.masks);
    let iou = said_iou(found.mean_iou);
    say(&format!("test accuracy {percent:.2} %{iou}, test loss {loss:.4}, on {} of {name}", count(images, "image")));
    Ok(())
}
