//! How often a run keeps a checkpoint.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// After how many steps or how much time a run keeps its next checkpoint; as text `500`, `30s`, `5m` or `1h`.
///
/// ```
/// use mexhat::train::CheckpointEvery;
/// assert_eq!("500".parse::<CheckpointEvery>()?, CheckpointEvery::Steps(500));
/// assert_eq!("5m".parse::<CheckpointEvery>()?, CheckpointEvery::Seconds(300));
/// assert_eq!(CheckpointEvery::Seconds(90).to_string(), "90s");
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CheckpointEvery {
    /// So many steps of training.
    Steps(u64),
    /// So many seconds.
    Seconds(u64),
}

impl Default for CheckpointEvery {
    /// A minute: no more than that is ever lost, and writing costs next to nothing.
    fn default() -> Self {
        Self::Seconds(60)
    }
}

impl std::str::FromStr for CheckpointEvery {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = || {
            Error::Usage(format!(
                "a checkpoint every '{text}' is not known; expected a number of steps, such as 500, or a time, such as 30s, 5m or 1h"
            ))
        };
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number: u64 = digits.parse().ok().filter(|number| *number > 0).ok_or_else(refused)?;
        let seconds = |unit: u64| number.checked_mul(unit).map(Self::Seconds).ok_or_else(refused);
        match &text[digits.len()..] {
            "" => Ok(Self::Steps(number)),
            "s" => seconds(1),
            "m" => seconds(60),
            "h" => seconds(3600),
            _ => Err(refused()),
        }
    }
}

impl std::fmt::Display for CheckpointEvery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Steps(steps) => write!(f, "{steps}"),
            Self::Seconds(seconds) if seconds % 3600 == 0 => write!(f, "{}h", seconds / 3600),
            Self::Seconds(seconds) if seconds % 60 == 0 => write!(f, "{}m", seconds / 60),
            Self::Seconds(seconds) => write!(f, "{seconds}s"),
        }
    }
}

impl TryFrom<String> for CheckpointEvery {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<CheckpointEvery> for String {
    fn from(every: CheckpointEvery) -> Self {
        every.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_times_are_read_and_others_refused() {
        for every in [CheckpointEvery::Steps(7), CheckpointEvery::Seconds(90), CheckpointEvery::Seconds(7200)] {
            assert_eq!(every.to_string().parse::<CheckpointEvery>().unwrap(), every);
        }
        for text in ["", "0", "0s", "-1", "5d", "m", "1.5m", "18446744073709551615h", "5 m"] {
            let error = text.parse::<CheckpointEvery>().unwrap_err().to_string();
            assert!(error.contains(&format!("'{text}'")) && error.contains("30s"), "{error}");
        }
    }
}
