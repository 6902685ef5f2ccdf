//! What a network says, and how well.

use super::record::Pass;
use super::{Data, Learner, Order, Pixels, Targets, Tensor, targets_bytes};
use crate::data::{Augment, Form};
use crate::train::Evaluation;
use crate::train::confusion::NO_NUMBER;
use crate::train::evaluate::Sums;
use crate::{Error, Result};

/// Images per pass: enough to occupy a GPU. What is left over goes through in the smallest of the others that holds it.
const SIZES: [usize; 3] = [64, 8, 1];

impl Learner {
    /// The probability of each class for each image, (N, classes): the softmax of [`Learner::outputs`]. `images` are
    /// floats, bytes (of which 255 becomes 1), [`Examples`](crate::train::Examples) or a data set, (N,C,H,W); N may be
    /// any number.
    ///
    /// # Errors
    /// The images are not of the network's size, the network puts out what is no number, or the device failed.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn predict<'a>(&mut self, images: impl Into<Pixels<'a>>) -> Result<Tensor> {
        pollster::block_on(self.predict_async(images))
    }

    /// As [`Learner::predict`], where nothing may block.
    ///
    /// # Errors
    /// As [`Learner::predict`].
    pub async fn predict_async<'a>(&mut self, images: impl Into<Pixels<'a>>) -> Result<Tensor> {
        let shares = self.shares(images.into()).await?;
        if shares.values.iter().any(|value| !value.is_finite()) {
            return Err(Error::Run(NO_NUMBER.into()));
        }
        Ok(shares)
    }

    /// As [`Learner::predict`], where a network that has diverged is told of elsewhere.
    pub(in crate::train) async fn shares(&mut self, images: Pixels<'_>) -> Result<Tensor> {
        self.run(images, Pass::Shares).await
    }

    /// What the network puts out for each image, (N, outputs), with running statistics.
    ///
    /// # Errors
    /// As [`Learner::predict`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn outputs<'a>(&mut self, images: impl Into<Pixels<'a>>) -> Result<Tensor> {
        pollster::block_on(self.outputs_async(images))
    }

    /// As [`Learner::outputs`], where nothing may block.
    ///
    /// # Errors
    /// As [`Learner::predict`].
    pub async fn outputs_async<'a>(&mut self, images: impl Into<Pixels<'a>>) -> Result<Tensor> {
        self.run(images.into(), Pass::Outputs).await
    }

    /// The most probable class of each image, (N), or of each pixel, (N,H,W), as floats.
    ///
    /// # Errors
    /// As [`Learner::predict`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn classes<'a>(&mut self, images: impl Into<Pixels<'a>>) -> Result<Tensor> {
        pollster::block_on(self.run_to(images.into(), Pass::Classes, self.model.output[1..].to_vec()))
    }

    async fn run(&mut self, pixels: Pixels<'_>, pass: fn(usize) -> Pass) -> Result<Tensor> {
        self.run_to(pixels, pass, self.model.output.clone()).await
    }

    /// Runs `pass`, which puts out this shape for an image.
    async fn run_to(&mut self, pixels: Pixels<'_>, pass: fn(usize) -> Pass, output: Vec<usize>) -> Result<Tensor> {
        let input = self.network.input;
        let count = pixels.count(input)?;
        let (each, pixels_each) = (output.iter().product::<usize>(), input.iter().product::<usize>());
        let mut values = Vec::with_capacity(count * each);
        let (mut start, mut images) = (0, Vec::new());
        while start < count {
            let left = count - start;
            // Maps of classes are large: one by one they are enough.
            let most = if self.model.output.len() > 1 { 1 } else { SIZES[0] };
            let size = SIZES.into_iter().rev().find(|size| *size >= left).unwrap_or(SIZES[0]).min(most);
            let here = left.min(size);
            images.clear();
            pixels.fill(input, &self.normalize, start..start + here, &mut images)?;
            // With running statistics no image sees another, so that the places left over may hold anything.
            images.resize(size * pixels_each, 0.0);
            let compiled = self.pass(pass(size))?;
            compiled.submit(&[bytemuck::cast_slice(&images)]).await?;
            let outputs = compiled.take().await?.map(|(_, outputs)| outputs).unwrap_or_default();
            let read = outputs.first().ok_or_else(|| Error::Run("the images gave no result".into()))?;
            values.extend_from_slice(&read[..here * each]);
            start += here;
        }
        let shape = std::iter::once(count).chain(output).collect();
        Ok(Tensor { shape, values })
    }

    /// Mean loss and share of right answers over `data`, with running statistics.
    ///
    /// # Errors
    /// The data do not fit the network or the loss, or the device failed.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn evaluate(&mut self, data: &dyn Data, batch_size: usize) -> Result<Evaluation> {
        pollster::block_on(self.evaluate_async(data, batch_size))
    }

    /// As [`Learner::evaluate`], where nothing may block.
    ///
    /// # Errors
    /// As [`Learner::evaluate`].
    pub async fn evaluate_async(&mut self, data: &dyn Data, batch_size: usize) -> Result<Evaluation> {
        let batch_size = data.images().map_or(batch_size, |images| batch_size.min(images));
        if batch_size == 0 || data.shape() != self.network.input {
            return Err(Error::Usage(format!(
                "expected a batch size of at least 1 and images of {:?} (channels, height, width), found {batch_size} and {:?}",
                self.network.input,
                data.shape()
            )));
        }
        let normalize = self.normalize.clone();
        let order = Order { epoch: 0, batch_size, shuffle: false, seed: 0, normalize, augment: Augment::NONE };
        let (mut sums, output) = (Sums::default(), self.model.output.clone());
        for batch in data.epoch(order)? {
            let batch = batch?;
            let count = self.images_of(&batch)?;
            let compiled = self.pass(Pass::Judge(count, Form::Values))?;
            compiled.submit(&[bytemuck::cast_slice(&batch.images), targets_bytes(&batch.targets)]).await?;
            let outputs = compiled.take().await?.map(|(_, outputs)| outputs).unwrap_or_default();
            let labels = if let Targets::Labels(labels) = &batch.targets { Some(labels.as_slice()) } else { None };
            sums.add(&outputs, labels, count, &output)?;
        }
        Ok(sums.evaluation())
    }
}
