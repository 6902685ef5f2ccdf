//! Every operation of the engine, one line each: how to build it on a tape from sizes. The reference test, the
//! finite-difference test, the coverage check and `mexhat doctor` run this table; a new operation joins by its line.

mod cases;
mod layers;
mod whitening;

use super::{Bench, Sizes};
use crate::Result;
use crate::tape::Var;

/// Builds the operation and returns its outputs; those with a gradient are differentiated.
pub type Build = fn(&mut Bench, Sizes) -> Result<Vec<Var>>;

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Name of the line.
    pub name: &'static str,
    /// Records it.
    pub build: Build,
    /// Of the GPU against the reference, over the largest value of the output.
    pub tolerance: f64,
    /// Sizes that reach the kernel variants which random small sizes do not.
    pub corners: fn() -> Vec<Sizes>,
}

const fn op(name: &'static str, build: Build) -> Operation {
    Operation { name, build, tolerance: 1e-4, corners: Vec::new }
}

impl Operation {
    /// For operations that amplify rounding.
    const fn within(self, tolerance: f64) -> Self {
        Self { tolerance, ..self }
    }

    /// Runs these sizes always, besides the random ones.
    const fn at(self, corners: fn() -> Vec<Sizes>) -> Self {
        Self { corners, ..self }
    }
}
const COUNT: usize = layers::OPERATIONS.len() + whitening::OPERATIONS.len();

/// Every operation.
pub const OPERATIONS: &[Operation] = &{
    let (mut all, mut i) = ([layers::OPERATIONS[0]; COUNT], 0);
    while i < COUNT {
        let layers = layers::OPERATIONS.len();
        all[i] = if i < layers { layers::OPERATIONS[i] } else { whitening::OPERATIONS[i - layers] };
        i += 1;
    }
    all
};
