//! Activations whose images are the pixels of others: the order in which whitened patches come (`whiten.rs`).

use super::expect_activation;
use crate::gpu::{Family, Kernel, Shader};
use crate::kernel_params;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct TurnParams { vectors: u32, channels4: u32, a: u32, b: u32 }
}

static TURN: Shader = Shader::new::<TurnParams>("turn_pixels.wgsl", 1, 1);
/// Only strata need it.
pub(super) const SHADERS: &[&Shader] = if Family::IN_SUBGROUPS { &[&TURN] } else { &[] };

/// `x` (N,C,H,W) as (H W,C,h,w) with h w = N: pixel p of image i becomes pixel i of image p. Reads and writes each element once.
///
/// # Errors
/// `shape` is not such a shape.
pub fn turn_pixels(tape: &mut Tape, x: Var, shape: [usize; 4]) -> Result<Var> {
    let rectified = tape.is_rectified(x);
    tape.apply1(TurnPixels { shape, rectified }, &[x])
}

#[derive(Debug)]
struct TurnPixels {
    shape: [usize; 4],
    rectified: bool,
}

impl Op for TurnPixels {
    fn name(&self) -> &'static str {
        "turn_pixels"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_activation(self.name(), inputs[0])?;
        let ([n, c, h, w], [n2, c2, h2, w2]) = (inputs[0].nchw(), self.shape);
        if (h * w, c, n) != (n2, c2, h2 * w2) {
            let what = format!("cannot turn {} into {:?}", inputs[0], self.shape);
            return Err(Error::shape(self.name(), what));
        }
        Ok(vec![Type::vec4(&self.shape)])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn rectified(&self) -> bool {
        self.rectified
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (grad, shape) = (context.grad(0)?, context.tape.ty(context.inputs[0]).nchw());
        let turned = context.when(0, Self { shape, rectified: false }, &[grad])?;
        if context.masked(0) {
            context.mask(0, turned);
        }
        Ok(vec![turned])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let [a, c, h, w] = launch.inputs[0].nchw();
        let (x, y) = (launch.reads[0], launch.writes[0]);
        let (b, channels4) = (h * w, c.div_ceil(4));
        let vectors = a * b * channels4;
        let params = TurnParams { vectors: vectors as u32, channels4: channels4 as u32, a: a as u32, b: b as u32 };
        launch.flat(Kernel::new(&TURN, 0), &params, &[x], &[y], vectors);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let [a, c, h, w] = inputs[0].nchw();
        let (b, mut y) = (h * w, Array::zeros(&self.shape));
        for (at, v) in inputs[0].data.iter().enumerate() {
            let (i, channel, p) = (at / (c * b), at / b % c, at % b);
            y.data[(p * c + channel) * a + i] = *v;
        }
        vec![y]
    }
}
