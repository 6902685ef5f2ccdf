//! Table 4: batch size against accuracy, each with the paper's learning rate, eps and number of iterations.

use super::{Check, Experiment, ExperimentOptions, Findings, Series};
use crate::Result;
use crate::data::load;
use crate::gpu::Gpu;
use crate::ops::BlockMode;
use crate::train::{Event, NetOptions, Options, Trainer};
use crate::viz::lines::{Line, lines_svg};

/// Batch size, learning rate, eps, iterations, and the paper's accuracy in percent.
const SETTINGS: [(usize, f64, f32, usize, f64); 6] = [
    (2, 0.001, 1e-2, 2, 89.12),
    (8, 0.01, 1e-2, 2, 91.26),
    (32, 0.01, 1e-5, 5, 91.18),
    (128, 0.1, 1e-5, 5, 91.56),
    (512, 0.5, 1e-5, 5, 91.66),
    (2048, 1.0, 1e-5, 5, 90.64),
];
/// Training images of the reduced run: it sees each twice.
const IMAGES: usize = 3072;

fn options(setting: (usize, f64, f32, usize, f64), experiment: &ExperimentOptions) -> Options {
    let (batch_size, lr, eps, iterations, _) = setting;
    let full = experiment.full;
    let net = if full {
        NetOptions { model: "vgg11".into(), eps, iterations, ..Default::default() }
    } else {
        // Blocks small enough for thousands of steps on a CPU.
        let small = NetOptions { model: "lenet".into(), mode: BlockMode::Reference, block: 4, ..Default::default() };
        NetOptions { block_fc: 64, eps, iterations, ..small }
    };
    Options {
        data: experiment.data.clone().unwrap_or_else(|| if full { "cifar10" } else { "glyphs" }.into()),
        net,
        epochs: Some(if full { 20 } else { 2 }),
        batch_size: Some(batch_size),
        lr: Some(lr),
        seed: experiment.seed,
        limit_train: (!full).then_some(IMAGES),
        limit_test: (!full).then_some(1000),
        ..Default::default()
    }
}

pub(super) async fn table4(gpu: &Gpu, experiment: Experiment, run: &ExperimentOptions) -> Result<Findings> {
    // A reduced run would take the largest batch twice or three times.
    let settings = if run.full { &SETTINGS[..] } else { &SETTINGS[..5] };
    let (mut rows, mut accuracies, mut series) = (Vec::new(), Vec::new(), Vec::new());
    for setting in settings {
        let (batch, lr, eps, iterations, paper) = *setting;
        let options = options(*setting, run);
        let mut trainer = Trainer::new(gpu, &options, load(&options.data, &options.load())?)?;
        let (mut losses, mut accuracy) = (Vec::new(), 0.0);
        let failure = loop {
            match trainer.next().await {
                Ok(Some(Event::Step { loss, .. })) => losses.push(f64::from(loss)),
                Ok(Some(Event::Eval { accuracy: found, .. })) => accuracy = 100.0 * f64::from(found),
                Ok(Some(_)) => {}
                Ok(None) => break None,
                // A loss that is no number is a result here; a lost device is none.
                Err(error) if losses.last().is_some_and(|loss| !loss.is_finite()) => break Some(error),
                Err(error) => return Err(error),
            }
        };
        let ended = if failure.is_some() { "diverged".to_owned() } else { format!("{accuracy:.2}") };
        let columns = [batch.to_string(), lr.to_string(), format!("{eps:e}"), iterations.to_string()];
        rows.push(columns.into_iter().chain([losses.len().to_string(), ended, format!("{paper:.2}")]).collect());
        accuracies.push(if failure.is_some() { 0.0 } else { accuracy });
        series.push(Series { name: format!("batch {batch}, losses"), values: losses });
    }
    let (low, high) = accuracies.iter().fold((f64::MAX, f64::MIN), |(l, h), a| (l.min(*a), h.max(*a)));
    let chance = 10.0;
    let checks = vec![
        Check {
            claim: "accuracies lie within 2.5 points of each other".into(),
            shown: high - low < 2.5,
            numbers: format!("from {low:.2} to {high:.2} %"),
        },
        Check {
            claim: "it learns at every batch size, down to 2 images".into(),
            shown: low > 3.0 * chance,
            numbers: format!("least accuracy {low:.2} %, chance {chance:.0} %, expected above {:.0} %", 3.0 * chance),
        },
    ];
    let line = |name: &str, values: &[f64], dashed| Line {
        name: name.into(),
        points: settings.iter().zip(values).map(|(s, v)| ((s.0 as f64).log2(), *v)).collect(),
        dashed,
    };
    let paper: Vec<f64> = settings.iter().map(|s| s.4).collect();
    let lines = [line("this run", &accuracies, false), line("paper", &paper, true)];
    let svg = lines_svg(
        "Test accuracy by batch size",
        ["batch size, as a power of 2", "test accuracy, %"],
        false,
        0,
        &lines,
    )?;
    series.push(Series { name: "accuracies".into(), values: accuracies });
    let sample = options(settings[0], run);
    let name = sample.data.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(&sample.data).to_owned();
    let length = match run.full {
        true => "20 epochs".to_owned(),
        false => format!(
            "blocks of {} and {}, {IMAGES} images twice, so that large batches get few steps; the paper's is VGG-11 on \
             CIFAR-10 for 20 epochs",
            sample.net.block, sample.net.block_fc
        ),
    };
    Ok(Findings {
        experiment,
        note: format!("{} on {name}, {length}", sample.net.model),
        heading: ["batch", "rate", "eps", "T", "steps", "test accuracy %", "paper %"].map(String::from).to_vec(),
        rows,
        checks,
        series,
        pictures: vec![("table4.svg".into(), svg)],
    })
}
