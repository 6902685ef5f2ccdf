//! Figure 6: a network that tells the class of each pixel, with batch norm and with deconvolution, at the paper's
//! settings (method, section 10.2): mean intersection over union, pixel accuracy and training loss, epoch by epoch.

use super::tables::{mean, norm_name, said};
use super::{Check, Experiment, ExperimentOptions, Findings, Series};
use crate::data::{Augmentation, Preparation, Splits, load, title};
use crate::gpu::Gpu;
use crate::models::Norm;
use crate::plural::count;
use crate::train::{Event, NetOptions, Options, ScheduleKind, Trainer, check_fits};
use crate::viz::lines::{Line, lines_svg};
use crate::{Error, Result};

/// The paper's network, data apart.
const MODEL: &str = "deeplabv3-resnet50";
/// Epochs of the paper.
const EPOCHS: u64 = 30;
/// Of the run that is made in minutes: epochs, training and test images, and times the channels.
const REDUCED: (u64, usize, usize, f64) = (4, 800, 100, 0.125);
/// What is told of each epoch, with the unit of its axis and whether more is better.
const TOLD: [(&str, &str, bool); 3] = [
    ("mean IoU", "test mean IoU, %", true),
    ("pixel accuracy", "test pixel accuracy, %", true),
    ("training loss", "training loss", false),
];

/// What is told, epoch by epoch.
type Curves = [Vec<f64>; 3];

/// Runs with one norm, one for each seed.
struct Trial {
    norm: Norm,
    /// `None` where one diverged.
    runs: Vec<Option<Curves>>,
}

impl Trial {
    /// Means over the seeds; `None` where one diverged.
    fn curve(&self, which: usize) -> Option<Vec<f64>> {
        let runs: Vec<&Vec<f64>> =
            self.runs.iter().map(|run| run.as_ref().map(|run| &run[which])).collect::<Option<_>>()?;
        let epochs = runs.iter().map(|run| run.len()).min()?;
        Some((0..epochs).map(|epoch| mean(runs.iter().map(|run| run[epoch]))).collect())
    }

    /// What is told after the last epoch, over the seeds.
    fn last(&self, which: usize, digits: usize) -> String {
        self.said(which, digits, |curve| curve.last().copied().unwrap_or(f64::NAN))
    }

    /// The mean of what is told after each epoch, over the seeds.
    fn whole(&self, which: usize, digits: usize) -> String {
        self.said(which, digits, |curve| mean(curve.iter().copied()))
    }

    /// One number of each seed's curve, as far as all of them go.
    fn said(&self, which: usize, digits: usize, of: impl Fn(&[f64]) -> f64) -> String {
        let epochs = self.curve(which).map_or(0, |curve| curve.len());
        let of = |run: &Option<Curves>| run.as_ref().map_or(f64::NAN, |run| of(&run[which][..epochs]));
        said(&self.runs.iter().map(of).collect::<Vec<_>>(), digits)
    }
}

/// A run's curves; `None` when its loss is no longer a number.
async fn trained(gpu: &Gpu, options: &Options, splits: &Splits) -> Result<Option<Curves>> {
    let mut trainer = Trainer::new(gpu, options, splits.clone())?;
    let (mut curves, mut losses, mut finite) = (Curves::default(), Vec::new(), true);
    loop {
        match trainer.next().await {
            Ok(Some(Event::Step { loss, .. })) => {
                finite &= loss.is_finite();
                losses.push(f64::from(loss));
            }
            Ok(Some(Event::Eval { loss, accuracy, mean_iou, .. })) => {
                finite &= loss.is_finite();
                let found = [mean_iou.unwrap_or(0.0), accuracy].map(|share| 100.0 * f64::from(share));
                curves[0].push(found[0]);
                curves[1].push(found[1]);
                curves[2].push(mean(std::mem::take(&mut losses).into_iter()));
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Some(curves)),
            // A loss that is no number is a result here; a lost device is none.
            Err(Error::Run(_)) if !finite => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

fn settings(data: &str, run: &ExperimentOptions) -> Result<Options> {
    let (epochs, train, test, width) = REDUCED;
    let reduced = |n: usize| (!run.full).then_some(n);
    let model = match run.runs.models.as_slice() {
        [] => MODEL,
        [model] => model,
        _ => return Err(Error::Usage("fig6 is of one network; name one with `model`".into())),
    };
    let width = run.runs.width.unwrap_or(if run.full { 1.0 } else { width });
    // Blocks of whitening shrink along: with the paper's, a narrow layer on a small map has fewer patches than
    // features.
    let usual = NetOptions::default().block;
    let block = ((usual as f64 * width) as usize).clamp(4, usual);
    Ok(Options {
        data: data.into(),
        net: NetOptions { model: model.into(), width, block, ..Default::default() },
        epochs: Some(run.runs.epochs.unwrap_or(if run.full { EPOCHS } else { epochs })),
        limit_train: run.runs.limit_train.or(reduced(train)),
        limit_test: run.runs.limit_test.or(reduced(test)),
        batch_size: Some(run.runs.batch_size.unwrap_or(8)),
        lr: Some(run.runs.lr.unwrap_or(0.1)),
        weight_decay: 1e-4,
        schedule: ScheduleKind::Poly,
        prepare: Preparation {
            augment: Some(Augmentation { flip: true, random_resize: true, ..Augmentation::default() }),
            ..Default::default()
        },
        ..Default::default()
    })
}

/// Whether deconvolution is ahead at the end, and on the way there.
fn checks([batch, deconv]: &[Trial; 2]) -> Vec<Check> {
    let check = |(which, (name, _, more)): (usize, (&str, &str, bool))| {
        let found = [deconv, batch].map(|trial| trial.curve(which));
        let told = |trial: &Trial, curve: &Option<Vec<f64>>| match curve {
            Some(_) => format!("{}, {} over all", trial.last(which, 3), trial.whole(which, 3)),
            None => "diverged".into(),
        };
        let ahead = |a: f64, b: f64| if more { a > b } else { a < b };
        let shown = match &found {
            [Some(a), Some(b)] => {
                a.last().zip(b.last()).is_some_and(|(a, b)| ahead(*a, *b))
                    && ahead(mean(a.iter().copied()), mean(b.iter().copied()))
            }
            [found, other] => found.is_some() && other.is_none(),
        };
        Check {
            claim: format!(
                "deconvolution has the {} {name}, at the end and as the mean over epochs",
                if more { "higher" } else { "lower" }
            ),
            shown,
            numbers: format!("{}; batch norm {}", told(deconv, &found[0]), told(batch, &found[1])),
        }
    };
    TOLD.into_iter().enumerate().map(check).collect()
}

pub(super) async fn fig6(gpu: &Gpu, experiment: Experiment, run: &ExperimentOptions) -> Result<Findings> {
    let data = run.data.as_deref().unwrap_or("shapes");
    let options = settings(data, run)?;
    options.validate()?;
    let splits = load(data, &options.load())?;
    if !splits.train.is_masked() {
        let what = format!(
            "fig6 needs a class for each pixel, and '{data}' has one for each image; expected pictures with masks"
        );
        return Err(Error::Usage(what));
    }
    let with = |norm, seed| Options { net: NetOptions { norm, ..options.net.clone() }, seed, ..options.clone() };
    // Both are known to fit before the first, which may take hours.
    [Norm::Batch, Norm::Deconv].iter().try_for_each(|norm| check_fits(gpu, &with(*norm, run.seed), &splits))?;
    let mut trials = [Norm::Batch, Norm::Deconv].map(|norm| Trial { norm, runs: Vec::new() });
    let seeds = run.runs.seeds.unwrap_or(1);
    for seed in run.seed..run.seed + seeds {
        for trial in &mut trials {
            trial.runs.push(trained(gpu, &with(trial.norm, seed), &splits).await?);
        }
    }
    let epochs = options.epochs.unwrap_or(1);
    let row = |trial: &Trial| {
        let numbers = [trial.last(0, 2), trial.last(1, 2), trial.last(2, 4)];
        [norm_name(trial.norm).to_owned()].into_iter().chain(numbers).chain([epochs.to_string()]).collect()
    };
    let mut pictures = Vec::new();
    for (which, (name, axis, _)) in TOLD.into_iter().enumerate() {
        let line = |trial: &Trial| {
            let points =
                trial.curve(which)?.into_iter().enumerate().map(|(epoch, value)| (epoch as f64 + 1.0, value)).collect();
            Some(Line { name: norm_name(trial.norm).into(), points, dashed: false })
        };
        let lines: Vec<Line> = trials.iter().filter_map(line).collect();
        if !lines.is_empty() {
            let heading = format!("{} of {} on {}", capital(name), options.net.model, title(data));
            let svg = lines_svg(&heading, ["epoch", axis], false, 3, &lines)?;
            pictures.push((format!("fig6-{}.svg", name.replace(' ', "-").to_lowercase()), svg));
        }
    }
    let series = trials.iter().flat_map(|trial| {
        let one = move |(which, (name, ..)): (usize, (&str, &str, bool))| {
            let runs = trial.runs.iter().enumerate();
            runs.map(move |(i, run)| Series {
                name: format!("{}, {name} {i}", norm_name(trial.norm)),
                values: run.as_ref().map_or_else(Vec::new, |run| run[which].clone()),
            })
            .collect::<Vec<_>>()
        };
        TOLD.into_iter().enumerate().flat_map(one)
    });
    Ok(Findings {
        note: format!(
            "{} training and {} of {}, {}, {}, batches of {}, {}; network {} times as wide, whitened in blocks of {}; images \
             resized to 0.5 to 2 times at random, cut and mirrored, as in the paper; normalised by their own mean and deviation, where the paper takes \
             ImageNet's",
            splits.train.len(),
            count(splits.test.len(), "test image"),
            title(data),
            options.net.model,
            count(epochs, "epoch"),
            options.batch_size.unwrap_or(0),
            count(seeds, "seed"),
            options.net.width,
            count(options.net.block, "channel")
        ),
        heading: ["norm", "mean IoU %", "pixel accuracy %", "training loss", "epochs"].map(String::from).to_vec(),
        rows: trials.iter().map(row).collect(),
        checks: checks(&trials),
        series: series.collect(),
        pictures,
        experiment,
    })
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Runs;

    #[test]
    fn settings_are_the_papers() -> Result<()> {
        let full = settings("x", &ExperimentOptions { full: true, ..Default::default() })?;
        let Options { lr, weight_decay, batch_size, epochs, limit_train, schedule, momentum, .. } = full.clone();
        assert_eq!((lr, weight_decay, batch_size, epochs), (Some(0.1), 1e-4, Some(8), Some(30)));
        assert_eq!((limit_train, schedule, momentum, full.net.width), (None, ScheduleKind::Poly, 0.9, 1.0));
        full.validate()?;
        let two = Runs { models: vec!["a".into(), "b".into()], ..Default::default() };
        assert!(settings("x", &ExperimentOptions { runs: two, ..Default::default() }).is_err());
        Ok(())
    }

    #[test]
    fn being_ahead_is_judged_at_the_end_and_on_the_way() {
        let trial =
            |norm, curve: &[f64]| Trial { norm, runs: vec![Some([curve.to_vec(), curve.to_vec(), curve.to_vec()])] };
        let shown = |batch: &[f64], deconv: &[f64]| {
            let found = checks(&[trial(Norm::Batch, batch), trial(Norm::Deconv, deconv)]);
            found.iter().map(|check| check.shown).collect::<Vec<_>>()
        };
        assert_eq!(shown(&[1.0, 2.0], &[3.0, 4.0]), [true, true, false]);
        assert_eq!(shown(&[9.0, 2.0], &[3.0, 4.0]), [false, false, false]);
        let lost = Trial { norm: Norm::Batch, runs: vec![None] };
        assert!(checks(&[lost, trial(Norm::Deconv, &[1.0])]).iter().all(|check| check.shown));
    }

    #[test]
    fn seeds_come_with_deviations() {
        let curves = |last: f64| Some([vec![1.0, last], vec![1.0, last], vec![1.0, last]]);
        let trial = |runs: Vec<Option<Curves>>| Trial { norm: Norm::Batch, runs };
        let of = |runs: Vec<Option<Curves>>| trial(runs).last(2, 2);
        assert_eq!(of(vec![curves(50.0)]), "50.00");
        assert_eq!(of(vec![curves(50.0), curves(52.0)]), "51.00 ± 1.41");
        assert_eq!(of(vec![curves(50.0), None]), "diverged");
        let found = checks(&[trial(vec![curves(50.0), curves(52.0)]), trial(vec![curves(60.0), curves(64.0)])]);
        assert_eq!(
            found[0].numbers,
            "62.000 ± 2.828, 31.500 ± 1.414 over all; batch norm 51.000 ± 1.414, 26.000 ± 0.707 over all"
        );
    }
}
