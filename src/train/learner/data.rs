//! Where images and targets come from: arrays of the user's, a data set, or a stream.

use super::pixels::Pixels;
use crate::data::{Augment, Dataset, Normalize, fill_augmented, labels_augmented};
use crate::rng::Rng;
use crate::{Error, Result, plural};

/// What each image should become.
///
/// ```
/// use mexhat::train::{Batch, Targets};
/// let class = Batch { images: vec![0.5; 4], targets: Targets::Labels(vec![7]) };
/// let values = Batch { images: vec![0.5; 4], targets: Targets::Values(vec![0.25, 0.75]) }; // with Loss::MeanSquares
/// # assert_ne!(class, values);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// The class of each image, or of each pixel (N,H,W) for a network that puts out a map of classes; pixels of 255
    /// have none.
    Labels(Vec<u32>),
    /// Values of the output's shape for each image, row-major.
    Values(Vec<f32>),
}

/// Some images with their targets.
///
/// ```
/// use mexhat::train::{Batch, Learner, Targets};
/// /// Steps that a program makes by itself.
/// async fn two_steps(learner: &mut Learner) -> mexhat::Result<()> {
///     let batch = Batch { images: vec![0.5; 2 * 28 * 28], targets: Targets::Labels(vec![3, 7]) };
///     for lr in [0.1, 0.05] {
///         learner.submit(&batch, lr, 0).await?;
///     }
///     while let Some(step) = learner.take().await? {
///         println!("step {}: loss {}", step.step, step.loss);
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Values as the network takes them, (N,C,H,W).
    pub images: Vec<f32>,
    /// What they should become.
    pub targets: Targets,
}

/// How an epoch is cut into batches.
///
/// ```
/// use mexhat::data::{Augment, Normalize};
/// use mexhat::train::{Data, Examples, Order, Targets};
/// let (images, labels) = ([0u8, 51, 102, 153, 204], [0, 1, 2, 3, 4]);
/// let data = Examples::new(&images[..], [1, 1, 1], &labels)?;
/// let (normalize, augment) = (Normalize::none(1), Augment::NONE);
/// let order = Order { epoch: 0, batch_size: 2, shuffle: false, seed: 0, normalize, augment };
/// let batches: Vec<_> = data.epoch(order)?.collect::<mexhat::Result<_>>()?;
/// assert_eq!(batches.len(), 3);
/// assert_eq!((&batches[2].images, &batches[2].targets), (&vec![0.8], &Targets::Labels(vec![4])));
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Order {
    /// Number of the epoch, from 0.
    pub epoch: u64,
    /// Images per batch; the last one may have fewer.
    pub batch_size: usize,
    /// Another order in every epoch.
    pub shuffle: bool,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// What to do to the values of each image.
    pub normalize: Normalize,
    /// Random changes to images.
    pub augment: Augment,
}

/// The batches of an epoch.
///
/// ```
/// use mexhat::train::{Batch, Batches, Targets};
/// let labels = [0, 1, 2, 3, 4];
/// let mut batches: Batches<'_> = Box::new(labels.chunks(2).map(|labels| {
///     let images = labels.iter().map(|label| *label as f32 / 4.0).collect(); // of one pixel each
///     Ok(Batch { images, targets: Targets::Labels(labels.to_vec()) })
/// }));
/// assert_eq!(batches.next().transpose()?.expect("a batch").images, [0.0, 0.25]);
/// assert_eq!(batches.count(), 2);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub type Batches<'a> = Box<dyn Iterator<Item = Result<Batch>> + 'a>;

/// Images with targets, in batches: implement it for whatever the three kinds here do not cover.
///
/// ```
/// use mexhat::train::{Batch, Batches, Data, Order, Targets};
///
/// /// Dark images of class 0 and bright ones of class 1.
/// struct Greys(Vec<u32>);
///
/// impl Data for Greys {
///     fn shape(&self) -> [usize; 3] {
///         [1, 2, 2]
///     }
///
///     fn images(&self) -> Option<usize> {
///         Some(self.0.len())
///     }
///
///     fn epoch<'a>(&'a self, order: Order) -> mexhat::Result<Batches<'a>> {
///         Ok(Box::new(self.0.chunks(order.batch_size).map(|labels| {
///             let images = labels.iter().flat_map(|label| [*label as f32; 4]).collect();
///             Ok(Batch { images, targets: Targets::Labels(labels.to_vec()) })
///         })))
///     }
/// }
/// let data: &dyn Data = &Greys(vec![0, 1, 1]); // for Learner::fit
/// assert_eq!((data.shape(), data.images()), ([1, 2, 2], Some(3)));
/// ```
pub trait Data {
    /// (C, H, W) of every image.
    fn shape(&self) -> [usize; 3];

    /// Number of images; `None` when only the end of an epoch tells.
    fn images(&self) -> Option<usize>;

    /// What messages and files call it.
    fn name(&self) -> &str {
        ""
    }

    /// The name of each class, where there are names.
    fn class_names(&self) -> &[String] {
        &[]
    }

    /// The batches of one epoch, the same ones whenever it is called.
    ///
    /// # Errors
    /// The order cannot be served.
    fn epoch<'a>(&'a self, order: Order) -> Result<Batches<'a>>;
}

/// The images of one epoch in its order.
fn indices(images: usize, order: &Order) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..images).collect();
    if order.shuffle {
        stream(order).fork(u64::MAX).shuffle(&mut indices);
    }
    indices
}

fn stream(order: &Order) -> Rng {
    Rng::new(order.seed).fork(order.epoch)
}

impl Data for Dataset {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn images(&self) -> Option<usize> {
        Some(self.len())
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn epoch<'a>(&'a self, order: Order) -> Result<Batches<'a>> {
        let indices = indices(self.len(), &order);
        let starts = (0..indices.len()).step_by(order.batch_size.max(1));
        Ok(Box::new(starts.map(move |start| {
            let at = &indices[start..(start + order.batch_size).min(indices.len())];
            let mut images = Vec::new();
            fill_augmented(self, &order.normalize, &order.augment, stream(&order), at, &mut images)?;
            let labels = labels_augmented(self, &order.augment, stream(&order), at);
            Ok(Batch { images, targets: Targets::Labels(labels) })
        })))
    }
}

/// Images of the user's in memory, with what they should become.
///
/// ```
/// use mexhat::train::Examples;
/// let (images, labels) = (vec![0u8; 20 * 28 * 28], vec![3; 20]);
/// let train = Examples::new(&images, [1, 28, 28], &labels)?;
/// # assert_eq!(mexhat::train::Data::images(&train), Some(20));
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Examples<'a> {
    pixels: Pixels<'a>,
    shape: [usize; 3],
    images: usize,
    targets: Given<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Given<'a> {
    Labels(&'a [u32], usize),
    Values(&'a [f32], usize),
}

impl<'a> Examples<'a> {
    /// Images (N,C,H,W), bytes (of which 255 becomes 1) or floats, and the class of each, or of each of their pixels
    /// (N,H,W).
    ///
    /// # Errors
    /// There is no image, or not one label for each image or pixel.
    pub fn new(images: impl Into<Pixels<'a>>, shape: [usize; 3], labels: &'a [u32]) -> Result<Self> {
        let pixels = images.into();
        let count = pixels.count(shape)?;
        let each = if labels.len() == count { 1 } else { shape[1] * shape[2] };
        if count * each != labels.len() {
            return Err(Error::Usage(format!(
                "expected one label for each image or pixel, found {} of {shape:?} and {}",
                plural::count(count, "image"),
                plural::count(labels.len(), "label")
            )));
        }
        Ok(Self { pixels, shape, images: count, targets: Given::Labels(labels, each) })
    }

    pub(super) fn pixels(&self) -> Pixels<'a> {
        self.pixels.of(self.shape)
    }

    /// As [`Examples::new`] with values in place of labels, as many for each image as the network puts out.
    ///
    /// # Errors
    /// There is no image, or the values are no multiple of them.
    pub fn with_values(images: impl Into<Pixels<'a>>, shape: [usize; 3], values: &'a [f32]) -> Result<Self> {
        let pixels = images.into();
        let count = pixels.count(shape)?;
        if values.is_empty() || !values.len().is_multiple_of(count) {
            let (images, values) = (plural::count(count, "image"), plural::count(values.len(), "value"));
            let what = format!("expected as many values for each of {images}, found {values}");
            return Err(Error::Usage(what));
        }
        Ok(Self { pixels, shape, images: count, targets: Given::Values(values, values.len() / count) })
    }
}

impl Data for Examples<'_> {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn images(&self) -> Option<usize> {
        Some(self.images)
    }

    fn epoch<'a>(&'a self, order: Order) -> Result<Batches<'a>> {
        if !order.augment.is_none() {
            let what = "arrays are trained on as they are; make a Dataset of bytes for crops and flips";
            return Err(Error::Usage(what.into()));
        }
        let indices = indices(self.images, &order);
        let starts = (0..indices.len()).step_by(order.batch_size.max(1));
        Ok(Box::new(starts.map(move |start| {
            let at = &indices[start..(start + order.batch_size).min(indices.len())];
            let mut images = Vec::new();
            self.pixels.fill(self.shape, &order.normalize, at.iter().copied(), &mut images)?;
            let targets = match self.targets {
                Given::Labels(labels, each) => {
                    Targets::Labels(at.iter().flat_map(|i| &labels[i * each..][..each]).copied().collect())
                }
                Given::Values(values, each) => {
                    Targets::Values(at.iter().flat_map(|i| &values[i * each..][..each]).copied().collect())
                }
            };
            Ok(Batch { images, targets })
        })))
    }
}

/// Images that come one after the other, each with its class; nothing of them is kept.
///
/// ```
/// use mexhat::train::Stream;
/// let grey = |epoch, i| (vec![i as f32 / 100.0; 64], (epoch as u32 + i) % 2);
/// let data = Stream::new([1, 8, 8], move |epoch: u64| (0..100).map(move |i| Ok(grey(epoch, i)))).with_images(100);
/// ```
#[derive(Clone, Debug)]
pub struct Stream<F> {
    shape: [usize; 3],
    images: Option<usize>,
    start: F,
}

impl<F, I> Stream<F>
where
    F: Fn(u64) -> I,
    I: Iterator<Item = Result<(Vec<f32>, u32)>> + 'static,
{
    /// `start` gives the images (C,H,W) of an epoch, in the order in which they are to be seen.
    pub fn new(shape: [usize; 3], start: F) -> Self {
        Self { shape, images: None, start }
    }

    /// Says how many images an epoch has, which a schedule needs that ends with the run.
    pub fn with_images(self, images: usize) -> Self {
        Self { images: Some(images), ..self }
    }
}

impl<F, I> Data for Stream<F>
where
    F: Fn(u64) -> I,
    I: Iterator<Item = Result<(Vec<f32>, u32)>> + 'static,
{
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn images(&self) -> Option<usize> {
        self.images
    }

    fn epoch<'a>(&'a self, order: Order) -> Result<Batches<'a>> {
        if !order.augment.is_none() {
            return Err(Error::Usage("a stream is trained on as it comes; change its images before they come".into()));
        }
        let mut source = (self.start)(order.epoch).fuse();
        Ok(Box::new(std::iter::from_fn(move || {
            let (mut images, mut labels) = (Vec::new(), Vec::new());
            while labels.len() < order.batch_size {
                match source.next() {
                    Some(Ok((image, label))) => {
                        if let Err(e) = Pixels::from(&image).fill(self.shape, &order.normalize, 0..1, &mut images) {
                            return Some(Err(e));
                        }
                        labels.push(label);
                    }
                    Some(Err(e)) => return Some(Err(e)),
                    None => break,
                }
            }
            (!labels.is_empty()).then_some(Ok(Batch { images, targets: Targets::Labels(labels) }))
        })))
    }
}
