//! Pooling and resizing of maps.

pub(super) mod average_pool;
pub(super) mod interpolate;
pub(super) mod max_pool;
pub(super) mod window;
