//! A test that cannot run here passes, and says so where it is seen: what tests print is kept back, what is written to
//! stderr is not.

use std::io::Write;

/// Says that the test of this thread, or a part of it, is skipped.
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    // Nobody who reads stderr is no failure.
    let _ = writeln!(std::io::stderr(), "skipped: {}: {why}", thread.name().unwrap_or("a test"));
}
