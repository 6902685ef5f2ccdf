//! mexhat trains small convolutional networks with network deconvolution on any GPU, and shows what it does.
//!
//! Tour, from the bottom up; each module uses only those before it:
//! [`gpu`] speaks wgpu; [`tape`] records, differentiates, plans and replays; [`ops`] are the operations; [`nn`] are layers with
//! parameters; [`models`] are networks; [`optim`] updates them; [`train`] is the loop; [`study`] looks at photographs, networks
//! and the paper's experiments; `bench` measures kernels; `cli` is the program. Beside them: [`data`] loads and generates images, [`viz`] draws pictures,
//! [`rng`] is the one source of randomness, [`error`] the one error type. [`method`] describes the algorithm.

#[cfg(not(target_arch = "wasm32"))]
pub mod bench;
#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
pub mod cli;
pub mod data;
pub mod error;
pub mod gpu;
pub mod method;
pub mod models;
mod named;
pub mod nn;
pub mod ops;
pub mod optim;
mod portable;
pub mod rng;
pub mod study;
pub mod tape;
pub mod train;
pub mod viz;

pub use error::{Error, Result};
pub use gpu::Gpu;
