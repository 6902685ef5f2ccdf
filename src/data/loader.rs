//! From bytes to normalised batches, prepared ahead of the training step.
//!
//! The order of an epoch depends on (seed, epoch), the augmentation of an image on (seed, epoch, image): neither on the
//! batch size nor on where the epoch is entered, so a run that is resumed in mid-epoch sees what it would have seen.

use std::sync::{Arc, Mutex};

use super::batch::{Batch, Form, Images};
use super::labels::append_labels;
#[cfg(not(target_arch = "wasm32"))]
use super::mixup;
use super::tables::Tables;
use super::view::View;
use super::{Augment, Dataset, Normalize};
use crate::error::{Error, Result};
use crate::rng::Rng;

/// Batches that wait ready: enough to hide a slow one, few enough to cost little memory.
#[cfg(not(target_arch = "wasm32"))]
const AHEAD: usize = 3;

/// How a [`Loader`] cuts a data set into batches.
///
/// ```
/// use mexhat::data::LoaderOptions;
/// // The second of four processes, with batches of 4 x 32 images together.
/// let options = LoaderOptions { batch_size: 32, drop_last: true, share: (1, 4), ..Default::default() };
/// assert!(options.shuffle);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoaderOptions {
    /// Images per batch, at least 1.
    pub batch_size: usize,
    /// Another order in every epoch; otherwise the order of the data set.
    pub shuffle: bool,
    /// Leave out the last batch of an epoch where it would be shorter.
    pub drop_last: bool,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Of several processes that train as one: the number of this one, and how many they are. Each takes its share of
    /// every batch, in the order of their numbers; with `drop_last` the shares are equal.
    pub share: (usize, usize),
    /// Mix images and labels of each batch in pairs, by shares drawn from Beta(alpha, alpha) with this alpha (Zhang et
    /// al. 2018); each batch has a share of its own, which depends on (seed, epoch, batch). In a page there is no
    /// mixup.
    #[cfg(not(target_arch = "wasm32"))]
    pub mixup: Option<f32>,
}

impl Default for LoaderOptions {
    /// The recipe for training (method, section 10.2): batches of 128, shuffled, the last one kept.
    fn default() -> Self {
        Self {
            batch_size: 128,
            shuffle: true,
            drop_last: false,
            seed: 0,
            share: (0, 1),
            #[cfg(not(target_arch = "wasm32"))]
            mixup: None,
        }
    }
}

impl LoaderOptions {
    /// Images of a step of all processes.
    fn together(&self) -> usize {
        self.batch_size * self.share.1
    }
}

/// Hands out the batches of a data set, epoch after epoch. Cheap to clone.
///
/// ```
/// use mexhat::data::{Dataset, Loader, LoaderOptions, Normalize};
/// let dots = Dataset::new("dots", 3, [1, 1, 2], vec![0, 255, 255, 0, 51, 0], vec![0, 1, 1])?;
/// let options = LoaderOptions { batch_size: 2, ..Default::default() };
/// let loader = Loader::new(dots.into(), Normalize::none(1), None, options)?;
/// for batch in loader.epoch(0, 0) {
///     println!("{} images, the first is a {}", batch.len, batch.labels[0]);
///     loader.recycle(batch); // its memory, for a later one
/// }
/// # assert_eq!(loader.batches(), 2);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone)]
pub struct Loader {
    shared: Arc<Shared>,
    form: Form,
}

struct Shared {
    dataset: Arc<Dataset>,
    tables: Tables,
    augment: Augment,
    options: LoaderOptions,
    /// Batches that came back, for their memory.
    spare: Mutex<Vec<Batch>>,
}

impl Loader {
    /// A loader of `dataset`; without `augment` images stay as they are.
    ///
    /// # Errors
    /// [`Error::Usage`] when the batch size is 0, `drop_last` leaves no batch, or `normalize` has not one finite mean
    /// and one positive standard deviation for each channel.
    pub fn new(
        dataset: Arc<Dataset>,
        normalize: Normalize,
        augment: Option<Augment>,
        options: LoaderOptions,
    ) -> Result<Self> {
        if options.batch_size == 0 {
            return Err(Error::Usage("the batch size is 0; expected at least 1".into()));
        }
        if options.drop_last && dataset.len() < options.together() {
            return Err(Error::Usage(format!(
                "data set '{}' has {} images, fewer than the batch size {}, and dropping the last short batch leaves \
                 none; choose a smaller batch size",
                dataset.name,
                dataset.len(),
                options.together()
            )));
        }
        let tables = Tables::new(&dataset, &normalize)?;
        let augment = augment.unwrap_or(Augment::NONE);
        let shared = Shared { dataset, tables, augment, options, spare: Mutex::default() };
        Ok(Self { shared: Arc::new(shared), form: Form::Values })
    }

    /// The same batches in another form.
    pub(crate) fn in_form(&self, form: Form) -> Self {
        Self { shared: Arc::clone(&self.shared), form }
    }

    /// The images of a batch of this loader.
    pub(crate) fn images<'a>(&'a self, batch: &'a Batch) -> Images<'a> {
        match self.form {
            Form::Values => Images::Values(&batch.images),
            Form::Bytes => {
                Images::Bytes { bytes: &batch.bytes, views: &batch.views, tables: self.shared.tables.values() }
            }
        }
    }

    /// The data set.
    pub fn dataset(&self) -> &Arc<Dataset> {
        &self.shared.dataset
    }

    /// Number of batches of an epoch.
    pub fn batches(&self) -> usize {
        let (n, size) = (self.shared.dataset.len(), self.shared.options.together());
        if self.shared.options.drop_last { n / size } else { n.div_ceil(size) }
    }

    /// The batches of epoch `epoch` from batch `start_batch` on (0 for all), the same ones whenever it is called.
    ///
    /// They are prepared on a thread of their own where there are threads; dropping the iterator ends it.
    pub fn epoch(&self, epoch: usize, start_batch: usize) -> Epoch {
        let batches = self.batches();
        let maker = Maker {
            order: self.shared.order(epoch),
            shared: Arc::clone(&self.shared),
            form: self.form,
            epoch,
            next: start_batch.min(batches),
            batches,
        };
        Epoch::start(maker)
    }

    /// Takes back a batch that is used up, so that a later one needs no new memory.
    pub fn recycle(&self, batch: Batch) {
        let mut spare = self.shared.spare.lock().unwrap_or_else(|e| e.into_inner());
        // More than are ever under way would only pile up.
        if spare.len() < 8 {
            spare.push(batch);
        }
    }
}

impl Shared {
    fn order(&self, epoch: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.dataset.len() as u32).collect();
        if self.options.shuffle {
            self.stream(epoch).fork(u64::MAX).shuffle(&mut order);
        }
        order
    }

    fn stream(&self, epoch: usize) -> Rng {
        Rng::new(self.options.seed).fork(epoch as u64)
    }
}

/// Makes the batches of one epoch, one after the other.
struct Maker {
    shared: Arc<Shared>,
    form: Form,
    order: Vec<u32>,
    epoch: usize,
    next: usize,
    batches: usize,
}

impl Iterator for Maker {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.next >= self.batches {
            return None;
        }
        let Shared { dataset, tables, augment, options, spare, .. } = &*self.shared;
        let start = (self.next * options.together() + options.share.0 * options.batch_size).min(self.order.len());
        let indices = &self.order[start..(start + options.batch_size).min(self.order.len())];
        let mut batch = spare.lock().unwrap_or_else(|e| e.into_inner()).pop().unwrap_or_default();
        batch.clear();
        batch.len = indices.len();
        let stream = self.shared.stream(self.epoch);
        for &i in indices {
            let view = View::random(augment, dataset.shape, stream.fork(u64::from(i)));
            match self.form {
                Form::Values => tables.append(dataset, i as usize, view, &mut batch.images),
                Form::Bytes => batch.append_bytes(dataset.image(i as usize), &view),
            }
            append_labels(dataset, i as usize, view, &mut batch.labels);
        }
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(alpha) = options.mixup {
            debug_assert_eq!(self.form, Form::Values, "images are mixed as values");
            let mut stream = stream.fork(MIXUP).fork(self.next as u64);
            let share = mixup::share(alpha, &mut stream);
            // Processes mix by the same share, each within its own images.
            mixup::mix(&mut batch, share, &mut stream.fork(options.share.0 as u64));
        }
        self.next += 1;
        Some(batch)
    }
}

/// The stream of mixup in an epoch's, where images have theirs by their numbers.
#[cfg(not(target_arch = "wasm32"))]
const MIXUP: u64 = u64::MAX - 1;

/// The batches of one epoch, see [`Loader::epoch`].
///
/// ```
/// # use mexhat::data::{Dataset, Loader, LoaderOptions, Normalize};
/// # let dots = Dataset::new("dots", 3, [1, 1, 2], vec![0, 255, 255, 0, 51, 0], vec![0, 1, 1])?;
/// let options = LoaderOptions { batch_size: 2, shuffle: false, ..Default::default() };
/// let loader = Loader::new(dots.into(), Normalize::none(1), None, options)?;
/// let mut epoch = loader.epoch(0, 1); // goes on behind the first batch
/// assert_eq!(epoch.len(), 1);
/// assert_eq!(epoch.next().map(|batch| batch.images), Some(vec![0.2, 0.0]));
/// # Ok::<(), mexhat::Error>(())
/// ```
pub struct Epoch {
    work: Work,
    left: usize,
}

enum Work {
    Here(Maker),
    #[cfg(not(target_arch = "wasm32"))]
    Thread {
        ready: Option<std::sync::mpsc::Receiver<Batch>>,
        thread: Option<std::thread::JoinHandle<()>>,
    },
}

impl Epoch {
    #[cfg(target_arch = "wasm32")]
    fn start(maker: Maker) -> Self {
        Self { left: maker.batches - maker.next, work: Work::Here(maker) }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn start(maker: Maker) -> Self {
        let left = maker.batches - maker.next;
        // One batch needs nobody to work ahead.
        if left < 2 {
            return Self { left, work: Work::Here(maker) };
        }
        let (to, ready) = std::sync::mpsc::sync_channel(AHEAD);
        let copy = Maker { shared: Arc::clone(&maker.shared), order: maker.order.clone(), ..maker };
        let spawned = std::thread::Builder::new().name("mexhat-loader".into()).spawn(move || {
            for batch in copy {
                // The other end is gone: the epoch was dropped.
                if to.send(batch).is_err() {
                    return;
                }
            }
        });
        let work = match spawned {
            Ok(thread) => Work::Thread { ready: Some(ready), thread: Some(thread) },
            // A system out of threads makes training slower, not impossible.
            Err(_) => Work::Here(maker),
        };
        Self { left, work }
    }
}

impl Iterator for Epoch {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let batch = match &mut self.work {
            Work::Here(maker) => maker.next(),
            #[cfg(not(target_arch = "wasm32"))]
            Work::Thread { ready, thread } => match ready.as_ref().and_then(|r| r.recv().ok()) {
                None => {
                    // An epoch that ends early because its thread failed must not look like one that is over.
                    if let Some(Err(panic)) = thread.take().map(std::thread::JoinHandle::join) {
                        std::panic::resume_unwind(panic);
                    }
                    None
                }
                batch => batch,
            },
        };
        self.left = if batch.is_some() { self.left - 1 } else { 0 };
        batch
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Epoch {}

#[cfg(not(target_arch = "wasm32"))]
impl Drop for Epoch {
    fn drop(&mut self) {
        if let Work::Thread { ready, thread } = &mut self.work {
            // Closing the channel first is what lets the thread end.
            drop(ready.take());
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::{Array, State, Tape, Values, interpret};
    use crate::{nn, ops};

    /// `n` images of 1x2x3 whose pixels tell which image and which place they are.
    fn numbered(n: usize) -> Arc<Dataset> {
        let images: Vec<u8> = (0..n * 6).map(|i| (i / 6 * 10 + i % 6 + 1) as u8).collect();
        Arc::new(Dataset::new("numbered", n, [1, 2, 3], images, (0..n as u32).collect()).unwrap())
    }

    fn plain() -> Normalize {
        Normalize { mean: vec![0.0], std: vec![1.0 / 255.0] }
    }

    fn loader(n: usize, augment: Option<Augment>, options: LoaderOptions) -> Loader {
        Loader::new(numbered(n), plain(), augment, options).unwrap()
    }

    fn options(batch_size: usize) -> LoaderOptions {
        LoaderOptions { batch_size, seed: 5, ..Default::default() }
    }

    #[test]
    fn an_epoch_has_every_image_once() {
        let loader = loader(23, None, options(5));
        let batches: Vec<Batch> = loader.epoch(0, 0).collect();
        assert_eq!(batches.iter().map(|b| b.len).collect::<Vec<_>>(), [5, 5, 5, 5, 3]);
        let mut seen = Vec::new();
        for batch in &batches {
            assert_eq!((batch.labels.len(), batch.images.len()), (batch.len, batch.len * 6));
            for (label, image) in batch.labels.iter().zip(batch.images.chunks_exact(6)) {
                assert_eq!(image[0].round() as u32, label * 10 + 1, "image and label belong together");
                seen.push(*label);
            }
        }
        assert_ne!(seen, (0..23).collect::<Vec<_>>());
        seen.sort_unstable();
        assert_eq!(seen, (0..23).collect::<Vec<_>>());
    }

    #[test]
    fn bytes_are_the_same_images_in_the_same_order() {
        for augment in [
            Augment { pad: 2, flip: true, cutout: 1, ..Augment::NONE },
            Augment { flip: true, resized_crop: true, ..Augment::NONE },
            Augment { flip: true, random_resize: true, ..Augment::NONE },
        ] {
            same_images(loader(23, Some(augment), options(5)));
        }
    }

    fn same_images(values: Loader) {
        let bytes = values.in_form(Form::Bytes);
        for (values, batch) in values.epoch(1, 0).zip(bytes.epoch(1, 0)) {
            assert_eq!((&values.labels, values.len), (&batch.labels, batch.len));
            assert!(batch.images.is_empty());
            let Images::Bytes { bytes, views, tables } = bytes.images(&batch) else { panic!("values") };
            // Six bytes take two words.
            assert_eq!((bytes.len(), views.len(), tables.len()), (2 * batch.len, ops::VIEW * batch.len, 256));
            let mut tape = Tape::new();
            let images = nn::images_of_bytes(&mut tape, batch.len, [1, 2, 3]).unwrap();
            let inputs: [Vec<f64>; 3] = [
                bytes.iter().map(|v| f64::from(*v)).collect(),
                views.iter().map(|v| f64::from(*v as u32)).collect(),
                tables.iter().map(|v| f64::from(*v)).collect(),
            ];
            let mut known = Values::default();
            for (input, data) in tape.inputs().into_iter().zip(inputs) {
                known.set(input, Array { shape: tape.shape(input).to_vec(), data });
            }
            interpret(&tape, &State::new(), &mut known);
            let found = known.get(&tape, images).data;
            assert!(found.iter().zip(&values.images).all(|(a, b)| (a - f64::from(*b)).abs() < 1e-5));
        }
    }

    #[test]
    fn the_last_short_batch_can_go() {
        let loader = loader(23, None, LoaderOptions { drop_last: true, ..options(5) });
        assert_eq!((loader.batches(), loader.epoch(0, 0).len(), loader.epoch(0, 0).count()), (4, 4, 4));
    }

    #[test]
    fn order_depends_on_seed_and_epoch_only() {
        let labels = |seed, epoch, size| -> Vec<u32> {
            let loader = loader(20, None, LoaderOptions { seed, ..options(size) });
            loader.epoch(epoch, 0).flat_map(|b| b.labels).collect()
        };
        assert_eq!(labels(1, 2, 4), labels(1, 2, 7));
        assert_ne!(labels(1, 2, 4), labels(1, 3, 4));
        assert_ne!(labels(1, 2, 4), labels(2, 2, 4));
        let still = loader(20, None, LoaderOptions { shuffle: false, ..options(6) });
        assert_eq!(still.epoch(3, 0).flat_map(|b| b.labels).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_resumed_epoch_goes_on_as_it_would_have() {
        let augment = Some(Augment { pad: 2, flip: true, cutout: 1, ..Augment::NONE });
        let loader = loader(25, augment, options(4));
        let whole: Vec<Batch> = loader.epoch(1, 0).collect();
        for start in 0..=7 {
            assert_eq!(loader.epoch(1, start).collect::<Vec<_>>(), whole[start..], "from batch {start}");
        }
        assert_eq!(loader.epoch(1, 99).count(), 0);
        assert_ne!(loader.epoch(2, 0).next().unwrap().images, whole[0].images);
    }

    #[test]
    fn recycled_and_dropped_batches_leave_no_trace() {
        let loader = loader(25, None, options(4));
        let whole: Vec<Batch> = loader.epoch(0, 0).collect();
        let mut again = Vec::new();
        for batch in loader.epoch(0, 0) {
            again.push(batch.clone());
            loader.recycle(batch);
        }
        assert_eq!(again, whole);
        let mut epoch = loader.epoch(0, 0);
        assert_eq!(epoch.next().as_ref(), Some(&whole[0]));
        drop(epoch);
        assert_eq!(Arc::strong_count(&loader.shared), 1, "the thread has ended");
    }

    #[test]
    fn options_that_cannot_work_are_refused() {
        let complain = |normalize, options| {
            Loader::new(numbered(3), normalize, None, options).err().map(|e| e.to_string()).unwrap_or_default()
        };
        assert!(complain(plain(), options(0)).contains("batch size is 0"));
        assert!(complain(plain(), LoaderOptions { drop_last: true, ..options(4) }).contains("fewer than"));
        assert!(complain(Normalize::cifar10(), options(2)).contains("expected 1 mean"));
        assert!(complain(Normalize { mean: vec![0.0], std: vec![0.0] }, options(2)).contains("positive"));
    }
}
