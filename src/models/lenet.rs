//! A good small network for 28x28 and 32x32 images: a 5x5 and a 3x3 convolution and two linear layers.
//!
//! The 5x5 kernels are for looking at; a second 5x5 layer would whiten 400 features where 144 read digits as well, at a
//! quarter of the time.

use super::build::{Build, Conv};
use crate::Result;

pub(super) fn lenet(b: &mut Build<'_>) -> Result<()> {
    let first = b.first(false);
    b.conv("conv1", Conv::relu(16, 5), first)?.max_pool()?;
    b.conv("conv2", Conv::relu(32, 3), None)?.max_pool()?.flatten();
    b.linear("fc1", 128)?.relu();
    let classes = b.options().classes;
    b.linear("fc2", classes)?;
    Ok(())
}
