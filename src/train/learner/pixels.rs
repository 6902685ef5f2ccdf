//! Images of the user's as they lie in memory.

use super::data::Examples;
use crate::data::{Dataset, Normalize};
use crate::{Error, Result};
use std::ops::Range;

/// Images (N,C,H,W), row-major: floats as they are, or bytes, of which 255 becomes 1. Those of a [`Dataset`] or of
/// [`Examples`] bring their shape along, and are refused where another is expected.
///
/// ```
/// use mexhat::train::{Examples, Pixels};
/// let bytes = vec![0u8, 255, 51, 0];
/// // Whatever takes pixels takes arrays of both kinds.
/// let two = Examples::new(&bytes, [1, 1, 2], &[0, 1])?;
/// let same = Examples::new(&[0.0f32, 1.0, 0.2, 0.0][..], [1, 1, 2], &[0, 1])?;
/// let pixels = Pixels::from(&two);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    values: Values<'a>,
    /// Channels, height, width, where they are known.
    shape: Option<[usize; 3]>,
}

#[derive(Clone, Copy, Debug)]
enum Values<'a> {
    F32(&'a [f32]),
    U8(&'a [u8]),
}

impl<'a> From<&'a [f32]> for Pixels<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self { values: Values::F32(values), shape: None }
    }
}

impl<'a> From<&'a Vec<f32>> for Pixels<'a> {
    fn from(values: &'a Vec<f32>) -> Self {
        values[..].into()
    }
}

impl<'a> From<&'a [u8]> for Pixels<'a> {
    fn from(values: &'a [u8]) -> Self {
        Self { values: Values::U8(values), shape: None }
    }
}

impl<'a> From<&'a Vec<u8>> for Pixels<'a> {
    fn from(values: &'a Vec<u8>) -> Self {
        values[..].into()
    }
}

impl<'a> From<&'a Dataset> for Pixels<'a> {
    fn from(dataset: &'a Dataset) -> Self {
        Self { values: Values::U8(&dataset.images), shape: Some(dataset.shape) }
    }
}

impl<'a> From<&Examples<'a>> for Pixels<'a> {
    fn from(examples: &Examples<'a>) -> Self {
        examples.pixels()
    }
}

impl Pixels<'_> {
    fn len(&self) -> usize {
        match self.values {
            Values::F32(values) => values.len(),
            Values::U8(values) => values.len(),
        }
    }

    /// The same, known to be of this shape.
    pub(super) fn of(self, shape: [usize; 3]) -> Self {
        Self { shape: Some(shape), ..self }
    }

    /// Number of images of this shape.
    pub(super) fn count(&self, shape: [usize; 3]) -> Result<usize> {
        if let Some(found) = self.shape.filter(|found| *found != shape) {
            return Err(Error::Usage(format!(
                "expected images of {shape:?} (channels, height, width), found images of {found:?}"
            )));
        }
        let each: usize = shape.iter().product();
        if each > 0 && self.len() > 0 && self.len().is_multiple_of(each) {
            return Ok(self.len() / each);
        }
        Err(Error::Usage(format!(
            "expected images of {shape:?} (channels, height, width), {each} values each, found {} values in all",
            self.len()
        )))
    }

    /// Appends the images `at`, normalised.
    pub(super) fn fill(
        &self,
        shape: [usize; 3],
        normalize: &Normalize,
        at: impl Iterator<Item = usize>,
        images: &mut Vec<f32>,
    ) -> Result<()> {
        let (count, plane) = (self.count(shape)?, shape[1] * shape[2]);
        for image in at {
            if image >= count {
                return Err(Error::Usage(format!("image {image} of {count} was asked for")));
            }
            for channel in 0..shape[0] {
                let from = (image * shape[0] + channel) * plane;
                self.plane(from..from + plane, |v| normalize.apply(channel, v), images);
            }
        }
        Ok(())
    }

    fn plane(&self, range: Range<usize>, scaled: impl Fn(f32) -> f32, images: &mut Vec<f32>) {
        match self.values {
            Values::F32(values) => images.extend(values[range].iter().map(|v| scaled(*v))),
            Values::U8(values) => images.extend(values[range].iter().map(|v| scaled(f32::from(*v) / 255.0))),
        }
    }
}
