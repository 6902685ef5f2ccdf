//! What is worth looking at: kernels of photographs, what a trained network's layers do, and the paper's small
//! experiments.
//!
//! * [`PhotoSet`] names photographs, from files or generated; [`patch_statistics`] is the mean and covariance of all
//!   their patches, [`Deconvolver`] a picture's convolution with the kernels, both on the GPU in tiles, so that size is
//!   no limit.
//! * [`KernelStudy`] is `mexhat kernels`: the kernels with their numbers; `KernelStudy::write` makes its files in a
//!   `Folder`.
//! * `inspect` shows what a trained network's deconvolutions do to its activations.
//! * [`reproduce`] runs one of the [`EXPERIMENTS`] of the paper.
//! * [`iterates`], [`whiten_rows`] and [`descend`] are the method step by step, to be explained.
//! * [`symmetric_eigenvalues`] and [`whiteness`] measure covariances.

mod deconvolver;
mod descent;
mod eigen;
mod experiments;
#[cfg(not(target_arch = "wasm32"))]
mod gallery;
#[cfg(not(target_arch = "wasm32"))]
mod inspect;
mod iterates;
mod kernels;
mod patches;
mod photos;
mod tiles;

pub use deconvolver::Deconvolver;
pub use descent::{Descent, WhitenedRows, descend, whiten_rows};
pub use eigen::{Spectrum, symmetric_eigenvalues, whitened, whiteness};
pub use experiments::{Check, EXPERIMENTS, Experiment, ExperimentOptions, Findings, Runs, Series, reproduce};
#[cfg(not(target_arch = "wasm32"))]
pub use gallery::{Folder, ImageReport};
#[cfg(not(target_arch = "wasm32"))]
pub use inspect::{InspectOptions, Inspection, LayerReport, inspect};
pub use iterates::{iterates, residuals, start_scale};
pub use kernels::{KernelOptions, KernelStudy, inverse_root};
pub use patches::{PatchStatistics, patch_statistics};
pub use photos::{PhotoSet, Source};
