//! The second moment of rows about 0, which `ChannelDeconv` whitens with (method, section 8).

use super::covariance::CovarianceGrad;
use crate::ops::products::gram::GramProduct;
use crate::ops::products::matrix::{dims, matrix, product, transposed};
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

/// `rows^T rows / R + eps I` of (S,R,d): (S,d,d). The mean is not taken away. S R d^2 multiply-adds (one triangle).
///
/// # Errors
/// There is no row.
pub fn second_moment(tape: &mut Tape, rows: Var, eps: f32) -> Result<Var> {
    tape.apply1(SecondMoment { eps }, &[rows])
}

#[derive(Debug)]
struct SecondMoment {
    eps: f32,
}

impl Op for SecondMoment {
    fn name(&self) -> &'static str {
        "second_moment"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let [s, r, d] = matrix(self.name(), inputs[0])?;
        if r == 0 {
            return Err(Error::shape(self.name(), format!("expected at least one row, found {}", inputs[0])));
        }
        Ok(vec![Type::vec4(&[s, d, d])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        let rows = context.inputs[0];
        Ok(vec![context.when(0, CovarianceGrad, &[rows, grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ([s, r, d], rows, moment) = (dims(launch.inputs[0]), launch.reads[0], launch.writes[0]);
        let gram = GramProduct { a: rows, b: rows, scale: 1.0 / r as f32, diagonal: self.eps };
        gram.launch(launch, [s, r, d, d], moment);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let (s, r, d) = (inputs[0].shape[0], inputs[0].shape[1], inputs[0].shape[2]);
        let mut moment = product(&transposed(inputs[0]), inputs[0]).map(|v| v / r as f64);
        for i in 0..s * d {
            moment.data[i * d + i % d] += f64::from(self.eps);
        }
        vec![moment]
    }
}
