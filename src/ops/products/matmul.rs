//! The products `a b`, `a b^T` and `a^T b` of batches of matrices. The gradients of each are the others.

use super::gram::launch_gram;
use super::matrix::{dims, matrix, product, transposed};
use super::product::Product;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

/// `a b` of (S,M,K) and (S,K,N).
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (a, b) = (tape.leaf("a", &[1, 2, 2]), tape.leaf("b", &[1, 2, 1]));
/// let (a, b) = (f::to_vec4(&mut tape, a)?, f::to_vec4(&mut tape, b)?);
/// let y = f::matmul(&mut tape, a, b)?;
/// assert_eq!(tape.shape(y), [1, 2, 1]);
/// assert_eq!(tape.compute(y, &[&[1.0, 2.0, 3.0, 4.0], &[1.0, 10.0]])?, [21.0, 43.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// The matrices do not fit.
pub fn matmul(tape: &mut Tape, a: Var, b: Var) -> Result<Var> {
    tape.apply1(Matmul, &[a, b])
}

/// `a b^T` of (S,M,K) and (S,N,K).
///
/// # Errors
/// The matrices do not fit.
pub fn matmul_nt(tape: &mut Tape, a: Var, b: Var) -> Result<Var> {
    tape.apply1(MatmulNt, &[a, b])
}

#[derive(Debug)]
struct Matmul;

impl Op for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let ([s, m, k], [s2, k2, n]) = (matrix("matmul", inputs[0])?, matrix("matmul", inputs[1])?);
        if (s, k) != (s2, k2) {
            return Err(Error::shape("matmul", format!("cannot multiply {} by {}", inputs[0], inputs[1])));
        }
        Ok(vec![Type::vec4(&[s2, m, n])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (a, b, g) = (context.inputs[0], context.inputs[1], context.grad(0)?);
        let ga = if context.needs(0) { Some(matmul_nt(context.tape, g, b)?) } else { None };
        let gb = if context.needs(1) { Some(gram(context.tape, a, g)?) } else { None };
        Ok(vec![ga, gb])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ([s, m, k], n) = (dims(launch.inputs[0]), launch.outputs[0].inner());
        let c = launch.writes[0];
        Product::new(launch.reads[0], launch.reads[1]).launch(launch, [s, m, n, k], c);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![product(inputs[0], inputs[1])]
    }
}

#[derive(Debug)]
struct MatmulNt;

impl Op for MatmulNt {
    fn name(&self) -> &'static str {
        "matmul_nt"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let ([s, m, k], [s2, n, k2]) = (matrix(self.name(), inputs[0])?, matrix(self.name(), inputs[1])?);
        if (s, k) != (s2, k2) {
            let what = format!("cannot multiply {} by the transpose of {}", inputs[0], inputs[1]);
            return Err(Error::shape(self.name(), what));
        }
        Ok(vec![Type::vec4(&[s, m, n])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (a, b, g) = (context.inputs[0], context.inputs[1], context.grad(0)?);
        let ga = if context.needs(0) { Some(matmul(context.tape, g, b)?) } else { None };
        let gb = if context.needs(1) { Some(gram(context.tape, g, a)?) } else { None };
        Ok(vec![ga, gb])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ([s, m, k], n) = (dims(launch.inputs[0]), launch.inputs[1].shape[1]);
        let (a, b, c) = (launch.reads[0], launch.reads[1], launch.writes[0]);
        Product { transposed: true, ..Product::new(a, b) }.launch(launch, [s, m, n, k], c);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![product(inputs[0], &transposed(inputs[1]))]
    }
}

/// `a^T b` of (S,R,da) and (S,R,db).
///
/// # Errors
/// The matrices do not fit.
pub fn gram(tape: &mut Tape, a: Var, b: Var) -> Result<Var> {
    tape.apply1(Gram, &[a, b])
}

#[derive(Debug)]
struct Gram;

impl Op for Gram {
    fn name(&self) -> &'static str {
        "gram"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let ([s, r, da], [s2, r2, db]) = (matrix("gram", inputs[0])?, matrix("gram", inputs[1])?);
        if (s, r) != (s2, r2) {
            return Err(Error::shape(
                "gram",
                format!("expected equal batches and rows, found {} and {}", inputs[0], inputs[1]),
            ));
        }
        Ok(vec![Type::vec4(&[s, da, db])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (a, b, g) = (context.inputs[0], context.inputs[1], context.grad(0)?);
        let ga = if context.needs(0) { Some(matmul_nt(context.tape, b, g)?) } else { None };
        let gb = if context.needs(1) { Some(matmul(context.tape, a, g)?) } else { None };
        Ok(vec![ga, gb])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ([s, r, da], db) = (dims(launch.inputs[0]), launch.inputs[1].inner());
        let (factors, c) = ([launch.reads[0], launch.reads[1]], launch.writes[0]);
        launch_gram(launch, [s, r, da, db], factors, c);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![product(&transposed(inputs[0]), inputs[1])]
    }
}
