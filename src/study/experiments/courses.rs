//! Figures 8b and 12: how training goes with each norm, at the paper's settings (method, section 10.2): the loss step
//! by step, and the accuracy by the clock.

use super::tables::{Ended, LARGE, TABLE_2, ended, mean, norm_name, said, shared};
use super::{Check, Experiment, ExperimentOptions, Findings, Series};
use crate::data::{LoadOptions, Preparation, Reading, Size, Splits, load, title};
use crate::gpu::Gpu;
use crate::models::Norm;
use crate::plural::count;
use crate::train::{NetOptions, Options, check_fits};
use crate::viz::lines::{Line, lines_svg};
use crate::{Error, Result};

/// Steps that Figure 8b shows.
const STEPS: u64 = 1000;
/// Epochs where they are made in minutes.
const EPOCHS: u64 = 4;

/// Runs with one norm, one for each seed.
struct Trial {
    norm: Norm,
    runs: Vec<Ended>,
}

/// The settings, and the data.
fn settings(name: &str, run: &ExperimentOptions) -> Result<(Options, Splits)> {
    let model = match run.runs.models.as_slice() {
        [] if run.full => "vgg11-imagenet",
        [] => "vgg11",
        [model] => model,
        _ => return Err(Error::Usage(format!("{name} is of one network; name one with `model`"))),
    };
    let large = model.ends_with("-imagenet");
    let data = match run.data.as_deref() {
        Some(data) => data,
        None if !large => "cifar10",
        None => {
            let what = format!(
                "{name} with {model} takes its pictures from `data`: a folder of class folders, in train/ and val/"
            );
            return Err(Error::Usage(what));
        }
    };
    let reading = Reading { size: large.then_some(Size { height: 224, width: 224 }), ..Default::default() };
    let prepare = Preparation { reading, ..Default::default() };
    let few = LoadOptions { limit_train: Some(1), limit_test: Some(1), prepare, ..Default::default() };
    let first = load(data, &few)?.train;
    let mut options = shared(large, data, first.shape, first.classes(), run);
    if name == "fig8b" {
        options.steps = Some(STEPS);
    }
    if !run.full {
        options.epochs = Some(run.runs.epochs.unwrap_or(EPOCHS));
    }
    let paper = TABLE_2.iter().find(|entry| entry.0 == model).map(|entry| entry.2);
    options.lr = options.lr.or(paper);
    options.net = NetOptions { model: model.into(), width: run.runs.width.unwrap_or(1.0), ..Default::default() };
    options.validate()?;
    let splits = load(data, &options.load())?;
    Ok((options, splits))
}

async fn trials(
    gpu: &Gpu,
    norms: &[Norm],
    (options, splits): (&Options, &Splits),
    run: &ExperimentOptions,
) -> Result<Vec<Trial>> {
    let with = |norm, seed| Options { net: NetOptions { norm, ..options.net.clone() }, seed, ..options.clone() };
    // All are known to fit before the first, which may take hours.
    norms.iter().try_for_each(|norm| check_fits(gpu, &with(*norm, run.seed), splits))?;
    let mut trials: Vec<Trial> = norms.iter().map(|norm| Trial { norm: *norm, runs: Vec::new() }).collect();
    for seed in run.seed..run.seed + seeds(run) {
        for trial in &mut trials {
            trial.runs.push(ended(gpu, &with(trial.norm, seed), splits).await?);
        }
    }
    Ok(trials)
}

fn seeds(run: &ExperimentOptions) -> u64 {
    run.runs.seeds.unwrap_or(1)
}

fn note((options, splits): (&Options, &Splits), run: &ExperimentOptions) -> String {
    format!(
        "{} training and {} of {}, {}{}, {}, batches of {}, {}{}",
        splits.train.len(),
        count(splits.test.len(), "test image"),
        title(&options.data),
        options.net.model,
        run.runs.width.map_or_else(String::new, |width| format!(", {width} times as wide")),
        count(options.epochs.unwrap_or(1), "epoch"),
        options.batch_size.unwrap_or(0),
        count(seeds(run), "seed"),
        if options.prepare.reading.size.is_some() { LARGE } else { "" }
    )
}

/// Means over the seeds, place by place, as far as all of them go; of a run that diverged nothing is left out, so it
/// ends in what is no number.
fn means(runs: &[Ended], of: impl Fn(&Ended) -> Vec<f64>) -> Vec<f64> {
    places(runs, of).into_iter().map(|values| mean(values.into_iter())).collect()
}

/// The values of all seeds, place by place, as far as all of them go.
fn places(runs: &[Ended], of: impl Fn(&Ended) -> Vec<f64>) -> Vec<Vec<f64>> {
    let runs: Vec<Vec<f64>> = runs.iter().map(of).collect();
    let count = runs.iter().map(Vec::len).min().unwrap_or(0);
    (0..count).map(|i| runs.iter().map(|run| run[i]).collect()).collect()
}

/// Each value as the mean of those around it, a fortieth to each side.
fn smoothed(values: &[f64]) -> Vec<f64> {
    let around = values.len() / 40;
    let at = |i: usize| mean(values[i.saturating_sub(around)..(i + around + 1).min(values.len())].iter().copied());
    (0..values.len()).map(at).collect()
}

pub(super) async fn fig8b(gpu: &Gpu, experiment: Experiment, run: &ExperimentOptions) -> Result<Findings> {
    let (options, splits) = settings(experiment.name, run)?;
    let trials = trials(gpu, &[Norm::None, Norm::Batch, Norm::Deconv], (&options, &splits), run).await?;
    let losses: Vec<Vec<f64>> = trials.iter().map(|trial| means(&trial.runs, |run| run.losses.clone())).collect();
    let line = |(trial, losses): (&Trial, &Vec<f64>)| Line {
        name: norm_name(trial.norm).into(),
        points: smoothed(losses).into_iter().enumerate().map(|(i, loss)| (i as f64 + 1.0, loss)).collect(),
        dashed: false,
    };
    let lines: Vec<Line> = trials.iter().zip(&losses).map(line).collect();
    let heading = format!("Training loss of {} on {}", options.net.model, title(&options.data));
    let found: Vec<_> = trials.iter().zip(&losses).map(|(trial, means)| falls(&trial.runs, means.len())).collect();
    let row = |(i, [whole, last]): (usize, &[Vec<f64>; 2])| {
        vec![norm_name(trials[i].norm).into(), said(whole, 4), said(last, 4), losses[i].len().to_string()]
    };
    Ok(Findings {
        note: note((&options, &splits), run),
        heading: ["norm", "training loss, mean", "of the last tenth", "steps"].map(String::from).to_vec(),
        rows: found.iter().enumerate().map(row).collect(),
        checks: fastest(&found),
        pictures: vec![("fig8b.svg".into(), lines_svg(&heading, ["step", "training loss"], true, 3, &lines)?)],
        series: series(&trials, "losses", |run| run.losses.clone()),
        experiment,
    })
}

/// Mean of all losses, and of the last tenth.
fn fall(losses: &[f64]) -> [f64; 2] {
    let tail = &losses[losses.len() - losses.len().div_ceil(10)..];
    [losses, tail].map(|losses| mean(losses.iter().copied()))
}

/// Of each run, over the steps that all of them have done.
fn falls(runs: &[Ended], steps: usize) -> [Vec<f64>; 2] {
    let found: Vec<[f64; 2]> = runs.iter().map(|run| fall(&run.losses[..steps])).collect();
    [0, 1].map(|which| found.iter().map(|fall| fall[which]).collect())
}

/// Whether the last of `found`, deconvolution's, has the lowest losses: over the whole, which tells how fast they fall,
/// and at the end.
fn fastest(found: &[[Vec<f64>; 2]]) -> Vec<Check> {
    let check = |(which, claim): (usize, &str)| {
        let middle = |falls: &[Vec<f64>; 2]| mean(falls[which].iter().copied());
        let (deconv, others) = (&found[found.len() - 1], &found[..found.len() - 1]);
        let lowest = middle(deconv);
        let told = |falls: &[Vec<f64>; 2]| said(&falls[which], 4);
        Check {
            claim: claim.into(),
            // What diverged is behind.
            shown: lowest.is_finite() && others.iter().map(middle).all(|other| other.is_nan() || other > lowest),
            numbers: format!("{}; no norm {}, batch norm {}", told(deconv), told(&others[0]), told(&others[1])),
        }
    };
    let claims =
        ["deconvolution has the lowest mean loss over all steps", "deconvolution has the lowest loss at the end"];
    claims.into_iter().enumerate().map(check).collect()
}

fn series(trials: &[Trial], what: &str, of: impl Fn(&Ended) -> Vec<f64>) -> Vec<Series> {
    let one = |trial: &Trial| {
        let named = |(i, run): (usize, &Ended)| Series {
            name: format!("{}, {what} {i}", norm_name(trial.norm)),
            values: of(run),
        };
        trial.runs.iter().enumerate().map(named).collect::<Vec<_>>()
    };
    trials.iter().flat_map(one).collect()
}

pub(super) async fn fig12(gpu: &Gpu, experiment: Experiment, run: &ExperimentOptions) -> Result<Findings> {
    let (options, splits) = settings(experiment.name, run)?;
    let trials = trials(gpu, &[Norm::Batch, Norm::Deconv], (&options, &splits), run).await?;
    let course = |trial: &Trial| -> Vec<(f64, f64)> {
        let of = |which: fn(&(f64, f64)) -> f64| means(&trial.runs, |run| run.course.iter().map(which).collect());
        of(|point| point.0).into_iter().zip(of(|point| point.1)).collect()
    };
    let courses: Vec<Vec<(f64, f64)>> = trials.iter().map(course).collect();
    let line = |(trial, points): (&Trial, &Vec<(f64, f64)>)| Line {
        name: norm_name(trial.norm).into(),
        points: points.clone(),
        dashed: false,
    };
    let lines: Vec<Line> = trials.iter().zip(&courses).map(line).collect();
    let heading = format!("Test accuracy of {} on {}", options.net.model, title(&options.data));
    let axes = ["seconds since the first step", "test accuracy, %"];
    let rows = trials.iter().flat_map(epochs);
    Ok(Findings {
        note: note((&options, &splits), run) + "; seconds of the clock, with evaluation, without compiling",
        heading: ["norm", "epoch", "seconds", "test accuracy %"].map(String::from).to_vec(),
        rows: rows.collect(),
        checks: vec![with_seeds(above(&courses[0], &courses[1]), &trials[0].runs, &trials[1].runs)],
        pictures: vec![("fig12.svg".into(), lines_svg(&heading, axes, false, 3, &lines)?)],
        series: [
            series(&trials, "seconds", |run| run.course.iter().map(|point| point.0).collect()),
            series(&trials, "accuracies", |run| run.course.iter().map(|point| point.1).collect()),
        ]
        .concat(),
        experiment,
    })
}

/// A row for each epoch.
fn epochs(trial: &Trial) -> Vec<Vec<String>> {
    let of = |which: fn(&(f64, f64)) -> f64| places(&trial.runs, |run| run.course.iter().map(which).collect());
    let row = |(epoch, (seconds, accuracies)): (usize, (Vec<f64>, Vec<f64>))| {
        vec![norm_name(trial.norm).into(), (epoch + 1).to_string(), said(&seconds, 1), said(&accuracies, 2)]
    };
    of(|point| point.0).into_iter().zip(of(|point| point.1)).enumerate().map(row).collect()
}

/// The value of a course at a time, on a straight line between those it has.
fn at(course: &[(f64, f64)], time: f64) -> Option<f64> {
    course.windows(2).find(|pair| (pair[0].0..=pair[1].0).contains(&time)).map(|pair| {
        let share = (time - pair[0].0) / (pair[1].0 - pair[0].0).max(f64::MIN_POSITIVE);
        pair[0].1 + share * (pair[1].1 - pair[0].1)
    })
}

/// Accuracies of both courses at the times at which either was judged and both had been.
fn common(batch: &[(f64, f64)], deconv: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut times: Vec<f64> = batch.iter().chain(deconv).map(|point| point.0).collect();
    times.sort_by(f64::total_cmp);
    times.iter().filter_map(|time| Some((at(batch, *time)?, at(deconv, *time)?))).collect()
}

/// Whether deconvolution is ahead at equal times: in the mean over the common ones, and at the last.
fn above(batch: &[(f64, f64)], deconv: &[(f64, f64)]) -> Check {
    let both = common(batch, deconv);
    let [of_batch, of_deconv] = [mean(both.iter().map(|values| values.0)), mean(both.iter().map(|values| values.1))];
    Check {
        claim: "deconvolution is above batch norm at equal time".into(),
        shown: both.last().is_some_and(|last| last.1 > last.0) && of_deconv > of_batch,
        numbers: match both.last() {
            Some(last) => format!(
                "at the last common time {:.2} and {:.2} %, over {} common times {of_deconv:.2} and {of_batch:.2} %",
                last.1,
                last.0,
                both.len()
            ),
            None => "no time at which both had been judged".into(),
        },
    }
}

/// `check` of the means, with the lead that single seeds have where there are several.
fn with_seeds(check: Check, batch: &[Ended], deconv: &[Ended]) -> Check {
    let lead = |(batch, deconv): (&Ended, &Ended)| {
        let both = common(&batch.course, &deconv.course);
        mean(both.iter().map(|(batch, deconv)| deconv - batch))
    };
    let leads: Vec<f64> = batch.iter().zip(deconv).map(lead).collect();
    if leads.len() < 2 {
        return check;
    }
    let numbers = format!("{}; ahead by {} points, seed by seed", check.numbers, said(&leads, 2));
    Check { numbers, ..check }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn being_above_is_judged_at_equal_times() {
        let batch = [(1.0, 10.0), (2.0, 20.0), (3.0, 30.0)];
        let shown = |deconv: &[(f64, f64)]| above(&batch, deconv).shown;
        assert!(shown(&[(2.0, 40.0), (4.0, 60.0)]));
        // More at the end of its longer way, and less at each time.
        assert!(!shown(&[(2.0, 10.0), (4.0, 40.0)]));
        assert!(!shown(&[(5.0, 90.0), (6.0, 95.0)]), "no common time");
        let run = |more: f64| {
            let course = batch.map(|(time, accuracy)| (time, accuracy + more)).to_vec();
            Ended { accuracy: None, losses: Vec::new(), course }
        };
        let told = |leads: &[f64]| {
            let runs: Vec<Ended> = leads.iter().map(|lead| run(*lead)).collect();
            with_seeds(above(&batch, &batch), &leads.iter().map(|_| run(0.0)).collect::<Vec<_>>(), &runs).numbers
        };
        assert!(told(&[1.0, 3.0]).ends_with("; ahead by 2.00 ± 1.41 points, seed by seed"));
        assert!(!told(&[1.0]).contains("seed"));
        assert_eq!(at(&batch, 2.5), Some(25.0));
        assert_eq!(at(&batch, 3.5), None);
    }

    #[test]
    fn the_fastest_has_the_lowest_losses_and_what_diverges_is_behind() {
        let shown = |losses: [[f64; 2]; 3]| -> Vec<bool> {
            let found = losses.map(|losses| fall(&losses).map(|fall| vec![fall]));
            fastest(&found).iter().map(|check| check.shown).collect()
        };
        assert_eq!(shown([[3.0, 2.0], [2.5, 1.5], [2.0, 1.0]]), [true, true]);
        assert_eq!(shown([[3.0, 2.0], [2.5, 1.0], [1.0, 2.0]]), [true, false]);
        assert_eq!(shown([[3.0, f64::NAN], [2.5, 1.5], [2.0, 1.0]]), [true, true]);
        assert_eq!(shown([[3.0, 2.0], [2.5, 1.5], [2.0, f64::NAN]]), [false, false]);
        let two = |middle: f64| [vec![middle - 1.0, middle + 1.0], vec![middle, middle]];
        assert_eq!(
            fastest(&[two(5.0), two(4.0), two(3.0)])[0].numbers,
            "3.0000 ± 1.4142; no norm 5.0000 ± 1.4142, batch norm 4.0000 ± 1.4142"
        );
    }

    #[test]
    fn seeds_come_with_deviations() {
        let run = |losses: &[f64], course: &[(f64, f64)]| Ended {
            accuracy: None,
            losses: losses.to_vec(),
            course: course.to_vec(),
        };
        let runs = vec![run(&[3.0, 1.0], &[(1.0, 50.0), (2.0, 60.0)]), run(&[5.0, 3.0, 9.0], &[(1.5, 52.0)])];
        let [whole, last] = falls(&runs, 2);
        assert_eq!((said(&whole, 2), said(&last, 2)), ("3.00 ± 1.41".into(), "2.00 ± 1.41".into()));
        let trial = Trial { norm: Norm::Batch, runs };
        assert_eq!(epochs(&trial), [["batch norm", "1", "1.2 ± 0.4", "51.00 ± 1.41"].map(String::from)]);
        let trial = Trial { norm: Norm::Batch, runs: vec![run(&[], &[(1.0, 50.0), (2.0, 60.0)])] };
        assert_eq!(epochs(&trial)[1], ["batch norm", "2", "2.0", "60.00"].map(String::from));
    }

    #[test]
    fn settings_are_the_papers() {
        let two = ExperimentOptions {
            runs: super::super::Runs { models: vec!["a".into(), "b".into()], ..Default::default() },
            ..Default::default()
        };
        let refused = |run: &ExperimentOptions| settings("fig8b", run).map(|_| ()).expect_err("a refusal").to_string();
        assert!(refused(&two).contains("one network"));
        let full = ExperimentOptions { full: true, ..Default::default() };
        assert!(refused(&full).contains("`data`"));
    }
}
