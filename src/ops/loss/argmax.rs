//! Which channel is the largest (`argmax`), pixel by pixel: what a network says that puts out a map of classes.
#![cfg(not(target_arch = "wasm32"))]

use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::expect_activation;
use crate::tape::{Array, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct ArgmaxParams { pixels: u32, channels: u32, channels4: u32 }
}

static ARGMAX: Shader = Shader::new::<ArgmaxParams>("loss/argmax.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&ARGMAX];

/// The place of the largest channel, the first of equals: of (N,C,H,W) a row-major (N,H,W), of (N,C) an (N), as floats.
/// Reads each value once; no gradient flows.
///
/// ```
/// use mexhat::{nn::Tape, ops};
/// let mut tape = Tape::new();
/// let x = tape.leaf("x", &[1, 3, 1, 2]);
/// let x4 = ops::to_vec4(&mut tape, x)?;
/// let y = ops::argmax(&mut tape, x4)?;
/// assert_eq!(tape.shape(y), [1, 1, 2]);
/// assert_eq!(tape.compute(y, &[&[1.0, 5.0, 3.0, 5.0, 2.0, 0.0]])?, [1.0, 0.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// `x` is no activation.
pub fn argmax(tape: &mut Tape, x: Var) -> Result<Var> {
    tape.apply1(Argmax, &[x])
}

#[derive(Debug)]
struct Argmax;

impl Op for Argmax {
    fn name(&self) -> &'static str {
        "argmax"
    }

    fn exact(&self) -> bool {
        true
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_activation(self.name(), inputs[0])?;
        let shape = &inputs[0].shape;
        Ok(vec![Type::plain(&[&shape[..1], &shape[2..]].concat())])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let x = launch.inputs[0];
        let pixels = x.rows();
        let params = ArgmaxParams { pixels: pixels as u32, channels: x.inner() as u32, channels4: x.inner4() as u32 };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&ARGMAX, 0), &params, &reads, &writes, pixels.div_ceil(4));
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let x = inputs[0];
        let [n, c, h, w] = x.nchw();
        let at = |pixel: usize, k: usize| x.data[(pixel / (h * w) * c + k) * h * w + pixel % (h * w)];
        let best = |pixel| (1..c).fold(0, |best, k| if at(pixel, k) > at(pixel, best) { k } else { best }) as f64;
        let shape = [&x.shape[..1], &x.shape[2..]].concat();
        vec![Array { shape, data: (0..n * h * w).map(best).collect() }]
    }
}
