//! Labels as activations.

use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::{expect_activation, vectors};
use crate::tape::{Array, DType, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct OneHotParams { vectors: u32, channels: u32, channels4: u32 }
}

static ONE_HOT: Shader = Shader::new::<OneHotParams>("loss/one_hot.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&ONE_HOT];

/// An activation of type `like`, (N,C) or (N,C,H,W), that is 1 at the channel of its row's label and 0 elsewhere;
/// u32 `labels` are (N) or (N,H,W). A label of C or more gives a row of zeros.
///
/// ```
/// use mexhat::nn::{DType, Tape, functional as f};
/// let mut tape = Tape::new();
/// let (logits, labels) = (tape.leaf("logits", &[2, 3]), tape.input("labels", &[2], DType::U32));
/// let logits = f::to_vec4(&mut tape, logits)?;
/// let like = tape.ty(logits).clone();
/// let y = f::one_hot(&mut tape, labels, &like)?;
/// assert_eq!(tape.compute(y, &[&[0.0; 6], &[1.0, 2.0]])?, [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// The labels are not u32, or not one for each row.
pub fn one_hot(tape: &mut Tape, labels: Var, like: &Type) -> Result<Var> {
    tape.apply1(OneHot { like: like.clone() }, &[labels])
}

#[derive(Debug)]
struct OneHot {
    like: Type,
}

impl Op for OneHot {
    fn name(&self) -> &'static str {
        "one_hot"
    }

    fn exact(&self) -> bool {
        true
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_activation(self.name(), &self.like)?;
        if inputs[0].dtype != DType::U32 || inputs[0].len() != self.like.rows() {
            let (rows, like) = (self.like.rows(), &self.like);
            let what = format!("expected one u32 label for each of {rows} rows, found {} for {like}", inputs[0]);
            return Err(Error::shape(self.name(), what));
        }
        Ok(vec![self.like.clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(&self.like);
        let params = OneHotParams {
            vectors: count as u32,
            channels: self.like.inner() as u32,
            channels4: self.like.inner4() as u32,
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&ONE_HOT, 0), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let mut y = Array::zeros(&self.like.shape);
        let [_, c, h, w] = y.nchw();
        for (row, label) in inputs[0].data.iter().enumerate() {
            let (n, pixel, label) = (row / (h * w), row % (h * w), *label as usize);
            if label < c {
                y.data[(n * c + label) * h * w + pixel] = 1.0;
            }
        }
        vec![y]
    }
}
