//! Learning rate over the steps of a run.

use serde::{Deserialize, Serialize};

/// How the learning rate changes; step `i` counts updates from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Schedule {
    /// `base`.
    Constant,
    /// `base (1 + cos(pi i / total)) / 2`: half a cosine from `base` to 0.
    Cosine {
        /// Steps of the whole run.
        total: u64,
    },
    /// `base (1 - i / total)^power`.
    Poly {
        /// Steps of the whole run.
        total: u64,
        /// Exponent; 1 is a straight line.
        power: f64,
    },
    /// `base gamma^k` after `k` of the milestones.
    MultiStep {
        /// Steps from which on the rate is lower.
        milestones: Vec<u64>,
        /// Factor at each milestone.
        gamma: f64,
    },
}

impl Schedule {
    /// Learning rate of update `i`, counted from 0. Beyond the end of a run the last rate stays.
    pub fn lr(&self, base: f64, i: u64) -> f64 {
        let part = |total: u64| i.min(total) as f64 / total.max(1) as f64;
        match self {
            Self::Constant => base,
            Self::Cosine { total } => base * 0.5 * (1.0 + (std::f64::consts::PI * part(*total)).cos()),
            Self::Poly { total, power } => base * (1.0 - part(*total)).powf(*power),
            Self::MultiStep { milestones, gamma } => {
                base * gamma.powi(milestones.iter().filter(|m| i >= **m).count() as i32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_exact() {
        let cosine = Schedule::Cosine { total: 10 };
        assert_eq!(cosine.lr(0.1, 0), 0.1);
        assert!(cosine.lr(0.1, 10).abs() < 1e-12 && cosine.lr(0.1, 99).abs() < 1e-12);
        assert!((cosine.lr(0.1, 5) - 0.05).abs() < 1e-12);
        assert_eq!(Schedule::Poly { total: 4, power: 1.0 }.lr(1.0, 3), 0.25);
        let steps = Schedule::MultiStep { milestones: vec![2, 4], gamma: 0.1 };
        assert_eq!([1, 2, 4].map(|i| (steps.lr(1.0, i) * 1e6).round()), [1e6, 1e5, 1e4]);
        // A run without steps divides by nothing.
        assert!(Schedule::Cosine { total: 0 }.lr(0.1, 0).is_finite());
    }
}
