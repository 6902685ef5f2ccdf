//! A good small network for 28x28 and 32x32 images: two 5x5 convolutions and two linear layers.

use super::build::{Build, Conv};
use crate::Result;

pub(super) fn lenet(b: &mut Build<'_>) -> Result<()> {
    let first = b.first(false);
    b.conv("conv1", Conv::relu(16, 5), first)?.max_pool()?;
    b.conv("conv2", Conv::relu(32, 5), None)?.max_pool()?.flatten();
    b.linear("fc1", 128)?.relu();
    let classes = b.options().classes;
    b.linear("fc2", classes)?;
    Ok(())
}
