//! Images of the user's as they lie in memory.

use super::data::Examples;
use crate::data::{Dataset, Normalize};
use crate::{Error, Result, plural};
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
        if shape.contains(&0) {
            let what =
                format!("images of {shape:?} (channels, height, width) have no pixels; expected sides of at least 1");
            return Err(Error::Usage(what));
        }
        let (each, found) = (shape.iter().fold(1usize, |n, side| n.saturating_mul(*side)), self.len());
        if found > 0 && found.is_multiple_of(each) {
            return Ok(found / each);
        }
        Err(Error::Usage(format!(
            "expected images of {shape:?} (channels, height, width), {} each, found {} in all",
            plural::count(each, "value"),
            plural::count(found, "value")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_without_pixels_are_called_that() {
        let refused = |values: &[f32], shape| Examples::new(values, shape, &[0]).unwrap_err().to_string();
        for shape in [[0, 2, 2], [1, 0, 2], [1, 2, 0], [0, usize::MAX, 2]] {
            for values in [&[][..], &[0.5; 4]] {
                let error = refused(values, shape);
                let wanted = format!(
                    "images of {shape:?} (channels, height, width) have no pixels; expected sides of at least 1"
                );
                assert_eq!(error, wanted);
            }
        }
        assert!(refused(&[0.5; 4], [1, usize::MAX, 2]).ends_with("each, found 4 values in all"));
        let error = refused(&[], [1, 1, 1]);
        assert!(error.ends_with("1 value each, found 0 values in all"), "{error}");
        let error = Examples::new(&[0.5f32; 4][..], [1, 2, 2], &[0, 1]).unwrap_err().to_string();
        assert_eq!(error, "expected one label for each image or pixel, found 1 image of [1, 2, 2] and 2 labels");
    }
}
