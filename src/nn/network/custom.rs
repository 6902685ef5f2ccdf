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
///
/// ```
/// use mexhat::nn::{Custom, Forward, Layer, Module, Network, Var, functional as f};
///
/// /// `x` times itself.
/// #[derive(Debug)]
/// struct Square;
/// # impl Module for Square {
/// #     fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> mexhat::Result<Var> {
/// #         f::mul(ctx.tape, x, x, 1.0)
/// #     }
/// # }
///
/// let mut net = Network::new([1, 4, 4]);
/// net.push(Layer::Custom(Custom::new("square", |_, _| Ok(Box::new(Square))))); // as net.custom("square", ...)
/// let text = serde_json::to_string(&net.nodes[0]).expect("plain data");
/// assert_eq!(text, r#"{"type":"custom","kind":"square"}"#);
/// assert_eq!(net.build(&mut mexhat::nn::State::new())?.output, [1, 4, 4]);
/// # Ok::<(), mexhat::Error>(())
/// ```
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
///
/// ```
/// use mexhat::nn::{Forward, Init, Module, Network, StateId, Var, functional as f};
///
/// #[derive(Debug)]
/// struct Shares(StateId);
/// # impl Module for Shares {
/// #     fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> mexhat::Result<Var> {
/// #         let weight = ctx.tensor(self.0);
/// #         let y = f::linear(ctx.tape, x, weight, None)?;
/// #         f::softmax(ctx.tape, y)
/// #     }
/// # }
///
/// /// `input` is the shape that arrives, without N.
/// fn shares(init: &mut Init<'_>, input: &[usize]) -> mexhat::Result<Box<dyn Module>> {
///     Ok(Box::new(Shares(init.parameter("weight", &[2, input[0]], vec![0.5; 2 * input[0]])?)))
/// }
///
/// let (mut net, mut state) = (Network::new([1, 2, 2]), mexhat::nn::State::new());
/// net.flatten().custom("shares", shares);
/// assert_eq!(net.build(&mut state)?.output, [2]);
/// assert!(state.find("shares1.weight").is_some());
/// # Ok::<(), mexhat::Error>(())
/// ```
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
