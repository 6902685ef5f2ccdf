//! mexhat trains small convolutional networks with network deconvolution on any GPU, and shows what it does.
//!
//! ```
//! use mexhat::nn::{Conv, Network};
//! use mexhat::train::{Event, Fit, Learner, Sgd};
//! use mexhat::{Gpu, data};
//!
//! fn main() -> mexhat::Result<()> {
//!     let few = data::LoadOptions { limit_train: Some(1024), limit_test: Some(256), ..Default::default() };
//!     let digits = data::load("glyphs", &few)?; // drawn here; or Examples::new(&images, [1, 28, 28], &labels)
//!     let gpu = Gpu::open(None)?;
//!     let mut net = Network::new([1, 28, 28]).seed(0); // deconvolution, or .norm(Norm::Batch)
//!     net.conv(Conv::new(16, 5)).relu().max_pool(2).conv(Conv::new(32, 5)).relu().max_pool(2).flatten().linear(10);
//!
//!     let mut learner = Learner::new(&gpu, net, Sgd::new(0.1).momentum(0.9).weight_decay(1e-3))?;
//!     for event in learner.fit(&digits.train, Fit { epochs: 1, batch_size: 64, ..Fit::default() })? {
//!         if let Event::Step { step, loss, .. } = event? {
//!             println!("step {step}: loss {loss:.4}");
//!         }
//!     }
//!     let shares = learner.predict(&digits.test)?; // (256, 10)
//!     let answers = shares.argmax().into_iter().zip(&digits.test.labels);
//!     println!("{} of 256 are right", answers.filter(|(found, label)| *found == **label as usize).count());
//!     // `mexhat eval`, the page and Learner::load open it.
//!     learner.save(std::env::temp_dir().join("digits.safetensors"))
//! }
//! ```
//!
//! - [`Gpu`] is an adapter that is open.
//! - [`nn`] writes networks down: [`nn::Network`], its layers, and modules of one's own from [`nn::functional`].
//! - [`models`] are networks that are written down already.
//! - [`train`] makes them learn: [`train::Learner`] with data of one's own, [`train::Trainer`] as the program does it.
//! - [`data`] reads and draws images.
//! - [`processes`] trains on several GPUs and machines.
//! - [`method`] describes the algorithm; [`Error`] is everything that can go wrong.
//!
//! What lies below is open to tools and hidden here. From the bottom up, each module uses only those before it: `gpu`
//! speaks wgpu; `tape` records, differentiates, plans and replays; `ops` are the operations; `software` is what
//! adapters that compute on the CPU are given instead; then come `nn`, `models`, `optim` and `train`. `study` looks at
//! photographs, networks and the paper's experiments; `bench` measures kernels; `cli` is the program; `viz` draws
//! pictures; `rng` is the one source of randomness.

// What only references need stays unused where there are none: in a page.
#![cfg_attr(not(reference), allow(dead_code, unused_imports))]

// Links within hidden modules lead to hidden items, which rustdoc does not resolve.
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
#[allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links)]
pub mod bench;
#[cfg(reference)]
#[doc(hidden)]
#[allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links)]
pub mod check;
#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
#[doc(hidden)]
#[allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links, rustdoc::invalid_html_tags)]
pub mod cli;
pub mod data;
#[cfg(reference)]
#[doc(hidden)]
pub mod doctor;
#[doc(hidden)]
pub mod error;
#[cfg(not(target_arch = "wasm32"))]
#[doc(hidden)]
pub mod export;
#[doc(hidden)]
#[allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links)]
pub mod gpu;
#[doc(hidden)]
pub mod json;
pub mod method;
pub mod models;
mod named;
pub mod nn;
mod open;
#[doc(hidden)]
#[allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links)]
pub mod ops;
#[doc(hidden)]
#[allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links)]
pub mod optim;
mod order;
mod plural;
mod portable;
pub mod processes;
#[cfg(not(target_arch = "wasm32"))]
mod read;
#[doc(hidden)]
#[allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links)]
pub mod rng;
#[doc(hidden)]
#[allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links)]
pub mod software;
#[doc(hidden)]
#[allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links)]
pub mod study;
#[doc(hidden)]
#[allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links)]
pub mod tape;
pub mod train;
#[doc(hidden)]
#[allow(rustdoc::broken_intra_doc_links, rustdoc::private_intra_doc_links)]
pub mod viz;

#[doc(inline)]
pub use error::{Error, Result};
#[doc(inline)]
pub use gpu::Gpu;
#[doc(hidden)]
pub use open::OpenOptions;
