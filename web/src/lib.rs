//! What the page's worker calls: two networks that train side by side, kernels of pictures, and the chapters of the
//! article.
//!
//! All arithmetic is here and in `mexhat`; JavaScript moves what it is given to the screen. Nothing is compiled for
//! other targets than browsers.

#[cfg(target_arch = "wasm32")]
mod article;
#[cfg(target_arch = "wasm32")]
mod given;
#[cfg(target_arch = "wasm32")]
mod pad;
#[cfg(target_arch = "wasm32")]
mod picture;
#[cfg(target_arch = "wasm32")]
mod race;
#[cfg(target_arch = "wasm32")]
mod seen;
#[cfg(target_arch = "wasm32")]
mod thrown;
#[cfg(target_arch = "wasm32")]
mod viewer;
