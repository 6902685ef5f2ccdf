//! Trained networks for other programs: deconvolution folded away, as ONNX or as plain tensors.
//!
//! After training the whitening of a layer is fixed, so `W' = W D` and `b' = b - W' mean` make it an ordinary layer
//! ([method](crate::method), section 6): `plain` does that, and `onnx` writes the result down for ONNX Runtime and
//! others.

mod onnx;
mod plain;
mod walk;

pub use onnx::{Onnx, onnx};
pub use plain::plain;
