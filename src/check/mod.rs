//! Every operation on an adapter against its twin on the CPU: the one table that the tests, the browser's checks and `mexhat doctor` run.

pub mod bench;
pub mod engines;
pub mod table;
pub mod twins;

pub use bench::{Bench, Sizes};
pub use table::{OPERATIONS, Operation};
