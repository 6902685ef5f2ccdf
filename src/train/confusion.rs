//! Which classes are taken for which.

use crate::data::Dataset;
use crate::{Error, Result};
use serde::Serialize;

/// Images by what they are (rows) and what the network says (columns).
///
/// ```
/// use mexhat::data::Dataset;
/// use mexhat::train::Confusion;
/// let test = Dataset::new("pets", 2, [1, 1, 1], vec![0; 3], vec![0, 1, 1])?
///     .with_class_names(&["cat".into(), "dog".into()])?;
/// // What Learner::outputs or Learner::predict says to three images.
/// let found = Confusion::of(&test, &[0.9, 0.1, 0.2, 0.8, 0.6, 0.4])?;
/// assert_eq!(found.counts, [[1, 0], [1, 1]]);
/// assert_eq!((found.class(1), found.mistaken_for(1)), ((2, 1), Some(("cat", 1))));
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// The name of each class.
    pub names: Vec<String>,
    /// Counts, (classes, classes).
    pub counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// Of what a network says to `dataset`: `outputs` are logits or shares, (N, classes), in the order of its images.
    ///
    /// # Errors
    /// The numbers of images and classes do not fit, or a value is no number.
    pub fn of(dataset: &Dataset, outputs: &[f32]) -> Result<Self> {
        let names = dataset.class_names.clone();
        let classes = names.len();
        if outputs.len() != dataset.len() * classes {
            let what = format!("{} images in {classes} classes, but {} values", dataset.len(), outputs.len());
            return Err(Error::shape("confusion", what));
        }
        let mut counts = vec![vec![0; classes]; classes];
        for (label, row) in dataset.labels.iter().zip(outputs.chunks(classes)) {
            counts[*label as usize][best(row)?] += 1;
        }
        Ok(Self { names, counts })
    }

    /// Of the pixels of `dataset`, which has masks: `classes` are what a network says to them, (N,H,W), as
    /// [`Learner::classes`] gives them. Pixels without a class do not count.
    ///
    /// ```
    /// use mexhat::data::{Dataset, IGNORED};
    /// use mexhat::train::Confusion;
    /// let sky = Dataset::new("sky", 2, [1, 1, 4], vec![0; 4], vec![0])?.with_masks(vec![0, 1, 1, IGNORED])?;
    /// let found = Confusion::of_pixels(&sky, &[0.0, 1.0, 0.0, 1.0])?;
    /// assert_eq!(found.counts, [[1, 0], [1, 1]]);
    /// assert_eq!((found.iou(0), found.mean_iou()), (Some(0.5), Some(0.5)));
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    ///
    /// # Errors
    /// There is not one class for each pixel, or there are no masks.
    ///
    /// [`Learner::classes`]: super::Learner::classes
    pub fn of_pixels(dataset: &Dataset, classes: &[f32]) -> Result<Self> {
        let names = dataset.class_names.clone();
        if !dataset.is_masked() || classes.len() != dataset.masks.len() {
            let what = format!("{} pixels have classes, but {} values were given", dataset.masks.len(), classes.len());
            return Err(Error::shape("confusion", what));
        }
        let mut counts = vec![vec![0; names.len()]; names.len()];
        add_pixels(&mut counts, &dataset.masks, classes);
        Ok(Self { names, counts })
    }

    /// Intersection over union of class `i`: what is of it and is said to be, over what is of it or is said to be, 0 to
    /// 1. `None` where there is neither.
    pub fn iou(&self, i: usize) -> Option<f32> {
        iou(&self.counts, i)
    }

    /// Mean of [`Confusion::iou`] over the classes that have one. The authors' script adds classes that are nowhere as
    /// 0.
    pub fn mean_iou(&self) -> Option<f32> {
        mean_iou(&self.counts)
    }

    /// Images of class `i`, and how many of them the network knows.
    pub fn class(&self, i: usize) -> (u64, u64) {
        (self.counts[i].iter().sum(), self.counts[i][i])
    }

    /// What class `i` is most often taken for, and how often; `None` where it is never mistaken.
    pub fn mistaken_for(&self, i: usize) -> Option<(&str, u64)> {
        let others = self.counts[i].iter().enumerate().filter(|(j, n)| *j != i && **n > 0);
        // The first of equals.
        let (j, n) = others.fold(None, |most: Option<(usize, u64)>, (j, n)| match most {
            Some((_, known)) if known >= *n => most,
            _ => Some((j, *n)),
        })?;
        Some((&self.names[j], n))
    }
}

/// Adds pixels to counts by what they are and what the network says.
pub(super) fn add_pixels<T: Copy + Into<u32>>(counts: &mut [Vec<u64>], labels: &[T], found: &[f32]) {
    for (label, found) in labels.iter().zip(found) {
        let row = counts.get_mut((*label).into() as usize);
        if let Some(count) = row.and_then(|row| row.get_mut(*found as usize)) {
            *count += 1;
        }
    }
}

fn iou(counts: &[Vec<u64>], i: usize) -> Option<f32> {
    let (row, column): (u64, u64) = (counts[i].iter().sum(), counts.iter().map(|row| row[i]).sum());
    let union = row + column - counts[i][i];
    (union > 0).then(|| (counts[i][i] as f64 / union as f64) as f32)
}

pub(super) fn mean_iou(counts: &[Vec<u64>]) -> Option<f32> {
    let found: Vec<f32> = (0..counts.len()).filter_map(|i| iou(counts, i)).collect();
    (!found.is_empty()).then(|| found.iter().sum::<f32>() / found.len() as f32)
}

/// What is said of a network that has diverged.
pub(super) const NO_NUMBER: &str = "the network puts out what is no number; it has diverged, so train it again";

/// Place of the largest value, the first of equals.
///
/// ```
/// use mexhat::train::best;
/// assert_eq!(best(&[0.1, 0.7, 0.2])?, 1);
/// assert!(best(&[0.1, f32::NAN]).is_err());
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// A value is no number.
pub fn best(row: &[f32]) -> Result<usize> {
    if row.iter().any(|v| !v.is_finite()) {
        return Err(Error::Run(NO_NUMBER.into()));
    }
    Ok(row.iter().enumerate().fold(0, |best, (i, v)| if *v > row[best] { i } else { best }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_what_images_are() {
        let data = Dataset::new("x", 3, [1, 1, 1], vec![0; 4], vec![0, 0, 2, 2]).unwrap();
        let outputs = [0.1, 0.9, 0.0, 0.8, 0.1, 0.1, 0.3, 0.4, 0.3, 0.0, 0.2, 0.8];
        let found = Confusion::of(&data, &outputs).unwrap();
        assert_eq!(found.counts, [[1, 1, 0], [0, 0, 0], [0, 1, 1]]);
        assert_eq!((found.class(0), found.class(1), found.class(2)), ((2, 1), (0, 0), (2, 1)));
        assert_eq!((found.mistaken_for(2), found.mistaken_for(1)), (Some(("1", 1)), None));
        assert!(Confusion::of(&data, &outputs[1..]).is_err());
        assert!(Confusion::of(&data, &[f32::NAN; 12]).unwrap_err().to_string().contains("no number"));
    }
}
