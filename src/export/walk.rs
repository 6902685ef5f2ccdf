//! The layers of a network under the names that their tensors carry.

use crate::nn::{self, Forward, Mode, Network};
use crate::tape::{State, Tape};
use crate::{Error, Result};
use std::collections::HashMap;

/// Tensors and results of a network by name.
pub(super) struct Named<'a> {
    pub state: &'a State,
    /// Shape of each layer's result without N.
    pub shapes: HashMap<String, Vec<usize>>,
}

impl<'a> Named<'a> {
    /// # Errors
    /// The network cannot be built, or its tensors are not those in `state`.
    pub fn of(network: &Network, state: &'a State) -> Result<Self> {
        let mut own = State::new();
        let model = network.build(&mut own)?;
        for (_, tensor) in own.iter() {
            let found = state.find(&tensor.name).map(|id| &state.get(id).ty.shape);
            if found != Some(&tensor.ty.shape) {
                let (name, expected) = (&tensor.name, &tensor.ty.shape);
                let what = format!("the tensor '{name}' should have the shape {expected:?}, found {found:?}");
                return Err(Error::Usage(what));
            }
        }
        let mut tape = Tape::new();
        let images = nn::images(&mut tape, 1, network.input);
        let mut found = Vec::new();
        let mut ctx = Forward { tape: &mut tape, state: &own, mode: Mode::Eval };
        model.forward_watched(&mut ctx, images, &mut |name, value| found.push((name.to_owned(), value)))?;
        let shapes = found.into_iter().map(|(name, value)| (name, tape.shape(value)[1..].to_vec())).collect();
        Ok(Self { state, shapes })
    }

    /// The values of a tensor, where there is one.
    pub fn tensor(&self, name: &str) -> Option<(&'a [usize], &'a [f32])> {
        let tensor = self.state.get(self.state.find(name)?);
        Some((&tensor.ty.shape, &tensor.values))
    }

    /// The values of a tensor.
    ///
    /// # Errors
    /// There is none.
    pub fn need(&self, name: &str) -> Result<(&'a [usize], &'a [f32])> {
        self.tensor(name).ok_or_else(|| Error::Usage(format!("the network has no tensor '{name}'")))
    }

    /// Shape of a layer's result without N.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        let found = self.shapes.get(name).map(Vec::as_slice);
        found.ok_or_else(|| Error::Usage(format!("the network has no layer '{name}'")))
    }
}
