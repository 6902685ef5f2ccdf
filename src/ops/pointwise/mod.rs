//! Element by element, and what only moves elements.

pub(super) mod add;
pub(super) mod average;
pub(super) mod concat;
pub(super) mod dropout;
pub(super) mod fill;
pub(super) mod flatten;
pub(super) mod image_batch;
pub(super) mod mul;
pub(super) mod mul_channels;
pub(super) mod relayout;
pub(super) mod slice;
pub(super) mod unary;
