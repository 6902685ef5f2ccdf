//! Figure 5: regressions on Fashion-MNIST and a small sigmoid network on MNIST, without a norm, with batch norm, with
//! deconvolution; each at every learning rate of a short list, so that none is judged at another's best.
//!
//! In the regressions batch norm normalises the input, where deconvolution whitens it. That need not help: it gives every
//! pixel the variance 1 without decorrelating any, so the largest curvature grows (on Fashion-MNIST from 111 to 173) and the
//! largest stable rate falls, while the outputs start further from their targets.

use super::{Check, Experiment, ExperimentOptions, Findings, Series};
use crate::data::{Dataset, LoadOptions, load};
use crate::gpu::Gpu;
use crate::models::{self, ModelOptions, Norm};
use crate::nn::{Delinear, Forward, Linear, Mode, Whitening};
use crate::ops::{self, BlockMode};
use crate::optim::Optimizer;
use crate::rng::Rng;
use crate::tape::{DType, Session, State, Tape};
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
    }
}

/// A loss; what explodes without its forty digits.
fn readable(loss: f64) -> String {
    if loss.abs() < 1e4 { format!("{loss:.4}") } else { format!("{loss:.1e}") }
}

/// Images `at` as values from 0 to 1, and their labels.
fn batch(data: &Dataset, at: &[usize]) -> (Vec<f32>, Vec<u32>) {
    let images = at.iter().flat_map(|i| data.image(*i).iter().map(|v| f32::from(*v) / 255.0)).collect();
    (images, at.iter().map(|i| data.labels[*i]).collect())
}

async fn trial(
    gpu: &Gpu,
    set: &Setting,
    (train, test): (&Dataset, &Dataset),
    (norm, rate): (Norm, f64),
    seed: u64,
) -> Result<Trial> {
    let features: usize = train.shape.iter().product();
    let size = set.batch.min(train.len());
    let options = ModelOptions {
        norm,
        // All features of an image in one block: the whole whitening.
        block_fc: features,
        input: train.shape,
        classes: train.classes(),
        seed,
        ..Default::default()
    };
    let mut state = State::new();
    let model = models::build(set.model, &options, &mut state)?;
    let optimizer = Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: false };
    let record = |state: &mut State, mode: Mode, size: usize| -> Result<Tape> {
        let mut tape = Tape::for_adapter(gpu.profile());
        let shape = [size, train.shape[0], train.shape[1], train.shape[2]];
        let images = tape.input("images", &shape, DType::F32);
        let labels = tape.input("labels", &[size], DType::U32);
        let logits = model.forward(&mut Forward { tape: &mut tape, state, mode }, images)?;
        if mode == Mode::Eval {
            let found = ops::cross_entropy_hits(&mut tape, logits, labels, None)?;
            tape.output(found.hits);
            return Ok(tape);
        }
        let loss = if set.squares {
            ops::l2_onehot_labels(&mut tape, logits, labels)?
        } else {
            ops::cross_entropy(&mut tape, logits, labels, None)?
        };
        tape.output(loss);
        let gradients = tape.backward(loss)?;
        let parameters = state.parameters();
        optimizer.apply(&mut tape, state, &parameters, &gradients)?;
        Ok(tape)
    };
    let step = record(&mut state, Mode::Train, size)?;
    let test_size = 500.min(test.len());
    let eval = record(&mut state, Mode::Eval, test_size)?;
    let mut session = Session::new(gpu, &state)?;
    let mut compiled = session.compile(&[&step, &eval])?;

    let (mut rng, mut order) = (Rng::new(seed).fork(1), (0..train.len()).collect::<Vec<_>>());
    let mut place = train.len();
    let mut losses = Vec::with_capacity(set.steps);
    for number in 1..=set.steps as u64 {
        if place + size > train.len() {
            rng.shuffle(&mut order);
            place = 0;
        }
        let (images, labels) = batch(train, &order[place..place + size]);
        place += size;
        let scalars = optimizer.scalars(rate, number, seed);
        compiled[0].submit(&[bytemuck::cast_slice(&images), bytemuck::cast_slice(&labels), scalars.bytes()]).await?;
        while let Some((_, outputs)) = compiled[0].try_take()? {
            losses.push(f64::from(outputs[0][0]));
        }
    }
    while let Some((_, outputs)) = compiled[0].take().await? {
        losses.push(f64::from(outputs[0][0]));
    }
    let (mut hits, mut seen) = (0.0, 0);
    for start in (0..test.len().min(4 * test_size)).step_by(test_size) {
        if start + test_size > test.len() {
            break;
        }
        let (images, labels) = batch(test, &(start..start + test_size).collect::<Vec<_>>());
        compiled[1].submit(&[bytemuck::cast_slice(&images), bytemuck::cast_slice(&labels)]).await?;
        if let Some((_, outputs)) = compiled[1].take().await? {
            hits += f64::from(outputs[0][0]);
            seen += test_size;
        }
    }
    Ok(Trial { norm, rate, losses, accuracy: hits / f64::from(seen.max(1) as u32) })
}

pub(super) async fn fig5(gpu: &Gpu, experiment: Experiment, options: &ExperimentOptions) -> Result<Findings> {
    let set = setting(experiment.name, options.full);
    let name = options.data.as_deref().unwrap_or(set.data);
    // Generated digits have no end of their own; the linear runs see no more than this in their few steps anyway.
    let limit = (!options.full && set.model == "linear").then_some(6000);
    let limits = LoadOptions { limit_train: limit, limit_test: Some(2000), seed: options.seed, ..Default::default() };
    let splits = load(name, &limits)?;
    let name = name.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(name);
    let (train, test) = (&splits.train, &splits.test);
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
            numbers: format!("{at_1:.4} against {least:.4}"),
        });
        let ends = [deconv, batch_norm, vanilla].map(|t| t.last(tail));
        checks.push(Check {
            claim: "at the end, each at its best rate, deconvolution is ahead of batch norm, and batch norm of vanilla"
                .into(),
            shown: ends[0] < ends[1] && ends[1] < ends[2],
            numbers: format!("losses {:.4}, {:.4}, {:.4}", ends[0], ends[1], ends[2]),
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
            numbers: format!("mean loss, each at its best rate: {d:.4}, {b:.4}, {v:.4}"),
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
    let title = format!("Training loss, each norm at its best learning rate ({name})");
    let lines: Vec<Line> = [vanilla, batch_norm, deconv].iter().map(line).collect();
    let svg = lines_svg(&title, ["step", "loss of the mini-batch"], true, 3, &lines)?;
    Ok(Findings {
        note: format!(
            "{} on {name}: {} images, batches of {}, {} steps; {}",
            set.model,
            train.len(),
            set.batch,
            set.steps,
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

/// Proposition 1: with a full whitening and a full batch, one step at learning rate 1 from anywhere reaches the least squares optimum.
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

    let mut state = State::new();
    let whitening = Whitening { mode: BlockMode::Paper, block: d, iterations: 25, eps: 1e-8, ..Default::default() };
    let layer = Delinear::new(&mut state, "fc", d, &Linear::new(o), whitening, rng)?;
    let mut tape = Tape::for_adapter(gpu.profile());
    let images = tape.input("x", &[n, d], DType::F32);
    let targets = tape.input("y", &[n, o], DType::F32);
    let packed = ops::to_vec4(&mut tape, images)?;
    let (out, _) = layer.forward_folded(&mut Forward { tape: &mut tape, state: &state, mode: Mode::Train }, packed)?;
    let loss = ops::l2_onehot(&mut tape, out, targets)?;
    tape.output(loss);
    let gradients = tape.backward(loss)?;
    let parameters = state.parameters();
    let optimizer = Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: false };
    optimizer.apply(&mut tape, &mut state, &parameters, &gradients)?;
    let mut compiled = Session::new(gpu, &state)?.compile(&[&tape])?;
    let mut losses = Vec::new();
    for step in 1..=2 {
        let scalars = optimizer.scalars(1.0, step, seed);
        compiled[0].submit(&[bytemuck::cast_slice(&x), bytemuck::cast_slice(&y), scalars.bytes()]).await?;
        losses.extend(compiled[0].take().await?.map(|(_, outputs)| f64::from(outputs[0][0])));
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
