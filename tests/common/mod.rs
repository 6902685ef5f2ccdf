//! What the engine's tests share: the table of operations, random sizes, and the two ways to run a tape.

// Each test program uses its own part of this.
#![allow(dead_code, unused_imports)]

pub mod bench;
pub mod engines;
pub mod ops_table;
pub mod reference;

#[cfg(not(target_arch = "wasm32"))]
pub use bench::sizes;
pub use bench::{Bench, Sizes};
pub use ops_table::{OPERATIONS, Operation};
