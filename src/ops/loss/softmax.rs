//! Softmax over the channels, and its logarithm.

use super::lanes;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::expect_activation;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct SoftmaxParams { rows: u32, channels: u32, channels4: u32 }
}

const VARIANTS: &[&[(&str, u32)]] = &[
    &[("LOG", 0), ("LANES", 4)],
    &[("LOG", 0), ("LANES", 64)],
    &[("LOG", 1), ("LANES", 4)],
    &[("LOG", 1), ("LANES", 64)],
];
static SOFTMAX: Shader = Shader::with_variants::<SoftmaxParams>("loss/softmax.wgsl", 1, 1, VARIANTS);
static GRAD: Shader = Shader::with_variants::<SoftmaxParams>("loss/softmax_grad.wgsl", 2, 1, VARIANTS);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&SOFTMAX, &GRAD];

/// `exp(x_c) / sum_c exp(x_c)` over the channels of (N,C) or (N,C,H,W), for each image or pixel. Three reads and one
/// write per element; the gradient reads four.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 2]);
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = f::softmax(&mut tape, x)?;
/// let shares = tape.compute(y, &[&[0.0, 3f32.ln()]])?;
/// assert!((shares[0] - 0.25).abs() < 1e-6 && (shares[1] - 0.75).abs() < 1e-6);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// `x` is not an activation.
pub fn softmax(tape: &mut Tape, x: Var) -> Result<Var> {
    tape.apply1(Softmax { log: false }, &[x])
}

/// `x_c - log sum_c exp(x_c)`, the logarithm of [`softmax`] without its loss of accuracy. Cost and errors as there.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 2]);
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = f::log_softmax(&mut tape, x)?;
/// // The logarithm of a share that is far too small for an f32.
/// assert_eq!(tape.compute(y, &[&[0.0, 1000.0]])?, [-1000.0, 0.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub fn log_softmax(tape: &mut Tape, x: Var) -> Result<Var> {
    tape.apply1(Softmax { log: true }, &[x])
}

fn launch_rows(launch: &mut Launch<'_>, shader: &'static Shader, log: bool) {
    let ty = launch.inputs[0];
    let params = SoftmaxParams { rows: ty.rows() as u32, channels: ty.inner() as u32, channels4: ty.inner4() as u32 };
    let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
    let (wide, lanes) = lanes(ty);
    launch.flat(Kernel::new(shader, 2 * usize::from(log) + wide), &params, &reads, &writes, ty.rows() * lanes);
}

/// The places of each row's elements.
fn rows(x: &Array) -> impl Iterator<Item = Vec<usize>> + use<> {
    let [n, c, h, w] = x.nchw();
    let pixels = h * w;
    (0..n * pixels).map(move |row| (0..c).map(|k| (row / pixels * c + k) * pixels + row % pixels).collect())
}

#[derive(Debug)]
struct Softmax {
    log: bool,
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "log_softmax" } else { "softmax" }
    }

    fn exact(&self) -> bool {
        true
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_activation(self.name(), inputs[0])?;
        if inputs[0].is_empty() {
            return Err(Error::shape(self.name(), format!("expected at least one element, found {}", inputs[0])));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (y, gy) = (context.outputs[0], context.grad(0)?);
        Ok(vec![context.when(0, SoftmaxGrad { log: self.log }, &[y, gy])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        launch_rows(launch, &SOFTMAX, self.log);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let mut y = inputs[0].clone();
        for row in rows(&y) {
            let most = row.iter().map(|at| y.data[*at]).fold(f64::NEG_INFINITY, f64::max);
            let log_sum = row.iter().map(|at| (y.data[*at] - most).exp()).sum::<f64>().ln();
            for at in row {
                let v = y.data[at] - most - log_sum;
                y.data[at] = if self.log { v } else { v.exp() };
            }
        }
        vec![y]
    }
}

/// From the result, so that the input needs no memory.
#[derive(Debug)]
struct SoftmaxGrad {
    log: bool,
}

impl Op for SoftmaxGrad {
    fn name(&self) -> &'static str {
        if self.log { "log_softmax_grad" } else { "softmax_grad" }
    }

    fn exact(&self) -> bool {
        true
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        crate::ops::expect_same(self.name(), inputs[0], inputs[1])?;
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        launch_rows(launch, &GRAD, self.log);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let (y, gy) = (inputs[0], inputs[1]);
        let mut gx = gy.clone();
        for row in rows(y) {
            let weight = |at: usize| if self.log { 1.0 } else { y.data[at] };
            let sum: f64 = row.iter().map(|at| weight(*at) * gy.data[*at]).sum();
            for at in row {
                gx.data[at] =
                    if self.log { gy.data[at] - y.data[at].exp() * sum } else { y.data[at] * (gy.data[at] - sum) };
            }
        }
        vec![gx]
    }
}
