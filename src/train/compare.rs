//! Finished runs side by side: runs that differ by their seed alone are one group, with mean and deviation.

use super::earlier::{as_written, written_options};
use super::files::read_regular;
use super::folder::{METRICS, OPTIONS, chart};
use super::{Event, Split};
use crate::viz::{EvalPoint, RunCurves, StepPoint};
use crate::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Options that say where and how long, not what.
const ASIDE: [&str; 2] = ["seed", "checkpoint_every"];

/// Mean over seeds, and their sample deviation where there are two or more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation (n - 1).
    pub std: Option<f64>,
}

impl Spread {
    fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        (!values.is_empty()).then(|| Self { mean, std: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()) })
    }
}

/// Runs that differ by their seed alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// The options by which it differs from the other groups.
    pub name: String,
    /// The runs' folders.
    pub runs: Vec<PathBuf>,
    /// Their seeds.
    pub seeds: Vec<u64>,
    /// Steps that all of them have done.
    pub steps: u64,
    /// Share of right answers in the last evaluation on test images that all of them have, 0 to 1.
    pub accuracy: Option<Spread>,
    /// Mean intersection over union in it, 0 to 1, where pixels have classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_iou: Option<Spread>,
    /// Loss in it.
    pub loss: Option<Spread>,
    /// Mean training loss of the last tenth of these steps.
    pub training_loss: Option<Spread>,
    /// Runs that ended because a loss or a value was no longer a number; what they are judged by is from before that.
    pub diverged: usize,
    /// Means over the runs, step by step.
    #[serde(skip)]
    pub curves: RunCurves,
}

struct Run {
    path: PathBuf,
    options: Map<String, Value>,
    seed: u64,
    curves: RunCurves,
    /// On test images, whatever the curves show.
    tests: Vec<Judged>,
    diverged: bool,
}

/// What one evaluation found.
#[derive(Clone, Copy)]
struct Judged {
    step: u64,
    loss: f32,
    accuracy: f32,
    mean_iou: Option<f32>,
}

impl Run {
    fn read(path: &Path) -> Result<Self> {
        let file = path.join(OPTIONS);
        if !file.exists() {
            return Err(Error::input(path, "is no run folder: it has no options.json; expected one of `mexhat train`"));
        }
        let options = written_options(path)?;
        let file = path.join(METRICS);
        let text = String::from_utf8_lossy(&read_regular(&file)?).into_owned();
        let mut curves = RunCurves::default();
        // The last line of a run that still goes on may be half written.
        let (mut tests, mut diverged) = (Vec::new(), false);
        for event in text.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok()) {
            chart(&mut curves, &event);
            match event {
                Event::Step { loss, .. } | Event::Eval { loss, .. } if !loss.is_finite() => diverged = true,
                Event::Eval { step, split: Split::Test, loss, accuracy, mean_iou, .. } => {
                    tests.push(Judged { step, loss, accuracy, mean_iou });
                }
                Event::Done(summary) => diverged = summary.diverged,
                _ => {}
            }
        }
        if curves.steps.is_empty() {
            return Err(Error::input(file, "tells of no step; compare a run that has begun to train"));
        }
        Ok(Self { path: path.to_owned(), seed: options.seed, options: as_written(&options), curves, tests, diverged })
    }

    /// What the run was asked to do, its seed aside.
    fn asked(&self) -> Map<String, Value> {
        let mut options = self.options.clone();
        options.retain(|key, _| !ASIDE.contains(&key.as_str()));
        options
    }
}

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What all have in common, and by what they differ: `lenet on glyphs, by norm and lr`.
    pub title: String,
    /// Runs that differ by their seed alone are one.
    pub groups: Vec<Group>,
}

/// The runs in these folders, those that differ by their seed alone together, in the order in which they are given.
///
/// # Errors
/// A folder is no run that has begun to train, or stands there twice.
pub fn compare(paths: &[PathBuf]) -> Result<Comparison> {
    let mut groups: Vec<Vec<Run>> = Vec::new();
    for path in paths {
        let run = Run::read(path)?;
        match groups.iter_mut().find(|group| group[0].asked() == run.asked()) {
            Some(group) => {
                if let Some(same_seed) = group.iter().find(|other| other.seed == run.seed) {
                    return Err(Error::Usage(format!(
                        "{} and {} are runs of the same options and seed, so that they tell nothing of the spread; \
                         leave one of them out",
                        same_seed.path.display(),
                        run.path.display()
                    )));
                }
                group.push(run);
            }
            None => groups.push(vec![run]),
        }
    }
    let options: Vec<Map<String, Value>> = groups.iter().map(|group| group[0].asked()).collect();
    let title = title(&options);
    let groups = groups.iter().zip(&options).map(|(group, own)| summarize(group, name(own, &options))).collect();
    Ok(Comparison { title, groups })
}

/// Keys of the options in which not all agree; the layers of a network follow from its name.
fn differing(all: &[Map<String, Value>]) -> Vec<&str> {
    let keys: BTreeSet<&String> = all.iter().flat_map(Map::keys).collect();
    let differs = |key: &&String| *key != "network" && all.iter().any(|other| other.get(*key) != all[0].get(*key));
    keys.into_iter().filter(differs).map(String::as_str).collect()
}

/// What a picture of them is called.
fn title(all: &[Map<String, Value>]) -> String {
    let keys = differing(all);
    let shared = |key: &str| all[0].get(key).and_then(Value::as_str).filter(|_| !keys.contains(&key));
    let mut title = shared("model").unwrap_or("networks").to_owned();
    if let Some(data) = shared("data") {
        title += &format!(" on {}", crate::data::title(data));
    }
    let by = match keys.as_slice() {
        [] => return title,
        [one] => (*one).to_owned(),
        [first @ .., last] if first.len() < 4 => format!("{} and {last}", first.join(", ")),
        [first @ .., _] => format!("{} and {} other options", first[..3].join(", "), keys.len() - 3),
    };
    format!("{title}, by {by}")
}

/// The options in which not all groups agree, or the network and its norm.
fn name(own: &Map<String, Value>, all: &[Map<String, Value>]) -> String {
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "default".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let mut parts = Vec::new();
    for key in differing(all) {
        let value = text(own.get(key));
        parts.push(if ["model", "norm"].contains(&key) { value } else { format!("{key} {value}") });
    }
    if parts.is_empty() {
        parts = ["model", "norm"].map(|key| text(own.get(key))).to_vec();
    }
    parts.join(", ")
}

fn summarize(group: &[Run], name: String) -> Group {
    let last = |run: &Run| run.curves.steps.last().map_or(0, |step| step.step);
    let steps = group.iter().map(last).min().unwrap_or(0);
    let mut curves = RunCurves { name: name.clone(), validation: group[0].curves.validation, ..RunCurves::default() };
    let first = &group[0].curves;
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    for point in first.steps.iter().filter(|point| point.step <= steps) {
        let at = |run: &Run| {
            let steps = &run.curves.steps;
            steps.binary_search_by_key(&point.step, |other| other.step).ok().map(|at| steps[at].loss)
        };
        if let Some(losses) = group.iter().map(at).collect::<Option<Vec<f32>>>() {
            curves.steps.push(StepPoint { loss: mean(&losses), ..*point });
        }
    }
    for evals in together(group, |run| &run.curves.evals, |eval| eval.step) {
        let of = |value: fn(&EvalPoint) -> f32| mean(&evals.iter().map(value).collect::<Vec<_>>());
        curves.evals.push(EvalPoint { step: evals[0].step, loss: of(|e| e.loss), accuracy: of(|e| e.accuracy) });
    }
    let latest = together(group, |run| &run.tests, |test| test.step).pop().unwrap_or_default();
    let spread = |values: &[f32]| Spread::of(&values.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
    let tail = |run: &Run| {
        let from = steps - (steps / 10).max(1);
        let losses: Vec<f32> =
            run.curves.steps.iter().filter(|p| p.step > from && p.step <= steps).map(|p| p.loss).collect();
        mean(&losses)
    };
    Group {
        name,
        runs: group.iter().map(|run| run.path.clone()).collect(),
        seeds: group.iter().map(|run| run.seed).collect(),
        steps,
        accuracy: spread(&latest.iter().map(|test| test.accuracy).collect::<Vec<_>>()),
        mean_iou: latest
            .iter()
            .map(|test| test.mean_iou)
            .collect::<Option<Vec<_>>>()
            .and_then(|shares| spread(&shares)),
        loss: spread(&latest.iter().map(|test| test.loss).collect::<Vec<_>>()),
        training_loss: spread(&group.iter().map(tail).collect::<Vec<_>>()),
        diverged: group.iter().filter(|run| run.diverged).count(),
        curves,
    }
}

/// What was found after the same steps in all runs, of each run in turn.
fn together<T: Copy>(group: &[Run], evals: fn(&Run) -> &Vec<T>, step: fn(&T) -> u64) -> Vec<Vec<T>> {
    let at = |wanted: u64| group.iter().map(|run| evals(run).iter().find(|e| step(e) == wanted).copied()).collect();
    evals(&group[0]).iter().filter_map(|eval| at(step(eval))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_called_by_what_is_shared_and_what_differs() {
        let run = |text: &str| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let a = run(r#"{"model": "lenet", "data": "glyphs", "norm": "batch", "lr": 0.1}"#);
        let b = run(r#"{"model": "lenet", "data": "glyphs", "norm": "deconv", "lr": 0.1}"#);
        let c = run(r#"{"model": "mlp", "data": "mnist", "norm": "deconv"}"#);
        let d = run(r#"{"model": "mlp", "data": "mnist", "norm": "none", "lr": 1, "ema": 1, "width": 2}"#);
        assert_eq!(title(std::slice::from_ref(&a)), "lenet on glyphs");
        assert_eq!(title(&[a.clone(), b.clone()]), "lenet on glyphs, by norm");
        assert_eq!(title(&[b, c.clone()]), "networks, by data, lr and model");
        assert_eq!(title(&[a, d]), "networks, by data, ema, lr and 3 other options");
    }
}
