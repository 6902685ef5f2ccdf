//! Dropout: elements set to zero at random while training.

use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::{expect_activation, mul, vectors};
use crate::rng::pcg;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct DropoutParams { vectors: u32, key: u32, threshold: u32, scale: f32 }
}

static DROPOUT: Shader = Shader::new::<DropoutParams>("pointwise/dropout.wgsl", 2, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&DROPOUT];

/// For training: each element is 0 with probability `p`, otherwise `x / (1 - p)`. For evaluation leave it out.
///
/// What is dropped follows from the step number and the random key of [`Tape::scalars`], the place of this operation on
/// the tape and the place of the element, so the same seed gives the same bytes; the mask is computed again for the
/// gradient instead of being kept.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 1000]);
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = f::dropout(&mut tape, x, 0.5)?;
/// // The second input is what changes from step to step: learning rate, number and random key of the step, and more.
/// let scalars = tape.scalars();
/// let step = vec![1.0; tape.shape(scalars)[0]];
/// let y = tape.compute(y, &[&[1.0; 1000], &step])?;
/// assert!(y.iter().all(|v| *v == 0.0 || *v == 2.0));
/// assert!((400..600).contains(&y.iter().filter(|v| **v == 0.0).count()));
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// `p` is not in `[0, 1)`, or `x` is not an activation.
pub fn dropout(tape: &mut Tape, x: Var, p: f32) -> Result<Var> {
    let scale = keep_scale(p)?;
    if p == 0.0 {
        return Ok(x);
    }
    let scalars = tape.scalars();
    // The place on the tape tells the layers apart; the hash keeps their streams from being shifts of each other.
    let key = pcg(tape.nodes().len() as u32);
    let threshold = (f64::from(p) * 4_294_967_296.0) as u32;
    tape.apply1(Dropout { key, threshold, scale }, &[x, scalars])
}

/// As [`dropout`] with a given `mask` of the shape of `x`: 1 where an element is kept, 0 where it is dropped.
///
/// # Errors
/// `p` is not in `[0, 1)`, or the shapes differ.
pub fn dropout_with_mask(tape: &mut Tape, x: Var, mask: Var, p: f32) -> Result<Var> {
    let scale = keep_scale(p)?;
    mul(tape, x, mask, scale)
}

fn keep_scale(p: f32) -> Result<f32> {
    if (0.0..1.0).contains(&p) {
        return Ok(1.0 / (1.0 - p));
    }
    Err(Error::Usage(format!("dropout: the probability must be at least 0 and below 1, found {p}")))
}

#[derive(Clone, Copy, Debug)]
struct Dropout {
    key: u32,
    threshold: u32,
    scale: f32,
}

impl Op for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_activation(self.name(), inputs[0])?;
        Ok(vec![inputs[0].clone()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (scalars, gy) = (context.inputs[1], context.grad(0)?);
        Ok(vec![context.when(0, *self, &[gy, scalars])?, None])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(launch.outputs[0]);
        let params =
            DropoutParams { vectors: count as u32, key: self.key, threshold: self.threshold, scale: self.scale };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&DROPOUT, 0), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let (mut y, scalars) = (inputs[0].clone(), &inputs[1].data);
        let seed = scalars[4] as u32 | ((scalars[5] as u32) << 16);
        let key = pcg(self.key ^ pcg(scalars[1] as u32 ^ pcg(seed)));
        let [_, c, h, w] = y.nchw();
        let stride = c.div_ceil(4) * 4;
        for (i, v) in y.data.iter_mut().enumerate() {
            let (image, channel, pixel) = (i / (c * h * w), i / (h * w) % c, i % (h * w));
            let place = (image * h * w + pixel) * stride + channel;
            let kept = pcg(key ^ place as u32) >= self.threshold;
            *v = if kept { *v * f64::from(self.scale) } else { 0.0 };
        }
        vec![y]
    }
}
