//! Two identities, shown in numbers: A.8 (where the correction is applied) and section 5 (what small blocks become).

use super::{Check, Experiment, ExperimentOptions, Findings, Series};
use crate::gpu::Gpu;
use crate::nn::{Conv, FastDeconv, Forward, Mode, Module, Whitening};
use crate::ops::{self, BlockMode, NormOptions};
use crate::rng::Rng;
use crate::study::eigen::{Spectrum, whiteness};
use crate::study::kernels::{inverse_root, run_once};
use crate::tape::{DType, Session, State, Tape};
use crate::{Error, Result};

/// Correlated features: (rows, d) of normal numbers times a fixed random mixture.
fn mixture(rng: &mut Rng, rows: usize, d: usize) -> Vec<f32> {
    let mix: Vec<f32> = (0..d * d).map(|i| rng.normal() * 0.2 + f32::from(u8::from(i / d == i % d))).collect();
    let mut out = vec![0.0; rows * d];
    for row in out.chunks_mut(d) {
        let z: Vec<f32> = (0..d).map(|_| rng.normal()).collect();
        row.iter_mut().enumerate().for_each(|(j, v)| *v = z.iter().zip(&mix[j * d..]).map(|(a, b)| a * b).sum());
    }
    out
}

/// `c = a^T b / rows` of (rows, da) and (rows, db), in `f64`.
fn moments(a: &[f32], b: &[f32], da: usize, db: usize) -> Vec<f64> {
    let rows = a.len() / da;
    let mut out = vec![0.0; da * db];
    for (x, y) in a.chunks(da).zip(b.chunks(db)) {
        for (i, v) in x.iter().enumerate() {
            y.iter().enumerate().for_each(|(j, w)| out[i * db + j] += f64::from(*v) * f64::from(*w));
        }
    }
    out.iter_mut().for_each(|v| *v /= rows as f64);
    out
}

fn largest(values: &[f32]) -> f64 {
    values.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())))
}

/// Largest difference over largest magnitude.
fn difference(a: &[f32], b: &[f32]) -> f64 {
    let worst = a.iter().zip(b).fold(0.0f64, |m, (x, y)| m.max(f64::from((x - y).abs())));
    worst / largest(b).max(f64::MIN_POSITIVE)
}

/// Least squares on features X (n,d) with targets Y (n,o): forward, `v` with features `X D` is stepped along its own
/// gradient; backward, `u` with features X is stepped along its gradient times D twice. Then `u = D v` throughout.
pub(super) async fn a8(gpu: &Gpu, experiment: Experiment, options: &ExperimentOptions) -> Result<Findings> {
    let (n, d, o, steps, lr) = (512, 24, 6, 20, 0.5f32);
    let mut rng = Rng::new(options.seed);
    let x = mixture(&mut rng, n, d);
    let y: Vec<f32> = (0..n * o).map(|_| rng.normal()).collect();
    let mut a = moments(&x, &x, d, d);
    (0..d).for_each(|i| a[i * d + i] += 1e-5);
    let condition = Spectrum::of(&a, d).condition();
    let a: Vec<f32> = a.iter().map(|v| *v as f32).collect();
    let deconv = inverse_root(gpu, &a, d, 15).await?;

    // One step of both on the GPU; weights go in and come out.
    let mut tape = Tape::new();
    let mut input = |name: &str, shape: &[usize]| -> Result<_> {
        let var = tape.input(name, shape, DType::F32);
        ops::to_vec4(&mut tape, var)
    };
    let (x_var, y_var) = (input("x", &[1, n, d])?, input("y", &[1, n, o])?);
    let (d_var, v_var, u_var) = (input("d", &[1, d, d])?, input("v", &[1, d, o])?, input("u", &[1, d, o])?);
    let white = ops::matmul(&mut tape, x_var, d_var)?;
    for (features, weight) in [(white, v_var), (x_var, u_var)] {
        let predicted = ops::matmul(&mut tape, features, weight)?;
        tape.output(predicted);
        let cross = ops::gram(&mut tape, features, predicted)?;
        let wanted = ops::gram(&mut tape, features, y_var)?;
        tape.output(cross);
        tape.output(wanted);
    }
    let gradient = |cross: &[f32], wanted: &[f32]| -> Vec<f32> {
        cross.iter().zip(wanted).map(|(c, w)| (c - w) / n as f32).collect()
    };
    let times = |m: &[f32], w: &[f32]| -> Vec<f32> {
        let entry =
            |i: usize| -> f64 { (0..d).map(|e| f64::from(m[i / o * d + e]) * f64::from(w[e * o + i % o])).sum() };
        (0..d * o).map(|i| entry(i) as f32).collect()
    };
    let mut v: Vec<f32> = (0..d * o).map(|_| 0.1 * rng.normal()).collect();
    let mut u = times(&deconv, &v);
    let (mut rows, mut weights, mut outputs_apart) = (Vec::new(), Vec::new(), Vec::new());
    for t in 0..=steps {
        let out = run_once(gpu, &tape, &[&x, &y, &deconv, &v, &u]).await?;
        let [forward, cross_v, wanted_v, backward, cross_u, wanted_u] = &out[..] else {
            return Err(Error::Run("a8: the device returned too few results".into()));
        };
        let (apart_w, apart_y) = (difference(&times(&deconv, &v), &u), difference(forward, backward));
        weights.push(apart_w);
        outputs_apart.push(apart_y);
        if t % 5 == 0 {
            rows.push(vec![t.to_string(), format!("{apart_w:.2e}"), format!("{apart_y:.2e}")]);
        }
        let (g_v, g_u) = (gradient(cross_v, wanted_v), gradient(cross_u, wanted_u));
        let corrected = times(&deconv, &times(&deconv, &g_u));
        v.iter_mut().zip(&g_v).for_each(|(w, g)| *w -= lr * g);
        u.iter_mut().zip(&corrected).for_each(|(w, g)| *w -= lr * g);
    }
    let worst = weights.iter().chain(&outputs_apart).fold(0.0f64, |m, v| m.max(*v));
    Ok(Findings {
        experiment,
        note: format!(
            "{n} correlated samples of {d} features, {o} outputs, {steps} steps at learning rate {lr}; products with the \
             samples in float32, small ones in float64; condition number of the covariance {condition:.1}, and rounding \
             drives the two further apart the larger it is"
        ),
        heading: ["step", "D v against u", "outputs"].map(String::from).to_vec(),
        rows,
        checks: vec![Check {
            claim: "both corrections give the same weights and outputs after every step".into(),
            shown: worst < 1e-4,
            numbers: format!("largest relative difference {worst:.2e}, expected below 1e-4"),
        }],
        series: vec![
            Series { name: "weights".into(), values: weights },
            Series { name: "outputs".into(), values: outputs_apart },
        ],
        pictures: Vec::new(),
    })
}

/// A 1x1 deconvolution with identity weights: the layer is the whitening alone.
async fn whiten(gpu: &Gpu, x: &[f32], shape: [usize; 4], block: usize, iterations: usize) -> Result<Vec<f32>> {
    let channels = shape[1];
    let whitening = Whitening { mode: BlockMode::Paper, block, iterations, sampling_stride: 1, ..Default::default() };
    let mut state = State::new();
    let conv = Conv::new(channels, 1).bias(false);
    let layer = FastDeconv::new(&mut state, "conv", channels, &conv, whitening, Rng::new(0))?;
    for id in state.parameters() {
        let identity = |i: usize| f32::from(u8::from(i / channels == i % channels));
        let tensor = state.get_mut(id);
        tensor.values = (0..channels * channels).map(identity).collect();
    }
    let mut tape = Tape::new();
    let input = tape.input("x", &shape, DType::F32);
    let packed = ops::to_vec4(&mut tape, input)?;
    let y = layer.forward(&mut Forward { tape: &mut tape, state: &state, mode: Mode::Train }, packed)?;
    tape.output(y);
    run_on(gpu, &state, &tape, x).await
}

async fn run_on(gpu: &Gpu, state: &State, tape: &Tape, x: &[f32]) -> Result<Vec<f32>> {
    let mut compiled = Session::new(gpu, state)?.compile(&[tape])?;
    let Some(compiled) = compiled.first_mut() else { return Ok(Vec::new()) };
    compiled.submit(&[bytemuck::cast_slice(x)]).await?;
    Ok(compiled.take().await?.and_then(|(_, outputs)| outputs.into_iter().next()).unwrap_or_default())
}

pub(super) async fn sec5(gpu: &Gpu, experiment: Experiment, options: &ExperimentOptions) -> Result<Findings> {
    let shape @ [n, c, h, w] = [16, 12, 14, 14];
    let mut rng = Rng::new(options.seed);
    let pixels = mixture(&mut rng, n * h * w, c);
    // Pixels (n, h, w) of channels to (n, c, h, w), with means and scales that differ.
    let area = h * w;
    let x: Vec<f32> = (0..n * c * area)
        .map(|i| {
            let (image, channel, pixel) = (i / (c * area), i / area % c, i % area);
            pixels[(image * area + pixel) * c + channel] * (0.5 + 0.2 * channel as f32) + channel as f32 * 0.3
        })
        .collect();
    let covariance = |values: &[f32]| -> Vec<f64> {
        let mut rows: Vec<f32> =
            (0..n * area * c).map(|i| values[(i / c / area * c + i % c) * area + i / c % area]).collect();
        let mean: Vec<f64> = (0..c)
            .map(|j| rows.iter().skip(j).step_by(c).map(|v| f64::from(*v)).sum::<f64>() / (n * area) as f64)
            .collect();
        rows.iter_mut().enumerate().for_each(|(i, v)| *v = (f64::from(*v) - mean[i % c]) as f32);
        moments(&rows, &rows, c, c)
    };
    let before = whiteness(&covariance(&x), c);
    let all = whiten(gpu, &x, shape, c, 15).await?;
    let after = whiteness(&covariance(&all), c);

    let single = whiten(gpu, &x, shape, 1, 5).await?;
    let mut tape = Tape::new();
    let input = tape.input("x", &shape, DType::F32);
    let packed = ops::to_vec4(&mut tape, input)?;
    let mut state = State::new();
    let weight = state.parameter("weight", &[c], vec![1.0; c]);
    let bias = state.parameter("bias", &[c], vec![0.0; c]);
    let (weight, bias) = (tape.state(&state, weight), tape.state(&state, bias));
    let norm = ops::batch_norm(&mut tape, packed, weight, bias, NormOptions { eps: 1e-5, ..Default::default() })?;
    tape.output(norm.y);
    let batch = run_on(gpu, &state, &tape, &x).await?;
    let apart = difference(&single, &batch);
    let row = |what: &str, value: f64| vec![what.to_owned(), format!("{value:.2e}")];
    Ok(Findings {
        experiment,
        note: format!("{n} maps of {c} correlated channels, {h} x {w}; identity weights, every pixel sampled, float32"),
        heading: ["what", "value"].map(String::from).to_vec(),
        rows: vec![
            row("channel covariance before, distance from the identity", before),
            row("the same after k = 1 in one block, T = 15", after),
            row("blocks of 1 against batch norm, largest relative difference", apart),
        ],
        checks: vec![
            Check {
                claim: "k = 1 decorrelates the channels".into(),
                shown: after < 1e-2,
                numbers: format!("distance of their covariance from the identity {after:.2e}, expected below 1e-2"),
            },
            Check {
                claim: "blocks of 1 with k = 1 are batch normalisation".into(),
                shown: apart < 1e-5,
                numbers: format!("largest relative difference {apart:.2e}, expected below 1e-5"),
            },
        ],
        series: vec![Series { name: "before, after, against batch norm".into(), values: vec![before, after, apart] }],
        pictures: Vec::new(),
    })
}
