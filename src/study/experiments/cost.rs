//! What deconvolution costs and what it buys: accuracy and step time over block size, iterations and mode, beside batch
//! norm.
//!
//! A setting is on the frontier when none of the others is both at least as accurate and faster. Step times are minima,
//! taken by turns over all settings, so that other work on the machine falls on all alike. Linear layers take blocks of
//! eight times as many features as convolutions take channels, which is the paper's ratio.

use super::{Check, Experiment, ExperimentOptions, Findings, Series};
use crate::data::{LoadOptions, Splits, load};
use crate::gpu::Gpu;
use crate::models::Norm;
use crate::ops::BlockMode;
use crate::plural::count;
use crate::train::{BenchOptions, Event, NetOptions, Options, Precision, Trainer, WhiteningPreset, bench_step};
use crate::viz::lines::{Line, lines_svg};
use crate::{Error, Result};

const BLOCKS: [usize; 4] = [1, 4, 16, 64];
const ITERATIONS: [usize; 4] = [2, 3, 5, 7];
/// Features of a linear layer's block for each channel of a convolution's.
const LINEAR: usize = 8;

/// A data set with the network that learns it.
struct Setting {
    model: &'static str,
    batch: usize,
    epochs: u64,
    train: usize,
    test: usize,
    seeds: u64,
    /// Steps of which each setting's fastest is taken.
    timed: usize,
}

fn setting(colour: bool, full: bool) -> Setting {
    match (colour, full) {
        (false, false) => Setting { model: "lenet", batch: 64, epochs: 1, train: 1920, test: 1000, seeds: 2, timed: 3 },
        (true, false) => {
            Setting { model: "yardstick", batch: 32, epochs: 1, train: 960, test: 500, seeds: 2, timed: 3 }
        }
        (false, true) => {
            Setting { model: "lenet", batch: 128, epochs: 1, train: usize::MAX, test: 10_000, seeds: 3, timed: 10 }
        }
        (true, true) => Setting { model: "vgg11", batch: 128, epochs: 5, train: 5000, test: 2000, seeds: 2, timed: 5 },
    }
}

/// A way to whiten, or batch norm, with what was measured.
struct Trial {
    net: NetOptions,
    ms: f64,
    /// Of each seed, as a fraction; nothing where the loss was no longer a number.
    accuracies: Vec<f64>,
}

impl Trial {
    fn name(&self) -> String {
        let NetOptions { norm, mode, block, iterations, .. } = self.net;
        if norm == Norm::Batch { "batch norm".into() } else { format!("{mode}, B = {block}, T = {iterations}") }
    }

    fn accuracy(&self) -> f64 {
        self.accuracies.iter().sum::<f64>() / self.accuracies.len().max(1) as f64
    }

    fn is(&self, net: &NetOptions) -> bool {
        let key = |n: &NetOptions| (n.norm, n.mode, n.block, n.block_fc, n.iterations);
        key(&self.net) == key(net)
    }
}

/// Every setting once, batch norm first.
fn grid(model: &str) -> Vec<NetOptions> {
    let plain = NetOptions { model: model.into(), ..Default::default() };
    let mut all = vec![NetOptions { norm: Norm::Batch, ..plain.clone() }];
    for mode in [BlockMode::Reference, BlockMode::Paper] {
        for block in BLOCKS {
            for iterations in ITERATIONS {
                all.push(NetOptions { mode, block, block_fc: LINEAR * block, iterations, ..plain.clone() });
            }
        }
    }
    all
}

/// Accuracy on the test images after training; a run whose loss explodes has learnt nothing.
async fn accuracy(
    gpu: &Gpu,
    set: &Setting,
    net: &NetOptions,
    splits: &Splits,
    (data, seed): (&str, u64),
) -> Result<f64> {
    let options = Options {
        data: data.into(),
        net: net.clone(),
        epochs: Some(set.epochs),
        batch_size: Some(set.batch),
        seed,
        ..Default::default()
    };
    let mut trainer = Trainer::new(gpu, &options, splits.clone())?;
    let mut last = 0.0;
    loop {
        match trainer.next().await {
            Ok(Some(Event::Eval { accuracy, .. })) => last = f64::from(accuracy),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(last),
            Err(Error::Run(_)) => return Ok(0.0),
            Err(error) => return Err(error),
        }
    }
}

/// Not beaten: no other trial is both at least as accurate and faster.
fn on_frontier(trials: &[Trial], this: &Trial) -> bool {
    !trials.iter().any(|other| other.accuracy() >= this.accuracy() && other.ms < this.ms)
}

/// A data set's table.
struct Table {
    data: String,
    set: Setting,
    images: usize,
    trials: Vec<Trial>,
}

impl Table {
    async fn measure(gpu: &Gpu, data: &str, options: &ExperimentOptions) -> Result<Self> {
        let first = load(
            data,
            &LoadOptions { limit_train: Some(1), limit_test: Some(1), seed: options.seed, ..Default::default() },
        )?;
        let set = setting(first.train.shape[0] > 1, options.full);
        let limits = LoadOptions {
            limit_train: Some(set.train),
            limit_test: Some(set.test),
            seed: options.seed,
            ..Default::default()
        };
        let splits = load(data, &limits)?;
        let mut trials: Vec<Trial> =
            grid(set.model).into_iter().map(|net| Trial { net, ms: f64::INFINITY, accuracies: Vec::new() }).collect();
        for seed in options.seed..options.seed + set.seeds {
            for trial in &mut trials {
                trial.accuracies.push(accuracy(gpu, &set, &trial.net, &splits, (data, seed)).await?);
                let (input, net) = (splits.train.shape, trial.net.clone());
                let bench = BenchOptions {
                    net,
                    input,
                    batch_size: set.batch,
                    steps: set.timed,
                    warm_up: 1,
                    profile: false,
                    forward: false,
                    precision: Precision::F32,
                };
                trial.ms = trial.ms.min(bench_step(gpu, &bench).await?.min_ms);
            }
        }
        let data = data.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(data).to_owned();
        Ok(Self { data, set, images: splits.train.len(), trials })
    }

    /// Step time over batch norm's.
    fn ratio(&self, trial: &Trial) -> f64 {
        trial.ms / self.trials[0].ms
    }

    fn find(&self, net: &NetOptions) -> Result<&Trial> {
        let found = self.trials.iter().find(|trial| trial.is(net));
        found.ok_or_else(|| Error::Run(format!("the grid lacks the setting {net:?}")))
    }

    fn preset(&self, preset: WhiteningPreset) -> Result<&Trial> {
        self.find(&NetOptions { model: self.set.model.into(), ..Default::default() }.with_whitening(preset))
    }

    fn note(&self) -> String {
        let Setting { model, batch, epochs, seeds, .. } = self.set;
        let [images, epochs, seeds] = [count(self.images, "image"), count(epochs, "epoch"), count(seeds, "seed")];
        format!("{model} on {}: {images}, {epochs}, batches of {batch}, {seeds}", self.data)
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let best = &self.trials;
        best.iter()
            .map(|trial| {
                let seeds: Vec<String> = trial.accuracies.iter().map(|a| format!("{:.2}", 100.0 * a)).collect();
                vec![
                    self.data.clone(),
                    trial.name(),
                    format!("{:.2}", 100.0 * trial.accuracy()),
                    seeds.join(" "),
                    format!("{:.1}", trial.ms),
                    format!("{:.2}", self.ratio(trial)),
                    if on_frontier(best, trial) { "frontier".into() } else { String::new() },
                ]
            })
            .collect()
    }

    fn series(&self) -> impl Iterator<Item = Series> {
        self.trials.iter().map(|trial| {
            let mut values = vec![trial.ms, self.ratio(trial)];
            values.extend(&trial.accuracies);
            Series { name: format!("{}: {}: ms, over batch norm, accuracies", self.data, trial.name()), values }
        })
    }

    /// Wrong answers over step time: a line for each block size of a mode, and the frontier of both modes.
    fn picture(&self, mode: BlockMode) -> Result<(String, String)> {
        let point = |trial: &Trial| (self.ratio(trial), (1.0 - trial.accuracy()).max(1e-4));
        let sorted = |mut points: Vec<(f64, f64)>| {
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            points
        };
        let mut lines: Vec<Line> = BLOCKS
            .iter()
            .map(|block| {
                let own = self.trials.iter().filter(|t| t.net.norm == Norm::Deconv && t.net.mode == mode);
                let points = own.filter(|t| t.net.block == *block).map(point).collect();
                Line { name: format!("B = {block}"), points: sorted(points), dashed: false }
            })
            .collect();
        let frontier = self.trials.iter().filter(|trial| on_frontier(&self.trials, trial)).map(point).collect();
        lines.push(Line { name: "frontier".into(), points: sorted(frontier), dashed: true });
        let title = format!("Wrong answers over step time, mode {mode} ({})", self.data);
        let axes = ["step time over batch norm's (T = 2, 3, 5, 7)", "share of wrong answers"];
        Ok((format!("cost-{}-{mode}.svg", self.data), lines_svg(&title, axes, true, 3, &lines)?))
    }

    fn checks(&self) -> Result<[Check; 2]> {
        let (paper, fast) = (self.preset(WhiteningPreset::Paper)?, self.preset(WhiteningPreset::Fast)?);
        let percent = |trial: &Trial| 100.0 * trial.accuracy();
        Ok([
            Check {
                claim: format!(
                    "{}: `whitening` fast takes at most half of what the paper's settings add to a step",
                    self.data
                ),
                shown: self.ratio(fast) - 1.0 <= 0.5 * (self.ratio(paper) - 1.0),
                numbers: format!("{:.2} and {:.2} times batch norm's step", self.ratio(fast), self.ratio(paper)),
            },
            Check {
                claim: format!("{}: at equal steps it loses at most 1 point of accuracy", self.data),
                shown: percent(fast) >= percent(paper) - 1.0,
                numbers: format!("{:.2} % and {:.2} %", percent(fast), percent(paper)),
            },
        ])
    }
}

pub(super) async fn cost(gpu: &Gpu, experiment: Experiment, options: &ExperimentOptions) -> Result<Findings> {
    let names = options.data.as_deref().map_or(vec!["mnist", "cifar10"], |data| vec![data]);
    let mut tables = Vec::new();
    for name in names {
        tables.push(Table::measure(gpu, name, options).await?);
    }
    let (mut checks, mut pictures) = (Vec::new(), Vec::new());
    for table in &tables {
        checks.extend(table.checks()?);
        for mode in [BlockMode::Reference, BlockMode::Paper] {
            pictures.push(table.picture(mode)?);
        }
    }
    Ok(Findings {
        note: tables.iter().map(Table::note).collect::<Vec<_>>().join("; "),
        heading: ["data", "setting", "accuracy %", "of each seed", "step ms", "over batch norm", ""]
            .map(String::from)
            .to_vec(),
        rows: tables.iter().flat_map(Table::rows).collect(),
        checks,
        series: tables.iter().flat_map(Table::series).collect(),
        pictures,
        experiment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_holds_both_presets_and_the_frontier_what_nothing_beats() -> Result<()> {
        let trial = |net, ms, accuracy| Trial { net, ms, accuracies: vec![accuracy] };
        let trials: Vec<Trial> = grid("lenet").into_iter().map(|net| trial(net, 1.0, 0.5)).collect();
        assert_eq!(trials.len(), 1 + 2 * BLOCKS.len() * ITERATIONS.len());
        let (set, data) = (setting(false, false), "test".into());
        let table = Table { data, set, images: 0, trials };
        assert_eq!(table.preset(WhiteningPreset::Paper)?.name(), "reference, B = 64, T = 5");
        let fast = NetOptions::default().with_whitening(WhiteningPreset::Fast);
        assert_eq!(table.preset(WhiteningPreset::Fast)?.net.block, fast.block);
        let net = NetOptions::default;
        let some = [trial(net(), 1.0, 0.8), trial(net(), 2.0, 0.9), trial(net(), 3.0, 0.85), trial(net(), 4.0, 0.95)];
        let on: Vec<bool> = some.iter().map(|t| on_frontier(&some, t)).collect();
        assert_eq!(on, [true, true, false, true]);
        Ok(())
    }
}
