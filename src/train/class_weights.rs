//! How much each class counts in the training loss.

use crate::data::Dataset;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Weights of the classes in the training loss; as text `balanced`, or a number for each class: `1,0.5,2`.
///
/// ```
/// use mexhat::train::ClassWeights;
/// assert_eq!("1,0.5".parse::<ClassWeights>()?, ClassWeights::Each(vec![1.0, 0.5]));
/// assert_eq!(ClassWeights::Balanced.to_string(), "balanced");
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClassWeights {
    /// All training images over classes times the images of the class: all classes count the same, whatever images they
    /// have. Of masks pixels are counted.
    Balanced,
    /// One for each class, in order.
    Each(Vec<f32>),
}

impl ClassWeights {
    /// The weight of each class of `train`. A class without images has none that matters; it is 0.
    ///
    /// # Errors
    /// There is not one weight for each class.
    pub fn of(&self, train: &Dataset) -> Result<Vec<f32>> {
        let classes = train.classes();
        match self {
            Self::Balanced => {
                let counts: Vec<u64> = match train.is_masked() {
                    true => train.pixel_counts(),
                    false => train.counts().into_iter().map(|count| count as u64).collect(),
                };
                let all = counts.iter().sum::<u64>() as f64;
                let weight = |count: u64| all / (classes as u64 * count) as f64;
                Ok(counts.into_iter().map(|count| if count > 0 { weight(count) as f32 } else { 0.0 }).collect())
            }
            Self::Each(weights) if weights.iter().all(|weight| *weight == 0.0) => {
                let what =
                    "`class_weights` are all 0, so that nothing would be learnt; expected one above 0, or balanced";
                Err(Error::Usage(what.into()))
            }
            Self::Each(weights) if weights.len() == classes => Ok(weights.clone()),
            Self::Each(weights) => Err(Error::Usage(format!(
                "`class_weights` has {} numbers, but the data has {classes} classes ({}); expected one for each, or balanced",
                weights.len(),
                train.class_names.join(", ")
            ))),
        }
    }
}

impl std::str::FromStr for ClassWeights {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "balanced" {
            return Ok(Self::Balanced);
        }
        let weights = text.split(',').map(|number| crate::json::number(number.trim()));
        let weights = weights.map(|number| number.filter(|weight| weight.is_finite() && *weight >= 0.0)).collect();
        match weights {
            Some(weights) => Ok(Self::Each(weights)),
            None => Err(Error::Usage(format!(
                "`class_weights` is '{text}'; expected balanced, or a number of at least 0 for each class, such as 1,0.5,2"
            ))),
        }
    }
}

impl std::fmt::Display for ClassWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Balanced => f.write_str("balanced"),
            Self::Each(weights) => f.write_str(&weights.iter().map(f32::to_string).collect::<Vec<_>>().join(",")),
        }
    }
}

impl TryFrom<String> for ClassWeights {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ClassWeights> for String {
    fn from(weights: ClassWeights) -> Self {
        weights.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_weights_are_those_of_scikit_learn() {
        let names = ["a", "b", "c"].map(String::from).to_vec();
        let labels = vec![0, 0, 0, 1];
        let train = Dataset {
            name: "few".into(),
            class_names: names,
            shape: [1, 1, 1],
            images: vec![0; 4].into(),
            labels,
            masks: Vec::new(),
        };
        assert_eq!(ClassWeights::Balanced.of(&train).unwrap(), [4.0 / 9.0, 4.0 / 3.0, 0.0]);
        assert!(ClassWeights::Each(vec![1.0]).of(&train).unwrap_err().to_string().contains("a, b, c"));
    }

    #[test]
    fn strange_weights_are_refused() {
        for text in ["", "1,,2", "-1,2", "1,nan", "even"] {
            assert!(text.parse::<ClassWeights>().unwrap_err().to_string().contains("`class_weights`"), "{text}");
        }
    }
}
