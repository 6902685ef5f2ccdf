//! Pictures of what a network sees: kernels, covariances, deconvolved photographs, histograms and curves.
//!
//! Everything here is a pure function from arrays to pixels, SVG or HTML, and runs in a browser too; only the functions
//! named `load_*` and `save_*` touch files, and they are left out on wasm.
//!
//! Two rules hold for every signed picture: zero is the neutral colour, and the scale is symmetric, `-s..=s` with
//! `s = max |v|` unless the function says otherwise. Every sheet prints its scale beside the colours.

pub mod bars;
pub mod canvas;
pub mod colormap;
mod confusion;
pub mod curves;
pub mod histogram;
pub mod image;
pub mod kernels;
pub mod leaves;
pub mod lines;
pub mod matrix;
pub mod report;

mod chart;

pub use self::image::{Photo, RgbPlanes, decode_photo};
#[cfg(not(target_arch = "wasm32"))]
pub use self::image::{load_photo, load_rgb, save_png, save_text};
pub use canvas::{panels, png};
pub use colormap::{diverging, relative};
pub use confusion::confusion_svg;
pub use curves::{EvalPoint, RunCurves, StepPoint, curves_svg};
pub use histogram::{StreamingHistogram, histogram_svg, kurtosis};
pub use kernels::{KernelSheet, central_kernels, weight_sheet};
pub use leaves::dead_leaves;
pub use matrix::MatrixMap;
pub use report::Report;
