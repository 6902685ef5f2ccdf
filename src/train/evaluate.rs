//! Loss and accuracy over a data set.

use super::ModelSpec;
use super::learner::Loss;
use super::learner::record::{Pass, record};
use crate::data::{Augment, Dataset, Loader, LoaderOptions, Normalize};
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
/// let Evaluation { loss, accuracy, images } = learner.evaluate(test, 128)?;
/// println!("{:.1} % of {images} are right, loss {loss:.3}", 100.0 * accuracy);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean loss.
    pub loss: f32,
    /// Share of right answers, 0 to 1.
    pub accuracy: f32,
    /// Images looked at.
    pub images: usize,
}

/// Batches of a test split, in order, without augmentation.
pub(super) fn loader(dataset: Arc<Dataset>, normalize: &Normalize, batch_size: usize) -> Result<Loader> {
    let batch_size = batch_size.min(dataset.len());
    let options = LoaderOptions { batch_size, shuffle: false, drop_last: false, ..LoaderOptions::default() };
    Loader::new(dataset, normalize.clone(), Some(Augment::NONE), options)
}

/// Runs `full`, and `last` where the final batch is shorter, over all batches.
pub(super) async fn run(loader: &Loader, full: &mut Compiled, mut last: Option<&mut Compiled>) -> Result<Evaluation> {
    let images = loader.dataset().len();
    let (mut loss, mut hits) = (0.0f64, 0.0f64);
    let mut pending = VecDeque::new();
    let batches = loader.batches();
    for (i, batch) in loader.epoch(0, 0).enumerate() {
        let short = i + 1 == batches && last.is_some();
        let compiled = match &mut last {
            Some(last) if short => &mut **last,
            _ => &mut *full,
        };
        compiled.submit(&[bytemuck::cast_slice(&batch.images), bytemuck::cast_slice(&batch.labels)]).await?;
        pending.push_back((short, batch.len as f64));
        loader.recycle(batch);
    }
    while let Some((short, len)) = pending.pop_front() {
        let taken = match &mut last {
            Some(last) if short => last.take().await?,
            _ => full.take().await?,
        };
        let (_, outputs) = taken.ok_or_else(|| Error::Run("an evaluation step gave no result".into()))?;
        loss += f64::from(outputs[0][0]) * len;
        hits += f64::from(outputs[1][0]);
    }
    let per = |sum: f64| (sum / images as f64) as f32;
    Ok(Evaluation { loss: per(loss), accuracy: per(hits), images })
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
    if dataset.shape != spec.input || dataset.class_names != spec.class_names {
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
    let judge = |size| record(Pass::Judge(size), gpu.profile(), &model, state, (None, &Loss::CrossEntropy));
    let tapes = sizes.map(judge).collect::<Result<Vec<_>>>()?;
    let mut session = Session::new(gpu, state)?;
    let mut compiled = session.compile(&tapes.iter().collect::<Vec<_>>())?;
    let (full, last) = compiled.split_at_mut(1);
    let found = run(&loader, &mut full[0], last.first_mut()).await?;
    if !found.loss.is_finite() {
        return Err(Error::Run(format!(
            "the loss is {}, so the network has diverged or its file is damaged; take an earlier one, or train again with a \
             smaller learning rate",
            found.loss
        )));
    }
    Ok(found)
}
