//! Modules of the user's within a network.

use crate::nn::Module;
use crate::nn::init::uniform;
use crate::rng::Rng;
use crate::tape::{State, StateId, Type};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Makes a module for an input of this shape, without N: (C,H,W) or (F).
pub(super) type Build = dyn Fn(&mut Init<'_>, &[usize]) -> Result<Box<dyn Module>> + Send + Sync;

/// A module of the user's: what kind it is, and how it is made, which no file can hold.
#[derive(Clone, Serialize, Deserialize)]
pub struct Custom {
    /// Tells the user's modules apart.
    pub kind: String,
    #[serde(skip)]
    pub(super) build: Option<Arc<Build>>,
}

impl Custom {
    /// A module of this kind.
    pub fn new(
        kind: impl Into<String>,
        build: impl Fn(&mut Init<'_>, &[usize]) -> Result<Box<dyn Module>> + Send + Sync + 'static,
    ) -> Self {
        Self { kind: kind.into(), build: Some(Arc::new(build)) }
    }

    pub(super) fn module(&self, init: &mut Init<'_>, input: &[usize]) -> Result<Box<dyn Module>> {
        let Some(build) = &self.build else {
            return Err(Error::Usage(format!(
                "layer '{}' is a module of kind '{}' that a program brought along, and a file keeps only its name; \
                 load the network in that program, with Network::define(\"{}\", ...)",
                init.name, self.kind, self.kind
            )));
        };
        build(init, input)
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// Where a module of the user's makes its tensors, all under the layer's name.
pub struct Init<'a> {
    pub(super) state: &'a mut State,
    pub(super) name: String,
    pub(super) rng: Rng,
}

impl Init<'_> {
    /// Name of the layer.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A parameter with these row-major values: trained and saved.
    ///
    /// # Errors
    /// There are more or fewer values than the shape has.
    pub fn parameter(&mut self, key: &str, shape: &[usize], values: Vec<f32>) -> Result<StateId> {
        self.fits(key, shape, &values)?;
        Ok(self.state.parameter(&format!("{}.{key}", self.name), shape, values))
    }

    /// A parameter drawn evenly from `+-1/sqrt(fan_in)`, PyTorch's default for convolutions and linear layers.
    pub fn uniform(&mut self, key: &str, shape: &[usize], fan_in: usize) -> StateId {
        uniform(self.state, &format!("{}.{key}", self.name), shape, fan_in, self.rng)
    }

    /// A buffer with these row-major values: saved, not trained.
    ///
    /// # Errors
    /// There are more or fewer values than the shape has.
    pub fn buffer(&mut self, key: &str, shape: &[usize], values: Vec<f32>) -> Result<StateId> {
        self.fits(key, shape, &values)?;
        Ok(self.state.buffer(&format!("{}.{key}", self.name), Type::plain(shape), values))
    }

    fn fits(&self, key: &str, shape: &[usize], values: &[f32]) -> Result<()> {
        let expected: usize = shape.iter().product();
        if expected == values.len() {
            return Ok(());
        }
        let what =
            format!("tensor '{}.{key}' of shape {shape:?} needs {expected} values, found {}", self.name, values.len());
        Err(Error::Usage(what))
    }
}
