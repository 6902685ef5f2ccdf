//! What the page may choose.

use mexhat::models::Norm;
use mexhat::train::{Options, ScheduleKind};
use mexhat::{Error, Result};

/// Networks of a race at most.
const MOST_LANES: usize = 4;

/// The options of `mexhat train`, and how the race is shown.
pub struct RaceOptions {
    pub(crate) run: Options,
    pub(super) batch_size: usize,
    /// Those that race.
    pub(super) norms: Vec<Norm>,
    /// Steps between two looks at the test images.
    pub(super) look_every: u64,
    /// Most steps in flight of one network.
    pub(super) ahead: usize,
}

impl RaceOptions {
    /// Reads JSON; what is missing has the race's default, which for some options is not that of `mexhat train`.
    pub(super) fn read(text: &str) -> Result<Self> {
        let wrong = |e: serde_json::Error| Error::Usage(format!("the page's options: {e}"));
        let shown: Shown = mexhat::json::read(text).map_err(wrong)?;
        if !(1..=MOST_LANES).contains(&shown.norms.len()) {
            let what = format!("expected 1 to {MOST_LANES} networks, found {}", shown.norms.len());
            return Err(Error::Usage(what));
        }
        let mut run: Options = mexhat::json::read(text).map_err(wrong)?;
        run.batch_size = Some(shown.batch_size);
        run.limit_train = Some(shown.limit_train);
        run.limit_test = Some(shown.limit_test);
        run.schedule = ScheduleKind::Constant;
        run.epochs = Some(shown.epochs);
        let (look_every, ahead) = (shown.look_every.max(1), shown.ahead.max(1));
        Ok(Self { run, batch_size: shown.batch_size, norms: shown.norms, look_every, ahead })
    }
}

/// Options that `mexhat train` does not have, and those that have another default here.
#[derive(serde::Deserialize)]
#[serde(default)]
struct Shown {
    batch_size: usize,
    limit_train: usize,
    limit_test: usize,
    epochs: u64,
    look_every: u64,
    ahead: usize,
    norms: Vec<Norm>,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            batch_size: 64,
            limit_train: 4096,
            limit_test: 512,
            // Until the visitor has seen enough.
            epochs: 1_000_000,
            look_every: 20,
            ahead: 2,
            norms: vec![Norm::Batch, Norm::Deconv],
        }
    }
}
