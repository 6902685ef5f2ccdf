//! Loss and accuracy over a data set.

use super::ModelSpec;
use super::confusion::{add_pixels, mean_iou};
use super::learner::record::{Pass, record};
use super::learner::{Loss, counted};
use crate::data::{Augment, Batch, Dataset, Form, Loader, LoaderOptions, Normalize};
use crate::gpu::Gpu;
use crate::tape::{Compiled, Session, State};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// What an evaluation finds.
///
/// ```
/// use mexhat::train::{Data, Evaluation, Learner};
/// # fn judge(learner: &mut Learner, test: &dyn Data) -> mexhat::Result<()> {
/// let Evaluation { loss, accuracy, images, .. } = learner.evaluate(test, 128)?;
/// println!("{:.1} % of {images} are right, loss {loss:.3}", 100.0 * accuracy);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean loss.
    pub loss: f32,
    /// Share of right answers, 0 to 1: of images, or of the pixels that have a class. NaN where the loss is no number:
    /// then there were no answers.
    pub accuracy: f32,
    /// Images looked at.
    pub images: usize,
    /// Mean over the classes of what is rightly of a class over all that is or is said to be, 0 to 1, of a map of
    /// classes ([`Confusion::mean_iou`](super::Confusion::mean_iou)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_iou: Option<f32>,
}

/// Sums of what judging passes find.
#[derive(Default)]
pub(super) struct Sums {
    loss: f64,
    hits: f64,
    images: usize,
    counted: usize,
    /// Pixels by what they are and what the network says, (classes, classes).
    pixels: Vec<Vec<u64>>,
}

impl Sums {
    /// Adds what a network of this output shape and loss found in `images` images: loss, hits and, of maps, the class
    /// at each pixel.
    pub fn add(&mut self, found: &[Vec<f32>], labels: Option<&[u32]>, images: usize, output: &[usize]) -> Result<()> {
        let gone = || Error::Run("an evaluation step gave no result".into());
        let counted = labels.map_or(images, |labels| counted(labels, output));
        let map = cfg!(not(target_arch = "wasm32")) && output.len() == 3;
        // A mean over pixels weighs as many as it is of.
        let weight = if map && labels.is_some() { counted } else { images };
        self.loss += f64::from(found.first().ok_or_else(gone)?[0]) * weight as f64;
        self.hits += if labels.is_some() { f64::from(found.get(1).ok_or_else(gone)?[0]) } else { f64::NAN };
        (self.images, self.counted) = (self.images + images, self.counted + weight);
        if let (true, Some(labels)) = (map, labels) {
            self.pixels.resize_with(output[0], || vec![0; output[0]]);
            add_pixels(&mut self.pixels, labels, found.get(2).ok_or_else(gone)?);
        }
        Ok(())
    }

    /// What they amount to.
    pub fn evaluation(&self) -> Evaluation {
        let per = |sum: f64| (sum / self.counted.max(1) as f64) as f32;
        let (loss, images) = (per(self.loss), self.images);
        if !loss.is_finite() {
            // Of outputs that are no numbers the first counts as largest, which is no answer.
            return Evaluation { loss, accuracy: f32::NAN, images, mean_iou: None };
        }
        let mean_iou = if self.pixels.is_empty() { None } else { mean_iou(&self.pixels) };
        Evaluation { loss, accuracy: per(self.hits), images, mean_iou }
    }
}

/// Batches of a test split, in order, without augmentation.
pub(super) fn loader(dataset: Arc<Dataset>, normalize: &Normalize, batch_size: usize) -> Result<Loader> {
    let batch_size = batch_size.min(dataset.len());
    let options = LoaderOptions { batch_size, shuffle: false, drop_last: false, ..LoaderOptions::default() };
    Ok(Loader::new(dataset, normalize.clone(), Some(Augment::NONE), options)?.in_form(Form::Bytes))
}

/// Most batches in flight: the classes of all pixels come back with each.
const AHEAD: usize = 2;

/// Runs `full`, and `last` where the final batch is shorter, over all batches, for a network that puts out `output` for
/// an image.
pub(super) async fn run(
    loader: &Loader,
    output: &[usize],
    full: &mut Compiled,
    mut last: Option<&mut Compiled>,
) -> Result<Evaluation> {
    let (mut sums, mut pending) = (Sums::default(), VecDeque::new());
    let batches = loader.batches();
    for (i, batch) in loader.epoch(0, 0).enumerate() {
        let short = i + 1 == batches && last.is_some();
        let compiled = match &mut last {
            Some(last) if short => &mut **last,
            _ => &mut *full,
        };
        let images = loader.images(&batch).inputs();
        compiled.submit(&images.chain([bytemuck::cast_slice(&batch.labels)]).collect::<Vec<_>>()).await?;
        pending.push_back((short, batch));
        if pending.len() > AHEAD {
            take(&mut pending, full, last.as_deref_mut(), (loader, output), &mut sums).await?;
        }
    }
    while !pending.is_empty() {
        take(&mut pending, full, last.as_deref_mut(), (loader, output), &mut sums).await?;
    }
    Ok(sums.evaluation())
}

/// Takes what has been found in the oldest batch.
async fn take(
    pending: &mut VecDeque<(bool, Batch)>,
    full: &mut Compiled,
    last: Option<&mut Compiled>,
    (loader, output): (&Loader, &[usize]),
    sums: &mut Sums,
) -> Result<()> {
    let Some((short, batch)) = pending.pop_front() else { return Ok(()) };
    let taken = match last {
        Some(last) if short => last.take().await?,
        _ => full.take().await?,
    };
    let (_, found) = taken.ok_or_else(|| Error::Run("an evaluation step gave no result".into()))?;
    sums.add(&found, Some(&batch.labels), batch.len, output)?;
    loader.recycle(batch);
    Ok(())
}

/// Evaluates the network `spec` with the values in `state` on `dataset`.
///
/// Images are normalised as the network's training images were, whatever the data set: that is what it knows.
///
/// # Errors
/// Images or classes are not the network's ([`ModelSpec::adapt`]), or the loss is no number.
pub async fn evaluate(
    gpu: &Gpu,
    spec: &ModelSpec,
    state: &mut State,
    dataset: Arc<Dataset>,
    batch_size: usize,
) -> Result<Evaluation> {
    if dataset.shape != spec.input || dataset.class_names != spec.class_names || dataset.is_masked() != spec.masks {
        return Err(Error::Usage(format!(
            "'{}' is not as the network takes it, images of {:?} (channels, height, width) in classes {:?}; adapt it first",
            dataset.name, spec.input, spec.class_names
        )));
    }
    let model = spec.build(0, &mut State::new())?;
    let loader = loader(dataset, &spec.normalize, batch_size)?;
    let images = loader.dataset().len();
    let size = batch_size.min(images);
    let sizes = [size, images % size].into_iter().filter(|size| *size > 0);
    let judge =
        |size| record(Pass::Judge(size, Form::Bytes), gpu.profile(), &model, state, (None, &Loss::CrossEntropy));
    let tapes = sizes.map(judge).collect::<Result<Vec<_>>>()?;
    let mut session = Session::new(gpu, state)?;
    let mut compiled = session.compile(&tapes.iter().collect::<Vec<_>>())?;
    let (full, last) = compiled.split_at_mut(1);
    let found = run(&loader, &model.output, &mut full[0], last.first_mut()).await?;
    if !found.loss.is_finite() {
        return Err(Error::Run(format!(
            "the loss is {}, so the network has diverged or its file is damaged; take an earlier one, or train again with a \
             smaller learning rate",
            found.loss
        )));
    }
    Ok(found)
}
