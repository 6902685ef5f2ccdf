//! mexhat trains small convolutional networks with network deconvolution on any GPU.
//!
//! Tour, from the bottom up: [`gpu`] speaks wgpu; [`tape`] records, differentiates, plans and replays; [`ops`] are the
//! operations.

pub mod error;
pub mod gpu;
pub mod ops;
pub mod rng;
pub mod tape;

pub use error::{Error, Result};
