//! Learning rate over the steps of a run.

use serde::{Deserialize, Serialize};

/// How the learning rate changes; step `i` counts updates from 0.
///
/// ```
/// use mexhat::train::Schedule;
/// let cosine = Schedule::Cosine { total: 100 };
/// assert_eq!(cosine.lr(0.1, 0), 0.1);
/// assert!((cosine.lr(0.1, 50) - 0.05).abs() < 1e-12);
/// let warm = Schedule::Warmup { steps: 10, then: Box::new(cosine) };
/// assert_eq!([warm.lr(0.1, 4), warm.lr(0.1, 10)], [0.05, 0.1]);
/// ```
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
    /// From `base / 25` up to `base` along half a cosine over the first 30 % of the steps, then down to
    /// `base / 250,000`, as PyTorch's `OneCycleLR` (Smith and Topin, 2018) without its change of momentum.
    OneCycle {
        /// Steps of the whole run.
        total: u64,
    },
    /// Another schedule behind a straight rise: `base (i + 1) / steps` for the first steps.
    Warmup {
        /// Steps of the rise.
        steps: u64,
        /// What follows; its steps are counted from the end of the rise.
        then: Box<Schedule>,
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
            Self::OneCycle { total } => {
                // PyTorch's last step is the one before the end.
                let (i, last) = (i.min(total.saturating_sub(1)) as f64, total.saturating_sub(1) as f64);
                let peak = (0.3 * *total as f64 - 1.0).max(0.0);
                let between = |from: f64, to: f64, part: f64| {
                    to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * part.clamp(0.0, 1.0)).cos())
                };
                if i <= peak && peak > 0.0 {
                    return between(base / 25.0, base, i / peak);
                }
                between(base, base / 25.0 / 1e4, (i - peak) / (last - peak).max(1.0))
            }
            Self::Warmup { steps, .. } if i < *steps => base * (i + 1) as f64 / *steps as f64,
            Self::Warmup { steps, then } => then.lr(base, i - steps),
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
        assert!((0..3).all(|total| Schedule::OneCycle { total }.lr(0.1, 0).is_finite()));
    }

    #[test]
    fn one_cycle_is_that_of_pytorch() {
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1, total_steps=20).
        let expected = [(0, 0.004), (1, 0.0131671843), (4, 0.0908328158), (5, 0.1), (12, 0.0500002), (19, 4e-7)];
        let schedule = Schedule::OneCycle { total: 20 };
        for (i, rate) in expected {
            assert!((schedule.lr(0.1, i) - rate).abs() < 1e-9, "step {i}: {}", schedule.lr(0.1, i));
        }
    }

    #[test]
    fn a_warm_up_rises_to_the_schedule_behind_it() {
        let schedule = Schedule::Warmup { steps: 4, then: Box::new(Schedule::Cosine { total: 6 }) };
        assert_eq!([0, 1, 3, 4].map(|i| schedule.lr(0.4, i)), [0.1, 0.2, 0.4, 0.4]);
        assert!(schedule.lr(0.4, 10) < 1e-12);
    }
}
