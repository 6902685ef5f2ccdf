//! A batch of images and labels, and the forms in which its images reach a device.

use super::view::View;
use std::ops::Range;

/// Some images, ready for the network.
///
/// ```
/// use mexhat::data::Batch;
/// let mut batch = Batch::default();
/// (batch.images, batch.labels, batch.len) = (vec![0.5, -1.0, 2.0, 0.0], vec![3, 1], 2);
/// let each = batch.images.len() / batch.len;
/// assert_eq!(batch.images.chunks(each).zip(&batch.labels).nth(1), Some((&[2.0, 0.0][..], &1)));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Normalised values, (N, C, H, W).
    pub images: Vec<f32>,
    /// The class of each image, (N), or of each pixel, (N, H, W); of two images that are mixed, that of the one with
    /// the larger share.
    pub labels: Vec<u32>,
    /// With mixup, for each image its class, that of the one mixed in, and the bits of the `f32` that is its own share;
    /// otherwise nothing.
    pub mixed: Vec<u32>,
    /// The images as they lie in the data set, in whole words each; then there are no values.
    pub(crate) bytes: Vec<u32>,
    /// What of each is seen.
    pub(crate) views: Vec<i32>,
    /// N: the batch size, or less in the last batch of an epoch.
    pub len: usize,
}

impl Batch {
    /// Empties it, and keeps its memory.
    pub(super) fn clear(&mut self) {
        let Self { images, labels, mixed, bytes, views, len } = self;
        images.clear();
        labels.clear();
        mixed.clear();
        bytes.clear();
        views.clear();
        *len = 0;
    }

    /// Appends an image, seen so.
    pub(super) fn append_bytes(&mut self, image: &[u8], view: &View) {
        let first = self.bytes.len();
        self.bytes.resize(first + image.len().div_ceil(4), 0);
        bytemuck::cast_slice_mut(&mut self.bytes[first..])[..image.len()].copy_from_slice(image);
        self.views.extend(view.numbers());
    }

    /// What the loss of a training step takes.
    pub(crate) fn targets(&self) -> &[u8] {
        bytemuck::cast_slice(if self.mixed.is_empty() { &self.labels } else { &self.mixed })
    }
}

/// How images reach the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As values, normalised, (N, C, H, W).
    Values,
    /// As bytes, a quarter as much, with views and tables of values: the device makes the values
    /// ([`image_batch`](crate::ops::image_batch)).
    Bytes,
}

/// Images on their way to the device.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Images<'a> {
    Values(&'a [f32]),
    Bytes { bytes: &'a [u32], views: &'a [i32], tables: &'a [f32] },
}

impl<'a> Images<'a> {
    pub fn form(self) -> Form {
        match self {
            Self::Values(_) => Form::Values,
            Self::Bytes { .. } => Form::Bytes,
        }
    }

    /// The images `range` of `count`.
    pub fn part(self, range: Range<usize>, count: usize) -> Self {
        match self {
            Self::Values(values) => Self::Values(part(values, range, count)),
            Self::Bytes { bytes, views, tables } => {
                Self::Bytes { bytes: part(bytes, range.clone(), count), views: part(views, range, count), tables }
            }
        }
    }

    /// What a pass takes, in the order of its inputs.
    pub fn inputs(self) -> impl Iterator<Item = &'a [u8]> {
        let all = match self {
            Self::Values(values) => [Some(bytemuck::cast_slice(values)), None, None],
            Self::Bytes { bytes, views, tables } => [
                Some(bytemuck::cast_slice(bytes)),
                Some(bytemuck::cast_slice(views)),
                Some(bytemuck::cast_slice(tables)),
            ],
        };
        all.into_iter().flatten()
    }
}

fn part<T>(all: &[T], range: Range<usize>, count: usize) -> &[T] {
    let each = all.len() / count.max(1);
    &all[range.start * each..range.end * each]
}
