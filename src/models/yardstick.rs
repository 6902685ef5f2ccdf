//! The network on which engines are compared: two 3x3 convolutions of 32 and 64 channels, linear 128, linear 10.

use super::build::{Build, Conv};
use crate::Result;

pub(super) fn yardstick(b: &mut Build<'_>) -> Result<()> {
    b.conv("conv1", Conv::relu(32, 3), None)?.max_pool()?;
    b.conv("conv2", Conv::relu(64, 3), None)?.max_pool()?.flatten();
    b.linear("fc1", 128)?.relu();
    let classes = b.options().classes;
    b.linear("fc2", classes)?;
    Ok(())
}
