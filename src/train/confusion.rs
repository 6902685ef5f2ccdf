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
        return Err(Error::Run("the network says what is no number; it has diverged, so train it again".into()));
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
