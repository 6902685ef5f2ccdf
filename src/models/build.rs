//! What every architecture is built with: layers that carry the chosen normalisation.

use crate::nn::{
    Activate, BatchNorm, Conv2d, Delinear, FastDeconv, Flatten, Forward, Linear, MaxPool, Mode, Module, Sequential,
    Whitening,
};
use crate::ops::{self, Activation, ConvOptions};
use crate::rng::Rng;
use crate::tape::{State, Var};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What stands in a network's joints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// Every layer whitens its input (network deconvolution).
    Deconv,
    /// Batch norm after every convolution, none in the classifier.
    Batch,
    /// Nothing.
    None,
}

impl std::str::FromStr for Norm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "deconv" => Ok(Self::Deconv),
            "batch" => Ok(Self::Batch),
            "none" => Ok(Self::None),
            _ => Err(Error::Usage(format!("unknown norm '{text}'; expected deconv, batch or none"))),
        }
    }
}

impl std::fmt::Display for Norm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deconv => "deconv",
            Self::Batch => "batch",
            Self::None => "none",
        })
    }
}

/// What a network is built for.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// Normalisation.
    pub norm: Norm,
    /// Whitening of convolutions, first layer aside.
    pub whitening: Whitening,
    /// Newton-Schulz iterations of the first layer, where the architecture does not say otherwise (spec 10.1).
    pub first_iterations: usize,
    /// Features per block of linear layers.
    pub block_fc: usize,
    /// (C, H, W) of one image.
    pub input: [usize; 3],
    /// Outputs.
    pub classes: usize,
    /// Seed of the initial values.
    pub seed: u64,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            norm: Norm::Deconv,
            whitening: Whitening::default(),
            first_iterations: 15,
            block_fc: 512,
            input: [1, 28, 28],
            classes: 10,
            seed: 0,
        }
    }
}

/// Training forwards between the freezing of the first layer and its next thaw (spec 7).
const FREEZE_ITER: u64 = 100;

/// A network.
#[derive(Debug)]
pub struct Model {
    /// Name of the architecture.
    pub name: String,
    /// The layers.
    pub net: Box<dyn Module>,
    /// (C, H, W) of one image.
    pub input: [usize; 3],
    /// Outputs.
    pub classes: usize,
    /// True when some layer freezes.
    pub freezes: bool,
    /// The first convolution, when it whitens: its kernels are what people look at.
    pub first: Option<FastDeconv>,
}

impl Model {
    /// Appends the forward pass on row-major images (N,C,H,W); returns logits (N,classes).
    ///
    /// # Errors
    /// The images do not have the model's size.
    pub fn forward(&self, ctx: &mut Forward<'_>, images: Var) -> Result<Var> {
        let found = ctx.tape.shape(images);
        if found.len() != 4 || found[1..] != self.input {
            let what = format!("{} takes images of {:?}, found {found:?}", self.name, self.input);
            return Err(Error::shape("model", what));
        }
        let x = ops::to_vec4(ctx.tape, images)?;
        self.net.forward(ctx, x)
    }

    /// For which kind of step training forward number `forward` (from 0) is recorded (spec 7): statistics are computed in
    /// forwards 0..=100 of every 1000 and taken from the buffers in the others.
    pub fn mode_at(&self, forward: u64) -> Mode {
        if self.freezes && forward % (10 * FREEZE_ITER) > FREEZE_ITER { Mode::Frozen } else { Mode::Train }
    }
}

/// A network under construction: the layers so far and the size of what comes out of them.
pub(super) struct Build<'a> {
    pub state: &'a mut State,
    options: &'a ModelOptions,
    rng: Rng,
    net: Sequential,
    /// (C, H, W) of the activation, or (F, 1, 1) after `flatten`.
    pub shape: [usize; 3],
    freezes: bool,
    first: Option<FastDeconv>,
    convolutions: usize,
}

/// Size, step and border of one convolution.
#[derive(Clone, Copy)]
pub(super) struct Conv {
    pub outputs: usize,
    pub kernel: usize,
    pub stride: usize,
    /// A relu follows, in the same kernel.
    pub relu: bool,
}

impl Conv {
    /// A convolution of stride 1 with a relu behind it.
    pub fn relu(outputs: usize, kernel: usize) -> Self {
        Self { outputs, kernel, stride: 1, relu: true }
    }
}

impl<'a> Build<'a> {
    pub fn new(options: &'a ModelOptions, state: &'a mut State) -> Result<Self> {
        if options.classes == 0 || options.input.contains(&0) {
            let what = format!("expected images and classes, found {:?} and {}", options.input, options.classes);
            return Err(Error::Usage(what));
        }
        Ok(Self {
            state,
            options,
            rng: Rng::new(options.seed),
            net: Sequential::new(),
            shape: options.input,
            freezes: false,
            first: None,
            convolutions: 0,
        })
    }

    pub fn options(&self) -> &ModelOptions {
        self.options
    }

    pub fn rng(&self) -> Rng {
        self.rng
    }

    /// Whitening of the next convolution: the first one has settings of its own (spec 10.1).
    pub fn whitening(&mut self, first: Option<Whitening>) -> Whitening {
        self.convolutions += 1;
        let whitening = match (self.convolutions, first) {
            (1, Some(first)) => first,
            _ => self.options.whitening,
        };
        self.freezes |= whitening.freeze && self.options.norm == Norm::Deconv;
        whitening
    }

    /// The usual first layer: more iterations, and frozen most of the time when `freeze`.
    pub fn first(&self, freeze: bool) -> Option<Whitening> {
        Some(Whitening { iterations: self.options.first_iterations, freeze, ..self.options.whitening })
    }

    /// A convolution of `channels` channels with its normalisation, padded to keep the size at stride 1.
    pub fn conv_layer(
        &mut self,
        name: &str,
        channels: usize,
        conv: Conv,
        whitening: Whitening,
    ) -> Result<Box<dyn Module>> {
        let Conv { outputs, kernel, stride, relu } = conv;
        let fused = relu && self.options.norm != Norm::Batch;
        let options = ConvOptions { stride, padding: kernel / 2, relu: fused, ..Default::default() };
        let (rng, first) = (self.rng, self.convolutions == 1);
        let state = &mut *self.state;
        Ok(match self.options.norm {
            Norm::Deconv => {
                let layer = FastDeconv::new(state, name, channels, outputs, kernel, options, whitening, true, rng)?;
                if first {
                    self.first = Some(layer.clone());
                }
                Box::new(layer)
            }
            Norm::Batch => {
                let mut both = Sequential::new();
                both.push(Conv2d::new(state, name, channels, outputs, kernel, options, false, rng));
                both.push(BatchNorm::with_relu(state, &format!("{name}_bn"), outputs, relu));
                Box::new(both)
            }
            Norm::None => Box::new(Conv2d::new(state, name, channels, outputs, kernel, options, true, rng)),
        })
    }

    /// Appends a convolution with its normalisation.
    pub fn conv(&mut self, name: &str, conv: Conv, first: Option<Whitening>) -> Result<&mut Self> {
        let whitening = self.whitening(first);
        let layer = self.conv_layer(name, self.shape[0], conv, whitening)?;
        self.net.push(layer);
        let out = |size: usize| (size - 1) / conv.stride + 1;
        self.shape = [conv.outputs, out(self.shape[1]), out(self.shape[2])];
        Ok(self)
    }

    /// Appends a linear layer; only deconvolution has anything in a classifier's joints.
    pub fn linear(&mut self, name: &str, outputs: usize) -> Result<&mut Self> {
        let (features, rng) = (self.shape.iter().product(), self.rng);
        if self.options.norm == Norm::Deconv {
            let whitening = Whitening { block: self.options.block_fc, ..self.options.whitening };
            self.net.push(Delinear::new(self.state, name, features, outputs, whitening, true, rng)?);
        } else {
            self.net.push(Linear::new(self.state, name, features, outputs, true, rng));
        }
        self.shape = [outputs, 1, 1];
        Ok(self)
    }

    pub fn relu(&mut self) -> &mut Self {
        self.net.push(Activate(Activation::Relu));
        self
    }

    pub fn flatten(&mut self) -> &mut Self {
        self.net.push(Flatten);
        self.shape = [self.shape.iter().product(), 1, 1];
        self
    }

    /// Appends a 2x2 maximum.
    pub fn max_pool(&mut self) -> Result<&mut Self> {
        let [c, h, w] = self.shape;
        if h < 2 || w < 2 {
            let [_, input_h, input_w] = self.options.input;
            return Err(Error::Usage(format!("images of {input_h}x{input_w} are too small for this model's pooling")));
        }
        self.net.push(MaxPool { kernel: 2, stride: 2, padding: 0 });
        self.shape = [c, h / 2, w / 2];
        Ok(self)
    }

    /// Appends any layer that leaves `shape` behind it.
    pub fn push(&mut self, layer: impl Module + 'static, shape: [usize; 3]) -> &mut Self {
        self.net.push(layer);
        self.shape = shape;
        self
    }

    pub fn finish(self, name: &str) -> Model {
        Model {
            name: name.into(),
            net: Box::new(self.net),
            input: self.options.input,
            classes: self.options.classes,
            freezes: self.freezes,
            first: self.first,
        }
    }
}
