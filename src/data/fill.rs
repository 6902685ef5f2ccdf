//! Images of a data set as the network takes them, those that are asked for by number.

use super::tables::Tables;
use super::view::View;
use super::{Augment, Dataset, Normalize};
use crate::error::{Error, Result};
use crate::rng::Rng;

/// Writes the images `indices` of `dataset`, normalised, (N, C, H, W), to `images`, replacing what was there.
///
/// ```
/// use mexhat::data::{self, Dataset, Normalize};
/// let dots = Dataset::new("dots", 2, [1, 1, 2], vec![0, 255, 51, 0], vec![0, 1])?;
/// let mut images = Vec::new();
/// data::fill(&dots, &Normalize::none(1), &[1, 0], &mut images)?;
/// assert_eq!(images, [0.2, 0.0, 0.0, 1.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// [`Error::Usage`] when an index is not below the number of images or `normalize` does not fit the channels.
pub fn fill(dataset: &Dataset, normalize: &Normalize, indices: &[usize], images: &mut Vec<f32>) -> Result<()> {
    fill_augmented(dataset, normalize, &Augment::NONE, Rng::new(0), indices, images)
}

/// As [`fill`], each image changed as `augment` says, by its own fork of `stream`.
pub(crate) fn fill_augmented(
    dataset: &Dataset,
    normalize: &Normalize,
    augment: &Augment,
    stream: Rng,
    indices: &[usize],
    images: &mut Vec<f32>,
) -> Result<()> {
    let tables = Tables::new(dataset, normalize)?;
    images.clear();
    images.reserve(indices.len() * dataset.pixels());
    for &i in indices {
        if i >= dataset.len() {
            let what = format!("image {i} of data set '{}' was asked for, which has {}", dataset.name, dataset.len());
            return Err(Error::Usage(what));
        }
        tables.append(dataset, i, View::random(augment, dataset.shape, stream.fork(i as u64)), images);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_normalises_each_channel() {
        let data = Dataset::new("x", 1, [2, 1, 1], vec![255, 0, 51, 255], vec![0, 0]).unwrap();
        let norm = Normalize { mean: vec![0.5, 0.0], std: vec![0.5, 2.0] };
        let mut images = vec![9.0];
        fill(&data, &norm, &[1, 0], &mut images).unwrap();
        let wanted = [-0.6, 0.5, 1.0, 0.0];
        assert!(images.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6) && images.len() == 4, "{images:?}");
        assert!(fill(&data, &norm, &[2], &mut images).unwrap_err().to_string().contains("image 2"));
    }
}
