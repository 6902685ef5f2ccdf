//! Figure 5: regressions on Fashion-MNIST and a small sigmoid network on MNIST, without a norm, with batch norm, with
//! deconvolution; each at every learning rate of a short list, so that none is judged at another's best.
//!
//! In the regressions batch norm normalises the input, where deconvolution whitens it. That need not help: it gives
//! every pixel the variance 1 without decorrelating any, so the largest curvature grows (on Fashion-MNIST from 111 to
//! 173) and the largest stable rate falls, while the outputs start further from their targets.

use super::{Check, Experiment, ExperimentOptions, Findings, Series};
use crate::data::{Augment, Dataset, LoadOptions, Normalize, load, title};
use crate::gpu::Gpu;
use crate::models::{self, ModelOptions, Norm};
use crate::nn::{Linear, Network, Whitening};
use crate::ops::{self, BlockMode};
use crate::plural::count;
use crate::rng::Rng;
use crate::train::{Batch, Data, Learner, Loss, Order, Sgd, Targets};
use crate::viz::lines::{Line, lines_svg};
use crate::{Error, Result};

/// What one of the three figures is made of.
struct Setting {
    model: &'static str,
    data: &'static str,
    squares: bool,
    batch: usize,
    steps: usize,
    /// The same for every norm, so that none is given more chances than another.
    rates: &'static [f64],
}

fn setting(name: &str, full: bool) -> Setting {
    match name {
        "fig5a" => Setting {
            model: "linear",
            data: "fashion-mnist",
            squares: true,
            batch: 512,
            steps: if full { 100 } else { 20 },
            rates: &[0.003, 0.01, 0.03, 0.1, 0.3, 1.0],
        },
        "fig5b" => Setting {
            model: "linear",
            data: "fashion-mnist",
            squares: false,
            batch: 512,
            steps: if full { 100 } else { 20 },
            rates: &[0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0],
        },
        _ => Setting {
            model: "mlp",
            data: "mnist",
            squares: false,
            batch: 128,
            steps: if full { 4690 } else { 150 },
            rates: &[0.1, 0.5],
        },
    }
}

/// A run: its loss at every step, and its accuracy on test images at the end where that was asked for.
struct Trial {
    norm: Norm,
    rate: f64,
    losses: Vec<f64>,
    accuracy: f64,
}

impl Trial {
    fn name(&self) -> String {
        format!("{}, {}", norm_name(self.norm), self.rate)
    }

    /// Mean of the last `n` losses; what is no number counts as infinite.
    fn last(&self, n: usize) -> f64 {
        let tail = &self.losses[self.losses.len().saturating_sub(n)..];
        let mean = tail.iter().sum::<f64>() / tail.len().max(1) as f64;
        if mean.is_finite() { mean } else { f64::INFINITY }
    }
}

fn norm_name(norm: Norm) -> &'static str {
    match norm {
        Norm::None => "vanilla",
        Norm::Batch => "batch norm",
        Norm::Deconv => "deconvolution",
        Norm::Group => "group norm",
        Norm::Layer => "layer norm",
        Norm::Iterative => "iterative norm",
    }
}

/// A loss; what explodes without its forty digits, and then in one word.
fn readable(loss: f64) -> String {
    if !loss.is_finite() {
        return "diverged".into();
    }
    if loss.abs() < 1e4 { format!("{loss:.4}") } else { format!("{loss:.1e}") }
}

async fn trial(
    gpu: &Gpu,
    set: &Setting,
    (train, test): (&Dataset, &Dataset),
    (norm, rate): (Norm, f64),
    seed: u64,
) -> Result<Trial> {
    let options = ModelOptions {
        norm,
        // All features of an image in one block: the whole whitening.
        block_fc: train.shape.iter().product(),
        input: train.shape,
        classes: train.classes(),
        seed,
        ..Default::default()
    };
    let loss = if set.squares { Loss::LeastSquares } else { Loss::CrossEntropy };
    let mut learner = Learner::new(gpu, models::network(set.model, &options)?, Sgd::new(rate))?.with_loss(loss);
    let (batch_size, normalize) = (set.batch.min(train.len()), Normalize::none(train.shape[0]));
    let mut order = Order { epoch: 0, batch_size, shuffle: true, seed, normalize, augment: Augment::NONE };
    let mut losses = Vec::with_capacity(set.steps);
    while learner.steps() < set.steps as u64 {
        let left = set.steps - learner.steps() as usize;
        // What has diverged goes on: its losses are part of the picture.
        for batch in train.epoch(order.clone())?.take(left) {
            learner.submit(&batch?, rate, seed).await?;
            while let Some(step) = learner.try_take()? {
                losses.push(f64::from(step.loss));
            }
        }
        order.epoch += 1;
    }
    while let Some(step) = learner.take().await? {
        losses.push(f64::from(step.loss));
    }
    let found = learner.evaluate_async(test, 500).await?;
    Ok(Trial { norm, rate, losses, accuracy: f64::from(found.accuracy) })
}

pub(super) async fn fig5(gpu: &Gpu, experiment: Experiment, options: &ExperimentOptions) -> Result<Findings> {
    let set = setting(experiment.name, options.full);
    let name = options.data.as_deref().unwrap_or(set.data);
    // Generated digits have no end of their own; the linear runs see no more than this in their few steps anyway.
    let limit = (!options.full && set.model == "linear").then_some(6000);
    let limits = LoadOptions { limit_train: limit, limit_test: Some(2000), seed: options.seed, ..Default::default() };
    let splits = load(name, &limits)?;
    let name = title(name);
    let (mut train, test) = (splits.train, &splits.test);
    // Whole batches, so that all losses are means over as many images.
    train.truncate((train.len() / set.batch).max(1) * set.batch);
    let train = &train;
    let mut trials = Vec::new();
    for norm in [Norm::None, Norm::Batch, Norm::Deconv] {
        for rate in set.rates {
            trials.push(trial(gpu, &set, (train, test), (norm, *rate), options.seed).await?);
        }
    }
    let tail = (set.steps / 10).max(3);
    let best = |norm: Norm| {
        let own = trials.iter().filter(|t| t.norm == norm);
        own.min_by(|a, b| a.last(tail).total_cmp(&b.last(tail))).ok_or_else(|| Error::Run("no run was made".into()))
    };
    let [vanilla, batch_norm, deconv] = [best(Norm::None)?, best(Norm::Batch)?, best(Norm::Deconv)?];
    let mut checks = Vec::new();
    if set.model == "linear" {
        let of = |t: &Trial, step: usize| t.losses.get(step).copied().unwrap_or(f64::INFINITY);
        let least = trials.iter().filter(|t| t.norm == Norm::None).map(|t| of(t, 5)).fold(f64::INFINITY, f64::min);
        let at_1 = trials.iter().find(|t| t.norm == Norm::Deconv && t.rate == 1.0).map_or(f64::INFINITY, |t| of(t, 5));
        checks.push(Check {
            claim: "after 5 steps deconvolution at learning rate 1 is below vanilla at each of its rates".into(),
            shown: at_1 < least,
            numbers: format!("{} against {}", readable(at_1), readable(least)),
        });
        let ends = [deconv, batch_norm, vanilla].map(|t| t.last(tail));
        checks.push(Check {
            claim: "at the end, each at its best rate, deconvolution is ahead of batch norm, and batch norm of vanilla"
                .into(),
            shown: ends[0] < ends[1] && ends[1] < ends[2],
            numbers: format!("losses {}", ends.map(readable).join(", ")),
        });
        if set.squares {
            checks.push(proposition_1(gpu, options.seed).await?);
        }
    } else {
        let early = |t: &Trial| t.losses.iter().take(100).sum::<f64>() / t.losses.len().clamp(1, 100) as f64;
        let least = |norm: Norm| {
            let own = trials.iter().filter(|t| t.norm == norm).map(early).filter(|v| v.is_finite());
            own.fold(f64::INFINITY, f64::min)
        };
        let [v, b, d] = [Norm::None, Norm::Batch, Norm::Deconv].map(least);
        checks.push(Check {
            claim: "over the first 100 steps deconvolution is ahead of batch norm, and batch norm of none".into(),
            shown: d < b && b < v,
            numbers: format!("mean loss, each at its best rate: {}", [d, b, v].map(readable).join(", ")),
        });
    }
    let rows = trials
        .iter()
        .map(|t| {
            let at = |step: usize| t.losses.get(step).map_or("-".into(), |v| readable(*v));
            let end = readable(t.last(tail));
            vec![norm_name(t.norm).into(), t.rate.to_string(), at(0), at(5), end, format!("{:.2}", 100.0 * t.accuracy)]
        })
        .collect();
    let line = |t: &&Trial| Line {
        name: t.name(),
        points: t.losses.iter().enumerate().map(|(i, v)| (i as f64 + 1.0, *v)).collect(),
        dashed: false,
    };
    let heading = format!("Training loss, each norm at its best learning rate ({name})");
    let lines: Vec<Line> = [vanilla, batch_norm, deconv].iter().map(line).collect();
    let svg = lines_svg(&heading, ["step", "loss of the mini-batch"], true, 3, &lines)?;
    Ok(Findings {
        note: format!(
            "{} on {name}: {}, batches of {}, {}; {}",
            set.model,
            count(train.len(), "image"),
            set.batch,
            count(set.steps, "step"),
            if set.model == "linear" {
                "batch norm stands before the linear layer"
            } else {
                "batch norm stands before the sigmoids"
            }
        ),
        heading: ["norm", "rate", "first loss", "after 5 steps", "last losses", "test accuracy %"]
            .map(String::from)
            .to_vec(),
        rows,
        checks,
        series: trials.iter().map(|t| Series { name: t.name(), values: t.losses.clone() }).collect(),
        pictures: vec![(format!("{}.svg", experiment.name), svg)],
        experiment,
    })
}

/// Proposition 1: with a full whitening and a full batch, one step at learning rate 1 from anywhere reaches the least
/// squares optimum.
async fn proposition_1(gpu: &Gpu, seed: u64) -> Result<Check> {
    let (n, d, o) = (1024, 16, 4);
    let mut rng = Rng::new(seed).fork(2);
    let mix: Vec<f32> = (0..d * d).map(|i| 0.3 * rng.normal() + f32::from(u8::from(i / d == i % d))).collect();
    let mut x = vec![0.0f32; n * d];
    for row in x.chunks_mut(d) {
        let z: Vec<f32> = (0..d).map(|_| rng.normal()).collect();
        row.iter_mut().enumerate().for_each(|(j, v)| *v = z.iter().zip(&mix[j * d..]).map(|(a, b)| a * b).sum());
    }
    let y: Vec<f32> = (0..n * o).map(|i| x[i / o * d + i % o] + rng.normal()).collect();

    let whitening = Whitening { mode: BlockMode::Paper, block: d, iterations: 25, eps: 1e-8, ..Default::default() };
    let mut net = Network::new([d, 1, 1]).seed(seed);
    net.flatten().linear(Linear::new(o).norm(Norm::Deconv).whitening(whitening));
    let loss = Loss::values(ops::least_squares);
    let mut learner = Learner::new(gpu, net, Sgd::new(1.0))?.with_loss(loss);
    let batch = Batch { images: x.clone(), targets: Targets::Values(y.clone()) };
    let mut losses = Vec::new();
    for _ in 0..2 {
        learner.submit(&batch, 1.0, seed).await?;
    }
    while let Some(step) = learner.take().await? {
        losses.push(f64::from(step.loss));
    }
    let optimum = least_squares(&x, &y, [n, d, o]);
    let [first, second] = losses[..] else { return Err(Error::Run("proposition 1: a step is missing".into())) };
    let above = (second - optimum) / optimum;
    Ok(Check {
        claim: "Proposition 1: with full whitening and full batch one step at rate 1 reaches the least squares optimum"
            .into(),
        shown: above.abs() < 1e-5,
        numbers: format!(
            "loss {first:.6} before, {second:.6} after one step, optimum in float64 {optimum:.6}: relative difference {above:.1e}"
        ),
    })
}

/// `1/2n |X w + b - Y|^2` at its least, by elimination on the normal equations in `f64`.
fn least_squares(x: &[f32], y: &[f32], [n, d, o]: [usize; 3]) -> f64 {
    let width = d + 1;
    let feature = |row: usize, j: usize| if j == d { 1.0 } else { f64::from(x[row * d + j]) };
    let columns = width + o;
    let mut m = vec![0.0; width * columns];
    for row in 0..n {
        for i in 0..width {
            for j in 0..columns {
                let right = if j < width { feature(row, j) } else { f64::from(y[row * o + j - width]) };
                m[i * columns + j] += feature(row, i) * right;
            }
        }
    }
    for i in 0..width {
        let pivot = m[i * columns + i];
        for r in (0..width).filter(|r| *r != i) {
            let factor = m[r * columns + i] / pivot;
            for j in i..columns {
                m[r * columns + j] -= factor * m[i * columns + j];
            }
        }
    }
    let predicted = |row: usize, k: usize| -> f64 {
        (0..width).map(|j| feature(row, j) * m[j * columns + width + k] / m[j * columns + j]).sum()
    };
    let square = |i: usize| (predicted(i / o, i % o) - f64::from(y[i])).powi(2);
    (0..n * o).map(square).sum::<f64>() / (2.0 * n as f64)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_number_is_called_one_thing() {
        let said = [f64::NAN, f64::INFINITY, 2.5, 3e7].map(super::readable);
        assert_eq!(said, ["diverged", "diverged", "2.5000", "3.0e7"]);
    }
}
