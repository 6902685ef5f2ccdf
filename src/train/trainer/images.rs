//! What is said of training images before the first step.

use crate::data::{Augment, Dataset, Loader, LoaderOptions, Normalize, Splits};
use crate::nn::{Network, Norm};
use crate::train::{Options, RunPlan};
use crate::{Error, Result};
use std::sync::Arc;

/// What should be known of the images before the first step on them; refuses those that a run with these options cannot
/// learn from, in parts of so many.
pub(super) fn suits(options: &Options, part_size: usize, network: &Network, splits: &Splits) -> Result<Vec<String>> {
    let (train, masked) = (&splits.train, splits.train.is_masked());
    has_covariance(part_size, network)?;
    let flat = if options.net.norm == Norm::Deconv { deconvolves(train)? } else { None };
    if options.patience.is_some() && splits.validation.is_none() {
        return Err(Error::Usage(format!(
            "`patience` goes by validation images, and the data '{}' has none; hold some back with `validation`, such as 0.1",
            options.data
        )));
    }
    if options.mixup.is_some() && masked {
        return Err(Error::Usage(format!(
            "`mixup` mixes images of one class each, but the pixels of '{}' have classes; leave it out",
            train.name
        )));
    }
    Ok(all_the_same(train).into_iter().chain(flat).chain(apart(options, masked).map(String::from)).collect())
}

/// Batches of the training images: the share of this process of each.
pub(super) fn training_images(
    train: Dataset,
    normalize: &Normalize,
    augment: Augment,
    (options, plan, rank): (&Options, &RunPlan, usize),
) -> Result<Loader> {
    let loading = LoaderOptions {
        batch_size: plan.batch_size,
        shuffle: true,
        drop_last: plan.drops_last(train.len()),
        seed: options.seed,
        share: (rank, options.processes),
        #[cfg(not(target_arch = "wasm32"))]
        mixup: options.mixup,
    };
    Ok(Loader::new(Arc::new(train), normalize.clone(), Some(augment), loading)?.in_form(plan.form))
}

/// Says where there is nothing to learn.
fn all_the_same(train: &Dataset) -> Option<String> {
    let same = train.len() > 1 && (1..train.len()).all(|i| train.image(i) == train.image(0));
    same.then(|| {
        "all training images are the same, so there is nothing to learn; look at data.png, and where pictures are transparent lay \
         them over another `background`"
            .into()
    })
}

/// Says in what several processes are not quite one with all their images.
fn apart(options: &Options, masked: bool) -> impl Iterator<Item = &'static str> {
    let several = options.processes > 1;
    let masks =
        "each process takes the mean over the pixels of its images that have a class, and all processes count the same";
    let mixup = "each process mixes images of its own share of a batch (`mixup`), where one with the whole batch would mix any two of it";
    let notes = [(masked, masks), (options.mixup.is_some(), mixup)];
    notes.into_iter().filter_map(move |(of_it, note)| (several && of_it).then_some(note))
}

/// Refuses batches of so many images that have no covariance, where the network whitens.
pub(in crate::train) fn has_covariance(images: usize, network: &Network) -> Result<()> {
    let Some(norm) = network.whitens().filter(|_| images == 1) else { return Ok(()) };
    let whitening = if norm == Norm::Deconv { "deconvolution" } else { "whitening its channels" };
    Err(Error::Usage(format!(
        "the batch size is 1, but one image has no covariance, so {whitening} would learn nothing that holds for others; \
         choose a `batch_size` of at least 2, better 16, or `norm` none"
    )))
}

/// Refuses images that have no covariance, and says which hardly have one.
fn deconvolves(train: &Dataset) -> Result<Option<String>> {
    let flat = (0..train.len()).filter(|i| train.is_flat(*i)).count();
    if flat == train.len() {
        return Err(Error::Usage(format!(
            "every training image of '{}' has one value throughout, so that neighbouring pixels have no covariance of their own and \
             deconvolution would learn nothing that holds for others; choose `norm` batch or none, or look at the data",
            train.name
        )));
    }
    let note = || {
        format!(
            "{flat} of {} training images have one value throughout, which whitening can do little with",
            train.len()
        )
    };
    Ok((2 * flat > train.len()).then(note))
}
