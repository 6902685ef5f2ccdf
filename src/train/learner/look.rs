//! What is inside a network: tensors, activations, covariances.

use super::record::Pass;
use super::{Learner, Pixels};
use crate::nn::{self, Forward, Mode};
use crate::tape::{Session, Tape};
use crate::train::{CovariancePair, covariances};
use crate::{Error, Result};

/// Values with their shape, row-major: (N,C,H,W) of activations, (O,C,k,k) of kernels.
///
/// ```
/// use mexhat::train::Tensor;
/// // As Learner::predict gives it for two images and three classes.
/// let shares = Tensor { shape: vec![2, 3], values: vec![0.1, 0.7, 0.2, 0.5, 0.3, 0.2] };
/// assert_eq!(shares.row(1), [0.5, 0.3, 0.2]);
/// assert_eq!(shares.argmax(), [1, 0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Lengths of its sides.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Vec<f32>,
}

impl Tensor {
    /// Part `i` of the first side: the outputs for image `i`, the kernels of output `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        let each: usize = self.shape[1..].iter().product();
        &self.values[i * each..][..each]
    }

    /// For each part of the first side the place of its largest value: the class of each image.
    pub fn argmax(&self) -> Vec<usize> {
        let rows = (0..self.shape[0]).map(|i| self.row(i));
        rows.map(|row| (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })).collect()
    }
}

impl Learner {
    /// Names of all tensors that a saved file holds: `conv1.weight`, `conv1.running_deconv`, ...
    pub fn tensors(&self) -> Vec<&str> {
        self.state.iter().filter(|(_, t)| t.model).map(|(_, t)| t.name.as_str()).collect()
    }

    /// The tensor `name` as it is now, behind all steps submitted: kernels are `LAYER.weight`, the whitening D of a
    /// layer `LAYER.running_deconv` (S,d,d), d in the order (channel, row, column).
    ///
    /// # Errors
    /// There is no such tensor, or the device failed.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn tensor(&mut self, name: &str) -> Result<Tensor> {
        pollster::block_on(self.tensor_async(name))
    }

    /// As [`Learner::tensor`], where nothing may block.
    ///
    /// # Errors
    /// As [`Learner::tensor`].
    pub async fn tensor_async(&mut self, name: &str) -> Result<Tensor> {
        let Some(id) = self.state.find(name) else {
            let known = self.tensors().join(", ");
            return Err(Error::Usage(format!("there is no tensor '{name}'; expected one of {known}")));
        };
        self.session.download_some(&mut self.state, &[id]).await?;
        let tensor = self.state.get(id);
        Ok(Tensor { shape: tensor.ty.shape.clone(), values: tensor.values.clone() })
    }

    /// Overwrites the tensor `name`, for all steps and predictions from now on.
    ///
    /// # Errors
    /// There is no such tensor, or it has another shape.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn set_tensor(&mut self, name: &str, values: &[f32]) -> Result<()> {
        let shape = self.tensor(name)?.shape;
        if shape.iter().product::<usize>() != values.len() {
            let what = format!("tensor '{name}' has shape {shape:?}, but {} values were given", values.len());
            return Err(Error::Usage(what));
        }
        // The upload is of all tensors.
        pollster::block_on(self.session.download(&mut self.state))?;
        for name in [name.to_owned(), format!("average.{name}")] {
            if let Some(id) = self.state.find(&name) {
                self.state.get_mut(id).values = values.to_vec();
            }
        }
        self.session.upload(&self.state);
        Ok(())
    }

    /// The output of layer `layer` for these images, with running statistics: `conv1` is that of the convolution,
    /// `relu1` that of the ReLU behind it; layers of a block have its name before theirs, as in `block1.conv2`.
    ///
    /// # Errors
    /// There is no such layer, the images are not of the network's size, or the device failed.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn activations<'a>(&mut self, images: impl Into<Pixels<'a>>, layer: &str) -> Result<Tensor> {
        pollster::block_on(self.activations_async(images, layer))
    }

    /// As [`Learner::activations`], where nothing may block.
    ///
    /// # Errors
    /// As [`Learner::activations`].
    pub async fn activations_async<'a>(&mut self, images: impl Into<Pixels<'a>>, layer: &str) -> Result<Tensor> {
        let (count, images) = self.normalized(images.into())?;
        self.session.download(&mut self.state).await?;
        let mut tape = Tape::new();
        let input = nn::images(&mut tape, count, self.network.input);
        let (mut found, mut names) = (None, Vec::new());
        let mut watch = |name: &str, value| {
            names.push(name.to_owned());
            found = found.or((name == layer).then_some(value));
        };
        let mut ctx = Forward { tape: &mut tape, state: &self.state, mode: Mode::Eval };
        self.model.forward_watched(&mut ctx, input, &mut watch)?;
        let Some(value) = found else {
            let known = names.join(", ");
            return Err(Error::Usage(format!("there is no layer '{layer}'; expected one of {known}")));
        };
        let shape = tape.shape(value).to_vec();
        tape.output(value);
        // A session of its own: its memory goes with it.
        let mut compiled = Session::new(self.session.gpu(), &self.state)?.compile(&[&tape])?;
        compiled[0].submit(&[bytemuck::cast_slice(&images)]).await?;
        let outputs = compiled[0].take().await?.map(|(_, outputs)| outputs).unwrap_or_default();
        let values = outputs.into_iter().next().ok_or_else(|| Error::Run("the images gave no result".into()))?;
        Ok(Tensor { shape, values })
    }

    /// The output of every layer for these images, by its name, in their order: as [`Learner::activations`] gives one.
    /// What it takes is kept for the next so many images.
    ///
    /// # Errors
    /// The images are not of the network's size, or the device failed.
    pub async fn all_activations_async<'a>(&mut self, images: impl Into<Pixels<'a>>) -> Result<Vec<(String, Tensor)>> {
        let (count, images) = self.normalized(images.into())?;
        if self.watched.as_ref().is_none_or(|(of, _)| *of != count) {
            self.watched = Some((count, self.layers_of(count)?));
        }
        let compiled = self.pass(Pass::Layers(count))?;
        compiled.submit(&[bytemuck::cast_slice(&images)]).await?;
        let outputs = compiled.take().await?.map(|(_, outputs)| outputs).unwrap_or_default();
        let layers = self.watched.iter().flat_map(|(_, layers)| layers).cloned();
        Ok(layers.zip(outputs).map(|((name, shape), values)| (name, Tensor { shape, values })).collect())
    }

    /// The name of every layer, and the shape of what it makes of `count` images.
    fn layers_of(&self, count: usize) -> Result<Vec<(String, Vec<usize>)>> {
        let mut tape = Tape::new();
        let input = nn::images(&mut tape, count, self.network.input);
        let mut layers = Vec::new();
        let mut ctx = Forward { tape: &mut tape, state: &self.state, mode: Mode::Eval };
        self.model.forward_watched(&mut ctx, input, &mut |name, value| layers.push((name.to_owned(), value)))?;
        Ok(layers.into_iter().map(|(name, var)| (name, tape.shape(var).to_vec())).collect())
    }

    /// The covariance of every deconvolution's input over these images, before and after it, as in training. The
    /// network stays as it is.
    ///
    /// # Errors
    /// The images are not of the network's size, or the device failed.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn covariances<'a>(&mut self, images: impl Into<Pixels<'a>>) -> Result<Vec<CovariancePair>> {
        pollster::block_on(self.covariances_async(images))
    }

    /// As [`Learner::covariances`], where nothing may block.
    ///
    /// # Errors
    /// As [`Learner::covariances`].
    pub async fn covariances_async<'a>(&mut self, images: impl Into<Pixels<'a>>) -> Result<Vec<CovariancePair>> {
        let (count, images) = self.normalized(images.into())?;
        self.session.download(&mut self.state).await?;
        covariances(self.session.gpu(), &self.model, &self.state, &images, count).await
    }

    fn normalized(&self, pixels: Pixels<'_>) -> Result<(usize, Vec<f32>)> {
        let (count, mut images) = (pixels.count(self.network.input)?, Vec::new());
        pixels.fill(self.network.input, &self.normalize, 0..count, &mut images)?;
        Ok((count, images))
    }
}
