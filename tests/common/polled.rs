//! Results that are asked for again and again instead of waited for.

use mexhat::{Error, Result};
use std::time::{Duration, Instant};

/// What `take` finds first, within a minute.
pub fn polled<T>(mut take: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        if let Some(found) = take()? {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    Err(Error::Run("a step did not finish within a minute".into()))
}
