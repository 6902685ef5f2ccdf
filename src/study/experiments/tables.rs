//! Tables 1 and 2 and Figure 8a: networks with batch norm and with deconvolution, each with the paper's settings
//! (method, section 10.2), the paper's accuracy beside this run's.

use super::{Check, Experiment, ExperimentOptions, Findings, Series};
use crate::data::{Augmentation, LoadOptions, Normalization, Preparation, Reading, Size, Splits, load, title};
use crate::gpu::Gpu;
use crate::models::Norm;
use crate::plural::count;
use crate::train::{Event, NetOptions, Options, Trainer, check_fits};
use crate::viz::lines::{Line, lines_svg};
use crate::{Error, Result};
use std::time::Instant;

/// What is changed of the paper's runs of networks.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct Runs {
    /// Networks of table1, table2, fig6, fig8a, fig8b and fig12
    /// [default: vgg16, resnet18-imagenet, deeplabv3-resnet50, vgg13, vgg11, vgg11; with --full all of a table, and
    /// vgg11-imagenet]
    #[cfg_attr(feature = "cli", arg(long = "model", value_name = "NAME,...", value_delimiter = ','))]
    pub models: Vec<String>,
    /// Times the channels of these networks: 0.25 makes them four times narrower
    /// [default: 1; of fig6 0.125 without --full]
    #[cfg_attr(feature = "cli", arg(long, value_name = "TIMES"))]
    pub width: Option<f64>,
    /// Passes over the training images [default: 1, of fig6, fig8b and fig12 4; with --full the paper's]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub epochs: Option<u64>,
    /// Use only so many training images [default: 2000, of fig6 800; with --full all]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub limit_train: Option<usize>,
    /// Use only so many test images [default: 1000, of fig6 100; with --full all]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub limit_test: Option<usize>,
    /// Images per batch [default: the paper's, 128 or 256, of fig6 8]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub batch_size: Option<usize>,
    /// Learning rate of both norms [default: the paper's]
    #[cfg_attr(feature = "cli", arg(long))]
    pub lr: Option<f64>,
    /// Make each run with so many seeds, from --seed on [default: 1; of fig8a 5 with --full, as the paper]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub seeds: Option<u64>,
}

/// The experiments that [`Runs`] belong to.
pub(super) const NAMES: [&str; 6] = ["table1", "table2", "fig6", "fig8a", "fig8b", "fig12"];

/// Epochs of Table 1's columns.
const EPOCHS: [u64; 3] = [1, 20, 100];
/// Accuracies of batch norm and deconvolution, in percent.
type Pair = [f64; 2];

/// CIFAR-10 after 1, 20 and 100 epochs, CIFAR-100 after 20 and 100.
const TABLE_1: [(&str, [Pair; 3], [Pair; 2]); 10] = [
    ("vgg16", [[14.12, 74.18], [90.07, 93.25], [93.58, 94.56]], [[63.22, 71.97], [72.75, 75.32]]),
    ("resnet18", [[56.25, 72.89], [92.64, 94.07], [94.87, 95.40]], [[72.67, 76.55], [77.70, 78.63]]),
    ("preact18", [[55.15, 72.70], [91.93, 94.10], [94.37, 95.44]], [[70.79, 76.04], [76.14, 79.14]]),
    ("densenet121", [[59.56, 76.63], [93.25, 94.89], [94.71, 95.88]], [[74.79, 77.63], [77.99, 80.69]]),
    ("resnext29", [[52.14, 69.22], [93.12, 94.05], [95.15, 95.80]], [[74.26, 77.35], [78.60, 80.34]]),
    ("mobilenetv2", [[54.29, 65.40], [89.86, 92.52], [90.51, 94.35]], [[66.31, 72.33], [67.52, 74.90]]),
    ("dpn92", [[34.00, 53.02], [92.87, 93.74], [95.14, 95.82]], [[74.87, 76.12], [78.87, 80.38]]),
    ("pnasnet-a", [[21.81, 64.19], [75.85, 81.97], [81.22, 84.45]], [[44.60, 55.65], [54.52, 59.44]]),
    ("senet18", [[57.63, 67.21], [92.37, 94.11], [94.57, 95.38]], [[71.10, 75.79], [76.41, 78.63]]),
    ("efficientnet-b0", [[35.40, 55.67], [84.21, 86.78], [86.07, 88.42]], [[57.23, 57.59], [59.09, 62.37]]),
];

/// ImageNet after 90 epochs, and the learning rate.
pub(super) const TABLE_2: [(&str, Pair, f64); 3] = [
    ("vgg11-imagenet", [70.38, 71.95], 0.01),
    ("resnet18-imagenet", [69.76, 71.24], 0.1),
    ("densenet121-imagenet", [74.65, 75.73], 0.1),
];

/// Epochs of Table 2.
const EPOCHS_2: u64 = 90;
/// Seeds of Figure 8a.
const SEEDS_8A: u64 = 5;

/// How runs on pictures of 224 x 224 differ from the paper's.
pub(super) const LARGE: &str = "; random parts of pictures scaled to 224 x 224, and judged whole, where the paper cuts the middle out; normalised by \
     their own mean and deviation, where the paper takes ImageNet's; initial values of PyTorch's layers, where the paper draws those of VGG's and \
     ResNet's convolutions by kaiming_normal in fan_out";

/// Weight decays of Figure 8a, of which the larger hurts batch norm and helps deconvolution.
const DECAYS: [f32; 2] = [5e-4, 5e-3];

/// A line of the table: a network that is trained with both norms.
struct Entry {
    name: String,
    options: Options,
    paper: Option<Pair>,
}

/// How a run ended: the accuracy in percent, unless its loss was no longer a number, and all that was told on the way.
pub(super) struct Ended {
    pub accuracy: Option<f64>,
    /// Of each step.
    pub losses: Vec<f64>,
    /// Of each epoch: seconds since the first step began, and the accuracy in percent.
    pub course: Vec<(f64, f64)>,
}

/// An entry with one norm: a run for each seed.
struct Trial {
    norm: Norm,
    runs: Vec<Ended>,
}

pub(super) fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count().max(1) as f64
}

/// The mean, with the sample deviation where there are several values to tell it.
pub(super) fn said(values: &[f64], digits: usize) -> String {
    let middle = mean(values.iter().copied());
    if !middle.is_finite() {
        return "diverged".into();
    }
    if values.len() < 2 {
        return format!("{middle:.digits$}");
    }
    let squares: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
    format!("{middle:.digits$} ± {:.digits$}", (squares / (values.len() as f64 - 1.0)).sqrt())
}

impl Trial {
    /// Mean over the seeds; `None` where one diverged.
    fn accuracy(&self) -> Option<f64> {
        let found: Option<Vec<f64>> = self.runs.iter().map(|run| run.accuracy).collect();
        found.map(|found| mean(found.into_iter()))
    }

    /// The accuracy over the seeds.
    fn said(&self) -> String {
        let found: Vec<f64> = self.runs.iter().map(|run| run.accuracy.unwrap_or(f64::NAN)).collect();
        said(&found, 2)
    }

    /// Mean training loss over the seeds, step by step, each over the steps around it.
    fn curve(&self) -> Vec<(f64, f64)> {
        let steps = self.runs.iter().map(|run| run.losses.len()).min().unwrap_or(0);
        let around = steps / 40;
        let at = |i: usize| {
            let window = i.saturating_sub(around)..(i + around + 1).min(steps);
            (i as f64 + 1.0, mean(self.runs.iter().map(|run| mean(run.losses[window.clone()].iter().copied()))))
        };
        (0..steps).map(at).collect()
    }

    /// Training loss of the last tenth.
    fn last(&self) -> String {
        let tail = |run: &Ended| mean(run.losses[run.losses.len() - run.losses.len().div_ceil(10)..].iter().copied());
        said(&self.runs.iter().map(tail).collect::<Vec<_>>(), 4)
    }
}

pub(super) fn norm_name(norm: Norm) -> &'static str {
    match norm {
        Norm::None => "no norm",
        Norm::Batch => "batch norm",
        _ => "deconvolution",
    }
}

pub(super) async fn ended(gpu: &Gpu, options: &Options, splits: &Splits) -> Result<Ended> {
    let mut trainer = Trainer::new(gpu, options, splits.clone())?;
    let (mut losses, mut course) = (Vec::new(), Vec::new());
    // All kernels are compiled by now.
    let begun = Instant::now();
    loop {
        match trainer.next().await {
            Ok(Some(Event::Step { loss, .. })) => losses.push(f64::from(loss)),
            Ok(Some(Event::Eval { accuracy, .. })) => {
                course.push((begun.elapsed().as_secs_f64(), 100.0 * f64::from(accuracy)));
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Ended { accuracy: course.last().map(|last| last.1), losses, course }),
            // A loss that is no number is a result here; a lost device is none.
            Err(Error::Run(_)) if losses.last().is_some_and(|loss| !loss.is_finite()) => {
                return Ok(Ended { accuracy: None, losses, course });
            }
            Err(error) => return Err(error),
        }
    }
}

/// What all runs have in common, for images of this shape in so many classes: as the paper has it for CIFAR, or `large`
/// for ImageNet.
pub(super) fn shared(large: bool, data: &str, shape: [usize; 3], classes: usize, run: &ExperimentOptions) -> Options {
    let Runs { epochs, limit_train, limit_test, batch_size, .. } = run.runs.clone();
    let cifar = shape == [3, 32, 32];
    let normalize = if classes == 100 { Normalization::Cifar100 } else { Normalization::Cifar10 };
    let prepare = Preparation {
        augment: (large || cifar).then_some(Augmentation {
            flip: true,
            crop: !large,
            resized_crop: large,
            ..Augmentation::default()
        }),
        normalize: cifar.then_some(normalize),
        reading: Reading { size: large.then_some(Size { height: 224, width: 224 }), ..Default::default() },
        ..Default::default()
    };
    let reduced = |n: usize| (!run.full).then_some(n);
    Options {
        data: data.into(),
        epochs: Some(epochs.unwrap_or(if !run.full {
            1
        } else if large {
            EPOCHS_2
        } else {
            EPOCHS[2]
        })),
        limit_train: limit_train.or(reduced(2000)),
        limit_test: limit_test.or(reduced(1000)),
        batch_size: Some(batch_size.unwrap_or(if large { 256 } else { 128 })),
        lr: run.runs.lr,
        weight_decay: if large { 1e-4 } else { 1e-3 },
        prepare,
        ..Default::default()
    }
}

/// The networks that are asked for, or those of the table.
fn models(name: &str, run: &ExperimentOptions) -> Vec<String> {
    if !run.runs.models.is_empty() {
        return run.runs.models.clone();
    }
    let all: Vec<&str> = match (name, run.full) {
        ("table1", true) => TABLE_1.iter().map(|entry| entry.0).collect(),
        ("table2", true) => TABLE_2.iter().map(|entry| entry.0).collect(),
        ("table1", false) => vec!["vgg16"],
        ("table2", false) => vec!["resnet18-imagenet"],
        _ => vec!["vgg13"],
    };
    all.into_iter().map(String::from).collect()
}

fn seeds(name: &str, run: &ExperimentOptions) -> u64 {
    let usual = if name == "fig8a" && run.full { SEEDS_8A } else { 1 };
    run.runs.seeds.unwrap_or(usual)
}

fn entries(name: &str, shared: &Options, classes: usize, run: &ExperimentOptions) -> Vec<Entry> {
    let mut entries = Vec::new();
    for model in models(name, run) {
        let width = run.runs.width.unwrap_or(1.0);
        let net = NetOptions { model: model.clone(), width, ..Default::default() };
        let options = Options { net, ..shared.clone() };
        if name == "fig8a" {
            entries.extend(DECAYS.map(|weight_decay| Entry {
                name: format!("{model}, decay {weight_decay}"),
                options: Options { weight_decay, ..options.clone() },
                paper: None,
            }));
            continue;
        }
        let column = EPOCHS.iter().position(|epochs| Some(*epochs) == options.epochs);
        let paper = match name {
            "table1" => TABLE_1.iter().find(|entry| entry.0 == model).and_then(|(_, ten, hundred)| match classes {
                100 => column.and_then(|column| column.checked_sub(1)).map(|column| hundred[column]),
                _ => column.map(|column| ten[column]),
            }),
            _ => TABLE_2.iter().find(|entry| entry.0 == model && options.epochs == Some(EPOCHS_2)).map(|entry| entry.1),
        };
        // Of other networks the paper tells nothing.
        let paper = paper.filter(|_| width == 1.0);
        let rate = TABLE_2.iter().find(|entry| entry.0 == model).map(|entry| entry.2);
        entries.push(Entry { name: model, options: Options { lr: options.lr.or(rate), ..options }, paper });
    }
    entries
}

fn checks(name: &str, found: &[(Entry, [Trial; 2])]) -> Vec<Check> {
    let percent = |trial: &Trial| format!("{} %", trial.said());
    let above = |a: &Trial, b: &Trial| a.accuracy().zip(b.accuracy()).is_some_and(|(a, b)| a > b);
    if name != "fig8a" {
        let check = |(entry, [batch, deconv]): &(Entry, [Trial; 2])| Check {
            claim: format!("{}: deconvolution ends above batch norm", entry.name),
            shown: above(deconv, batch) || deconv.accuracy().is_some() && batch.accuracy().is_none(),
            numbers: format!("{} and {}", percent(deconv), percent(batch)),
        };
        return found.iter().map(check).collect();
    }
    let pairs = found.chunks_exact(2).flat_map(|pair| {
        let (small, large) = (&pair[0].1, &pair[1].1);
        [
            Check {
                claim: "the larger decay hurts batch norm".into(),
                shown: above(&small[0], &large[0]),
                numbers: format!("{} and {}", percent(&small[0]), percent(&large[0])),
            },
            Check {
                claim: "the larger decay helps deconvolution".into(),
                shown: above(&large[1], &small[1]),
                numbers: format!("{} and {}", percent(&small[1]), percent(&large[1])),
            },
        ]
    });
    pairs.collect()
}

/// What the paper's accuracies are called beside those of these runs, which may have seen fewer images.
fn paper(shared: &Options) -> &'static str {
    let limited = shared.limit_train.is_some() || shared.limit_test.is_some();
    if limited { "paper %, all images" } else { "paper %" }
}

fn row(entry: &Entry, which: usize, trial: &Trial) -> Vec<String> {
    let paper = entry.paper.map_or_else(|| "-".into(), |pair| format!("{:.2}", pair[which]));
    let steps = trial.runs.first().map_or(0, |run| run.losses.len());
    vec![entry.name.clone(), norm_name(trial.norm).into(), trial.said(), paper, trial.last(), steps.to_string()]
}

fn picture(experiment: &str, entry: &Entry, trials: &[Trial; 2]) -> Result<(String, String)> {
    let line = |trial: &Trial| Line { name: norm_name(trial.norm).into(), points: trial.curve(), dashed: false };
    let title = format!("Training loss of {} on {}", entry.name, title(&entry.options.data));
    let svg = lines_svg(&title, ["step", "training loss"], true, 3, &trials.each_ref().map(line))?;
    let stem: String = entry.name.chars().map(|c| if c.is_alphanumeric() || c == '.' { c } else { '-' }).collect();
    Ok((format!("{experiment}-{stem}.svg"), svg))
}

pub(super) async fn tables(gpu: &Gpu, experiment: Experiment, run: &ExperimentOptions) -> Result<Findings> {
    let name = experiment.name;
    let data = match (run.data.as_deref(), name) {
        (Some(data), _) => data,
        (None, "table1") => "cifar10",
        (None, "fig8a") => "cifar100",
        (None, _) => {
            let what = "table2 takes its pictures from `data`: a folder of class folders, in train/ and val/";
            return Err(Error::Usage(what.into()));
        }
    };
    let few = LoadOptions { limit_train: Some(1), limit_test: Some(1), ..Default::default() };
    let sized = Reading { size: (name == "table2").then_some(Size { height: 224, width: 224 }), ..Default::default() };
    let few = LoadOptions { prepare: Preparation { reading: sized, ..Default::default() }, ..few };
    let (shape, classes) = load(data, &few).map(|first| (first.train.shape, first.train.classes()))?;
    let shared = shared(name == "table2", data, shape, classes, run);
    let entries = entries(name, &shared, classes, run);
    // All are known to be fine, and to fit, before the first, which may take hours.
    entries.iter().try_for_each(|entry| entry.options.validate())?;
    let splits = load(data, &shared.load())?;
    for (entry, norm) in entries.iter().flat_map(|entry| [(entry, Norm::Batch), (entry, Norm::Deconv)]) {
        let net = NetOptions { norm, ..entry.options.net.clone() };
        check_fits(gpu, &Options { net, ..entry.options.clone() }, &splits)?;
    }
    let seeds = seeds(name, run);
    let mut found = Vec::new();
    for entry in entries {
        let mut trials = [Norm::Batch, Norm::Deconv].map(|norm| Trial { norm, runs: Vec::new() });
        for seed in run.seed..run.seed + seeds {
            for trial in &mut trials {
                let net = NetOptions { norm: trial.norm, ..entry.options.net.clone() };
                let options = Options { net, seed, ..entry.options.clone() };
                trial.runs.push(ended(gpu, &options, &splits).await?);
            }
        }
        found.push((entry, trials));
    }
    let both = || found.iter().flat_map(|(entry, trials)| trials.iter().enumerate().map(move |both| (entry, both)));
    let series = both().flat_map(|(entry, (_, trial))| {
        let name = move |what: &str| format!("{}, {}, {what}", entry.name, norm_name(trial.norm));
        let accuracies = trial.runs.iter().map(|run| run.accuracy.unwrap_or(f64::NAN)).collect();
        let losses = trial.runs.iter().enumerate();
        let losses =
            losses.map(move |(i, run)| Series { name: name(&format!("losses {i}")), values: run.losses.clone() });
        std::iter::once(Series { name: name("accuracies"), values: accuracies }).chain(losses.collect::<Vec<_>>())
    });
    let pictures = found.iter().map(|(entry, trials)| picture(name, entry, trials));
    Ok(Findings {
        note: format!(
            "{} of {}, {}, batches of {}, {}{}{}",
            splits.train.len(),
            title(data),
            count(shared.epochs.unwrap_or(1), "epoch"),
            shared.batch_size.unwrap_or(0),
            count(seeds, "seed"),
            run.runs.width.map_or_else(String::new, |width| format!("; networks {width} times as wide")),
            if name == "table2" {
                format!("; accuracy is top-1 alone, where the paper gives top-5, too{LARGE}")
            } else {
                String::new()
            }
        ),
        heading: ["network", "norm", "test accuracy %", paper(&shared), "training loss at the end", "steps"]
            .map(String::from)
            .to_vec(),
        rows: both().map(|(entry, (which, trial))| row(entry, which, trial)).collect(),
        checks: checks(name, &found),
        series: series.collect(),
        pictures: pictures.collect::<Result<_>>()?,
        experiment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_the_papers_and_its_figures_stand_beside_their_epochs() {
        let run = |full, epochs| {
            let runs = Runs { epochs, ..Runs::default() };
            ExperimentOptions { full, runs, ..ExperimentOptions::default() }
        };
        let of = |name, classes, run: &ExperimentOptions| {
            entries(name, &shared(name == "table2", "x", [3, 32, 32], classes, run), classes, run)
        };
        let all = of("table1", 10, &run(true, None));
        assert_eq!((all.len(), all[0].paper), (10, Some([93.58, 94.56])));
        let Options { lr, weight_decay, batch_size, epochs, limit_train, .. } = &all[0].options;
        assert_eq!((*lr, *weight_decay, *batch_size, *epochs, *limit_train), (None, 1e-3, Some(128), Some(100), None));
        assert_eq!(of("table1", 10, &run(false, None))[0].paper, Some([14.12, 74.18]));
        assert_eq!(of("table1", 100, &run(false, Some(20)))[0].paper, Some([63.22, 71.97]));
        assert_eq!(of("table1", 100, &run(false, None))[0].paper, None);
        assert_eq!(of("table1", 10, &run(false, Some(5)))[0].paper, None);
        assert_eq!(of("table2", 1000, &run(true, None))[0].options.lr, Some(0.01));
        assert_eq!(of("table2", 1000, &run(true, None))[0].paper, Some([70.38, 71.95]));
        assert_eq!(of("table2", 1000, &run(false, Some(90)))[0].paper, Some([69.76, 71.24]));
        assert_eq!(of("table2", 1000, &run(false, None))[0].paper, None, "after 1 epoch of 90");
        for (name, epochs) in [("table1", 100), ("table2", 90)] {
            let runs = Runs { epochs: Some(epochs), width: Some(0.125), ..Runs::default() };
            let narrow = ExperimentOptions { full: true, runs, ..ExperimentOptions::default() };
            assert!(of(name, 10, &narrow).iter().all(|entry| entry.paper.is_none()), "{name}: another network");
        }
        let called = |run: &ExperimentOptions| paper(&shared(false, "x", [3, 32, 32], 10, run));
        assert_eq!((called(&run(true, None)), called(&run(false, None))), ("paper %", "paper %, all images"));
        assert_eq!((seeds("fig8a", &run(true, None)), seeds("fig8a", &run(false, None))), (5, 1));
        assert_eq!(seeds("table1", &run(true, None)), 1);
        assert_eq!(
            of("fig8a", 100, &run(false, None)).iter().map(|e| e.options.weight_decay).collect::<Vec<_>>(),
            DECAYS
        );
    }

    #[test]
    fn means_come_with_deviations() {
        let ended = |accuracy| Ended { accuracy, losses: vec![2.0, 1.0], course: Vec::new() };
        let trial = |all: &[Option<f64>]| Trial { norm: Norm::Batch, runs: all.iter().map(|a| ended(*a)).collect() };
        assert_eq!(trial(&[Some(50.0)]).said(), "50.00");
        assert_eq!(trial(&[Some(50.0), Some(52.0)]).said(), "51.00 ± 1.41");
        assert_eq!(trial(&[Some(50.0), None]).said(), "diverged");
        assert_eq!(trial(&[Some(50.0)]).last(), "1.0000");
        assert_eq!(trial(&[Some(50.0), Some(52.0)]).last(), "1.0000 ± 0.0000");
        assert_eq!(said(&[1.0, 2.0, 3.0], 1), "2.0 ± 1.0");
    }
}
