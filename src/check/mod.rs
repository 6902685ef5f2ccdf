//! Every operation on an adapter against its reference on the CPU: the one table that the tests, the browser's checks
//! and `mexhat doctor` run.

pub mod bench;
pub mod engines;
pub mod reference;
pub mod table;

pub use bench::{Bench, Sizes};
pub use table::{OPERATIONS, Operation};
