//! VGG for 32x32 images (spec 12): 3x3 convolutions, maxima between stages, one linear layer.

use super::build::{Build, Conv};
use crate::Result;

/// Channels of each convolution; 0 is a 2x2 maximum.
pub(super) const VGG11: &[usize] = &[64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0];
pub(super) const VGG13: &[usize] = &[64, 64, 0, 128, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0];
pub(super) const VGG16: &[usize] = &[64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0];

pub(super) fn vgg(b: &mut Build<'_>, layers: &[usize]) -> Result<()> {
    let first = b.first(true);
    let mut index = 0;
    for outputs in layers {
        if *outputs == 0 {
            b.max_pool()?;
        } else {
            index += 1;
            b.conv(&format!("conv{index}"), Conv::relu(*outputs, 3), first)?;
        }
    }
    let classes = b.options().classes;
    b.flatten().linear("fc", classes)?;
    Ok(())
}
