//! Time per operation, as `--profile` shows it.

use super::{say, say_json};
use crate::Result;
use crate::gpu::Timings;
use serde::Serialize;

#[derive(Serialize)]
struct Row<'a> {
    bench: &'static str,
    kernel: &'a str,
    ms: f64,
    launches: usize,
}

/// Slowest first: a table, or one JSON object a line.
pub(super) fn show_timings(timings: &Timings, json: bool) -> Result<()> {
    let rows = timings.by_kernel();
    let total: f64 = rows.iter().map(|row| row.1).sum();
    if !json {
        say("        ms  share  launches  operation / kernel");
    }
    for (kernel, ms, launches) in &rows {
        if json {
            say_json(&Row { bench: "kernel", kernel, ms: *ms, launches: *launches })?;
        } else {
            let share = if total > 0.0 { 100.0 * ms / total } else { 0.0 };
            say(&format!("{ms:>10.3}  {share:>4.1}%  {launches:>8}  {kernel}"));
        }
    }
    Ok(())
}
