//! Rows that are whitened, and least squares on rows by gradient descent: why correlated inputs are slow to learn from.

use super::kernels::run_once;
use crate::gpu::Gpu;
use crate::ops::{self, BlockLayout, BlockMode, Sampling, SgdOptions};
use crate::optim::{Optimizer, Scalars};
use crate::tape::{DType, Session, State, Tape};
use crate::{Error, Result};

/// Rows before and after whitening.
#[derive(Clone, Debug)]
pub struct WhitenedRows {
    /// `A = Cov + eps I`, (d,d).
    pub covariance: Vec<f32>,
    /// `D ~ A^(-1/2)`, (d,d).
    pub deconv: Vec<f32>,
    /// The rows less their mean, (R,d).
    pub before: Vec<f32>,
    /// Those times D, (R,d).
    pub after: Vec<f32>,
}

/// Whitens rows (R,d) as a linear layer with deconvolution does its input. R d^2 multiply-adds, twice.
///
/// # Errors
/// There are no rows, or the device failed.
pub async fn whiten_rows(gpu: &Gpu, rows: &[f32], d: usize, eps: f32, iterations: usize) -> Result<WhitenedRows> {
    let r = rows.len() / d;
    let mut tape = Tape::new();
    let input = tape.input("rows", &[1, r, d], DType::F32);
    let input = ops::to_vec4(&mut tape, input)?;
    let features = tape.view(input, &[r, d])?;
    let layout = BlockLayout::linear(BlockMode::Paper, d, d)?;
    let statistics = ops::covariance(&mut tape, features, layout, Sampling::Pixels { step: 1 }, eps)?;
    let deconv = ops::newton_schulz(&mut tape, statistics.covariance, iterations)?;
    let before = ops::center_rows(&mut tape, input, statistics.mean)?;
    let after = ops::matmul(&mut tape, before, deconv)?;
    for var in [statistics.covariance, deconv, before, after] {
        tape.output(var);
    }
    let mut outputs = run_once(gpu, &tape, &[rows]).await?.into_iter();
    let mut next = || outputs.next().ok_or_else(|| Error::Run("the device returned too few matrices".into()));
    Ok(WhitenedRows { covariance: next()?, deconv: next()?, before: next()?, after: next()? })
}

/// A path of gradient descent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Descent {
    /// The weight before each step and after the last, (d) each.
    pub weights: Vec<Vec<f32>>,
    /// Half the mean squared error there.
    pub losses: Vec<f32>,
}

/// Fits `targets` (R) by a linear function of `rows` (R,d) without a bias: `steps` steps of gradient descent from 0 on
/// half the mean squared error, whose second derivative is the rows' covariance if they are centred.
///
/// # Errors
/// The device failed. A path that diverges is no error.
pub async fn descend(gpu: &Gpu, rows: &[f32], targets: &[f32], rate: f64, steps: usize) -> Result<Descent> {
    let (r, d) = (targets.len(), rows.len() / targets.len().max(1));
    let mut state = State::new();
    let id = state.parameter("weight", &[1, d], vec![0.0; d]);
    let mut tape = Tape::new();
    let x = tape.input("rows", &[r, d], DType::F32);
    let y = tape.input("targets", &[r, 1], DType::F32);
    let x = ops::to_vec4(&mut tape, x)?;
    let weight = tape.state(&state, id);
    let now = ops::to_vec4(&mut tape, weight)?;
    let guess = ops::linear(&mut tape, x, weight, None)?;
    let loss = ops::least_squares(&mut tape, guess, y)?;
    let gradients = tape.backward(loss)?;
    let gradient = gradients.get(weight).ok_or_else(|| Error::Run("the weight has no gradient".into()))?;
    ops::sgd(&mut tape, weight, gradient, None, SgdOptions::default())?;
    tape.output(now);
    tape.output(loss);

    let mut compiled = Session::new(gpu, &state)?.compile(&[&tape])?;
    let Some(compiled) = compiled.first_mut() else { return Ok(Descent::default()) };
    let sgd = Optimizer::Sgd { momentum: 0.0, weight_decay: 0.0, nesterov: false };
    let mut path = Descent::default();
    // The step after the last only tells where that one led.
    for step in 1..=steps as u64 + 1 {
        let scalars: Scalars = sgd.scalars(rate, step, 0);
        compiled.submit(&[bytemuck::cast_slice(rows), bytemuck::cast_slice(targets), scalars.bytes()]).await?;
        while let Some((_, outputs)) = compiled.try_take()? {
            path.add(outputs);
        }
    }
    while let Some((_, outputs)) = compiled.take().await? {
        path.add(outputs);
    }
    Ok(path)
}

impl Descent {
    fn add(&mut self, outputs: Vec<Vec<f32>>) {
        if let [weight, loss] = &outputs[..] {
            self.weights.push(weight.clone());
            self.losses.extend(loss.first());
        }
    }
}
