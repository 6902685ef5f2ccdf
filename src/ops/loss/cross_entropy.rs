//! Softmax cross-entropy: `loss = mean over counted targets of log(sum_c exp(x_c)) - (1 - a) x_label - a mean_c(x_c)`
//! with label smoothing `a` (Szegedy et al., 2016, as PyTorch has it), with the number of hits beside it. With weights
//! `w` of the classes it is `sum ((1 - a) w_label nll_label + a / C sum_c w_c nll_c) / sum w_label`, where
//! `nll_c = log(sum exp(x)) - x_c`.
//!
//! Reads the logits twice forward and three times backward; the softmax is not stored.

use super::lanes;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::expect_activation;
use crate::ops::sums::column_sum::launch_column_sum;
use crate::tape::{Array, Backward, DType, Launch, Layout, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct PixelParams { pixels: u32, channels: u32, channels4: u32, ignore: u32, has_ignore: u32, smoothing: f32, weighted: u32 }
}
kernel_params! {
    struct FinishParams { unused: u32 }
}

const LANES: &[&[(&str, u32)]] = &[&[("LANES", 4)], &[("LANES", 64)]];
static TERMS: Shader = Shader::with_variants::<PixelParams>("loss/cross_entropy.wgsl", 3, 1, LANES);
static FINISH: Shader = Shader::new::<FinishParams>("loss/cross_entropy_finish.wgsl", 1, 3);
static GRAD: Shader = Shader::with_variants::<PixelParams>("loss/cross_entropy_grad.wgsl", 5, 1, LANES);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&TERMS, &FINISH, &GRAD];

/// How targets count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CrossEntropyOptions {
    /// Targets of this value do not count, as PyTorch's `ignore_index`; where none is left, the loss and its gradient
    /// are 0, and not PyTorch's NaN.
    pub ignore_index: Option<u32>,
    /// Share of a target that is spread over all classes, 0 to below 1.
    pub label_smoothing: f32,
}

/// What [`cross_entropy_hits`] returns; each is one row-major value.
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy {
    /// Mean loss over the counted targets; 0 when none counts.
    pub loss: Var,
    /// Counted targets; with weights of the classes, the sum of their weights.
    pub count: Var,
    /// Targets whose logit is the largest (the first one wins ties).
    pub hits: Var,
}

/// Mean cross-entropy of `logits` (N,C) or (N,C,H,W) against `labels` (N) or (N,H,W), u32. Targets equal to
/// `ignore_index`, or not a class at all, do not count; where none counts, the loss is 0, and so is its gradient: a
/// batch without labels teaches nothing, and must not end a run as PyTorch's NaN would. [`CrossEntropy::count`] tells
/// such a batch from one without errors.
///
/// ```
/// use mexhat::nn::{DType, Tape, functional as f};
/// let mut tape = Tape::new();
/// let (logits, labels) = (tape.leaf("logits", &[2, 2]), tape.input("labels", &[2], DType::U32));
/// let logits = f::to_vec4(&mut tape, logits)?;
/// let loss = f::cross_entropy(&mut tape, logits, labels, Default::default())?;
/// assert_eq!(tape.shape(loss), [1]);
/// // Two classes that are equally likely.
/// let loss = tape.compute(loss, &[&[0.0; 4], &[0.0, 1.0]])?[0];
/// assert!((loss - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// The labels are not one per row or pixel, or the smoothing is not in 0 to 1.
pub fn cross_entropy(tape: &mut Tape, logits: Var, labels: Var, options: CrossEntropyOptions) -> Result<Var> {
    Ok(cross_entropy_hits(tape, logits, labels, options)?.loss)
}

/// As [`cross_entropy`], with the counts from which an accuracy is made.
///
/// # Errors
/// As [`cross_entropy`].
pub fn cross_entropy_hits(
    tape: &mut Tape,
    logits: Var,
    labels: Var,
    options: CrossEntropyOptions,
) -> Result<CrossEntropy> {
    let out = tape.apply(Loss(options), &[logits, labels])?;
    Ok(CrossEntropy { loss: out[0], count: out[1], hits: out[2] })
}

/// As [`cross_entropy_hits`] with a weight for each class (C), as PyTorch's `CrossEntropyLoss(weight)`: the mean is
/// over the weights of the targets. No gradient flows to the weights.
///
/// # Errors
/// As [`cross_entropy`], and when there is not one weight for each class.
pub fn cross_entropy_weighted(
    tape: &mut Tape,
    logits: Var,
    labels: Var,
    weights: Var,
    options: CrossEntropyOptions,
) -> Result<CrossEntropy> {
    let out = tape.apply(Loss(options), &[logits, labels, weights])?;
    Ok(CrossEntropy { loss: out[0], count: out[1], hits: out[2] })
}

fn params(logits: &Type, options: CrossEntropyOptions, weighted: bool) -> PixelParams {
    PixelParams {
        pixels: logits.rows() as u32,
        channels: logits.inner() as u32,
        channels4: logits.inner4() as u32,
        ignore: options.ignore_index.unwrap_or_default(),
        has_ignore: u32::from(options.ignore_index.is_some()),
        smoothing: options.label_smoothing,
        weighted: u32::from(weighted),
    }
}

/// Calls `visit(pixel's logits, their places, label)` for every counted pixel.
fn counted(logits: &Array, labels: &Array, ignore: Option<u32>, mut visit: impl FnMut(&[f64], &[usize], usize)) {
    let [n, c, h, w] = logits.nchw();
    for pixel in 0..n * h * w {
        let label = labels.data[pixel] as usize;
        if ignore.is_some_and(|ignore| label == ignore as usize) || label >= c {
            continue;
        }
        let places: Vec<usize> = (0..c).map(|k| (pixel / (h * w) * c + k) * h * w + pixel % (h * w)).collect();
        let values: Vec<f64> = places.iter().map(|at| logits.data[*at]).collect();
        visit(&values, &places, label);
    }
}

/// The weights of `channels` classes, 1 without any.
fn weights(given: Option<&&Array>, channels: usize) -> Vec<f64> {
    given.map_or_else(|| vec![1.0; channels], |given| given.data.clone())
}

/// `sum` where it is above 0, else 1.
fn divisor(sum: f64) -> f64 {
    if sum > 0.0 { sum } else { 1.0 }
}

fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.iter().map(|v| (v - largest).exp()).sum::<f64>().ln() + largest
}

#[derive(Debug)]
struct Loss(CrossEntropyOptions);

impl Op for Loss {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn exact(&self) -> bool {
        true
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let (logits, labels) = (inputs[0], inputs[1]);
        expect_activation(self.name(), logits)?;
        if labels.dtype != DType::U32 || labels.len() != logits.rows() || logits.is_empty() {
            let what =
                format!("expected one u32 label for each of {} targets, found {labels} for {logits}", logits.rows());
            return Err(Error::shape(self.name(), what));
        }
        if let Some(weights) = inputs.get(2)
            && (weights.layout != Layout::Plain || weights.shape != [logits.inner()])
        {
            let what = format!("expected a weight for each of {} classes, found {weights}", logits.inner());
            return Err(Error::shape(self.name(), what));
        }
        if !(0.0..=1.0).contains(&self.0.label_smoothing) {
            let what = format!("the label smoothing is {}; expected 0 to 1", self.0.label_smoothing);
            return Err(Error::shape(self.name(), what));
        }
        Ok(vec![Type::plain(&[1]); 3])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (logits, labels, count) = (context.inputs[0], context.inputs[1], context.outputs[1]);
        let g = context.grad(0)?;
        let weights = context.inputs.get(2).copied();
        let inputs: Vec<Var> = [logits, labels, count, g].into_iter().chain(weights).collect();
        let grad = context.when(0, LossGrad(self.0), &inputs)?;
        Ok(std::iter::once(grad).chain(context.inputs[1..].iter().map(|_| None)).collect())
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let logits = launch.inputs[0];
        let pixels = logits.rows();
        let (mut reads, writes) = (launch.reads.clone(), launch.writes.clone());
        let params = params(logits, self.0, reads.len() > 2);
        // Something has to be bound where there are no weights.
        reads.resize(3, reads[0]);
        let [terms, sums] = [("terms", pixels * 4), ("sums", 4)].map(|(label, size)| launch.scratch(label, size));
        let (wide, lanes) = lanes(logits);
        launch.flat(Kernel::new(&TERMS, wide), &params, &reads, &[terms], pixels * lanes);
        launch_column_sum(launch, [1, pixels, 1], 1.0, terms, sums);
        launch.dispatch(Kernel::new(&FINISH, 0), &FinishParams::default(), &[sums], &writes, [1, 1, 1]);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let smoothing = f64::from(self.0.label_smoothing);
        let (mut loss, mut count, mut hits) = (0.0, 0.0, 0.0);
        counted(inputs[0], inputs[1], self.0.ignore_index, |values, _, label| {
            let (weights, total) = (weights(inputs.get(2), values.len()), log_sum_exp(values));
            let smooth = values.iter().zip(&weights).map(|(v, w)| w * (total - v)).sum::<f64>() / values.len() as f64;
            loss += (1.0 - smoothing) * weights[label] * (total - values[label]) + smoothing * smooth;
            count += weights[label];
            let best = (0..values.len()).rev().max_by(|a, b| values[*a].total_cmp(&values[*b]));
            hits += f64::from(u8::from(best == Some(label)));
        });
        [loss / divisor(count), count, hits].map(|v| Array { shape: vec![1], data: vec![v] }).to_vec()
    }
}

#[derive(Debug)]
struct LossGrad(CrossEntropyOptions);

impl Op for LossGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_grad"
    }

    fn exact(&self) -> bool {
        true
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let logits = launch.inputs[0];
        let (mut reads, writes) = (launch.reads.clone(), launch.writes.clone());
        let (params, pixels) = (params(logits, self.0, reads.len() > 4), logits.rows());
        reads.resize(5, reads[0]);
        let (wide, lanes) = lanes(logits);
        launch.flat(Kernel::new(&GRAD, wide), &params, &reads, &writes, pixels * lanes);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let mut grad = Array::zeros(&inputs[0].shape);
        let scale = inputs[3].data[0] / divisor(inputs[2].data[0]);
        let smoothing = f64::from(self.0.label_smoothing);
        counted(inputs[0], inputs[1], self.0.ignore_index, |values, places, label| {
            let (weights, total, classes) =
                (weights(inputs.get(4), values.len()), log_sum_exp(values), values.len() as f64);
            let all: f64 = weights.iter().sum();
            for (k, at) in places.iter().enumerate() {
                let (p, hot) = ((values[k] - total).exp(), f64::from(u8::from(k == label)));
                let smooth = (all * p - weights[k]) / classes;
                grad.data[*at] = ((1.0 - smoothing) * weights[label] * (p - hot) + smoothing * smooth) * scale;
            }
        });
        vec![grad]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;

    #[test]
    fn without_a_label_that_counts_loss_and_gradient_are_zero() -> Result<()> {
        let mut tape = Tape::new();
        let (leaf, labels) = (tape.leaf("logits", &[1, 3, 1, 2]), tape.input("labels", &[1, 1, 2], DType::U32));
        let logits = ops::to_vec4(&mut tape, leaf)?;
        let options = CrossEntropyOptions { ignore_index: Some(255), ..Default::default() };
        let found = cross_entropy_hits(&mut tape, logits, labels, options)?;
        let gradient = tape.backward(found.loss)?.get(leaf).expect("a gradient");
        let values: [&[f32]; 2] = [&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[255.0; 2]];
        assert_eq!([tape.compute(found.loss, &values)?, tape.compute(found.count, &values)?], [[0.0], [0.0]]);
        assert_eq!(tape.compute(gradient, &values)?, [0.0; 6]);
        // Of one that counts, the mean is over that one.
        let some: [&[f32]; 2] = [&[1.0, 2.0, 1.0, 2.0, 1.0, 2.0], &[255.0, 2.0]];
        assert!((tape.compute(found.loss, &some)?[0] - 3f32.ln()).abs() < 1e-6);
        Ok(())
    }
}
