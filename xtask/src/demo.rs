//! `cargo xtask demo`: the main job on a bare machine.

use crate::command::{self, cargo, heading};
use crate::debian::Consent;
use crate::{Result, vulkan};

/// Installs a missing driver and trains with the defaults.
///
/// # Errors
/// What could not be installed, or the failed command.
pub fn run(consent: Consent) -> Result {
    vulkan::ensure_driver(consent)?;
    heading("training");
    command::run(cargo("run --release -- train"))
}
