//! What the engine's tests share: random sizes and one device.

// Each test program uses its own part of this.
#![allow(dead_code, unused_imports)]

use mexhat::Result;
pub use mexhat::check::{Bench, OPERATIONS, Operation, Sizes, engines, reference};
use mexhat::gpu::{Gpu, Profile};
use mexhat::tape::{Array, State, Tape, Var};
use proptest::prelude::*;
use std::collections::{BTreeSet, HashMap};

/// Odd sizes up to a few vectors of four; shrinking goes towards 1.
pub fn sizes() -> impl Strategy<Value = Sizes> {
    let maps = (1usize..=5, 1usize..=13, 1usize..=13, 1usize..=11, 1usize..=11);
    let options = (1usize..=4, 1usize..=3, 0usize..=2, 1usize..=2, 1usize..=3, 0usize..=11);
    (maps, options, 0u64..1000).prop_map(|((n, c, o, h, w), (k, stride, padding, dilation, groups, choice), seed)| {
        Sizes { n, c, o, h, w, k, stride, padding, dilation, groups, choice, seed }
    })
}

/// One device for all tests of a program, so that each pipeline is compiled once.
pub fn gpu() -> &'static Gpu {
    static GPU: std::sync::OnceLock<Gpu> = std::sync::OnceLock::new();
    GPU.get_or_init(own_gpu)
}

/// A device of one's own, for a test that reads its counters.
pub fn own_gpu() -> Gpu {
    Gpu::open_by(|name| std::env::var(name).ok()).unwrap_or_else(|e| panic!("{e}"))
}

/// The ways in which kernels may be chosen on this adapter: its own, and those of lesser and other adapters.
pub fn profiles() -> Vec<Profile> {
    engines::profiles_of(gpu())
}

/// [`engines::run`] on the one device.
pub fn on_gpu(
    tape: &Tape,
    state: &State,
    values: &HashMap<Var, Array>,
    profile: Profile,
) -> Result<(Vec<Vec<f64>>, BTreeSet<String>)> {
    pollster::block_on(engines::run(gpu(), tape, state, values, profile))
}
