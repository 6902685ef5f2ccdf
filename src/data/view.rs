//! What random changes make of an image.

use super::Augment;
use crate::rng::Rng;

/// The part of an image that the network sees.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View {
    /// Offset of the window from the image, down and right; beyond the image is black.
    pub down: isize,
    pub right: isize,
    pub flip: bool,
    /// Middle of a blank square, down and right, and its side.
    pub blank: Option<([usize; 2], usize)>,
}

impl View {
    /// A view as `augment` allows, of an image of this shape.
    pub fn random(augment: &Augment, [_, height, width]: [usize; 3], mut rng: Rng) -> Self {
        let pad = augment.pad;
        let mut offset = || rng.below(2 * pad + 1) as isize - pad as isize;
        let (down, right) = (offset(), offset());
        let flip = augment.flip && rng.below(2) == 1;
        let blank = (augment.cutout > 0).then(|| ([rng.below(height), rng.below(width)], augment.cutout));
        Self { down, right, flip, blank }
    }

    /// Columns of row `y` that are blank.
    pub fn blank(&self, y: usize, width: usize) -> std::ops::Range<usize> {
        let Some(([down, right], side)) = self.blank else { return 0..0 };
        // Of an even side, the middle is the first pixel of the second half.
        let around = |middle: usize| middle.saturating_sub(side / 2)..middle + side.div_ceil(2);
        if !around(down).contains(&y) {
            return 0..0;
        }
        around(right).start..around(right).end.min(width)
    }
}
