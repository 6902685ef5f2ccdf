//! What a launch, a submission and a read-back cost before any work is done.

use super::peak::Peak;
use super::runner::{Repeats, Runner, median};
use crate::Result;
use crate::gpu::{Gpu, Program};
use crate::ops;
use crate::tape::{Session, State, Tape, Type, lower};
use serde::Serialize;
use std::time::Instant;

/// Launches in the long submission.
const MANY: usize = 1000;

/// What was measured; medians.
#[derive(Clone, Debug, Serialize)]
pub struct DispatchBench {
    /// `dispatch`.
    pub bench: &'static str,
    /// Microseconds that one more tiny launch adds to a submission.
    pub dispatch_us: f64,
    /// Microseconds of a submission of one tiny launch, until it is done.
    pub submission_us: f64,
    /// Microseconds of the same with 16 bytes read back.
    pub read_back_us: f64,
    /// Copying through a kernel, bytes read plus bytes written.
    pub copy_gb_per_s: f64,
    /// Multiply-adds without memory.
    pub peak_gflops: f64,
    /// Adapter.
    pub device: String,
}

/// One launch that fills a vector.
fn tape() -> Result<Tape> {
    let mut tape = Tape::new();
    let one = ops::constant(&mut tape, Type::plain(&[4]), 1.0)?;
    tape.output(one);
    Ok(tape)
}

fn launches(gpu: &Gpu, count: usize) -> Result<Runner> {
    let one = lower(&tape()?, gpu.profile())?;
    let dispatches = one.dispatches.iter().cycle().take(count).cloned().collect();
    Runner::of_program(gpu, &Program { dispatches, outputs: Vec::new(), ..one })
}

/// Measures launches, submissions, read-back and copies.
///
/// # Errors
/// The device fails.
pub fn bench_dispatch(gpu: &Gpu, repeats: Repeats) -> Result<DispatchBench> {
    let (mut one, mut many, mut peak) = (launches(gpu, 1)?, launches(gpu, MANY)?, Peak::new(gpu)?);
    let tape = tape()?;
    let mut back = Session::new(gpu, &State::new())?.compile(&[&tape])?.remove(0);
    let mut times = [const { Vec::new() }; 5];
    for run in 0..repeats.warm_up.max(1) + repeats.counted.max(1) {
        let start = Instant::now();
        pollster::block_on(async {
            back.submit(&[]).await?;
            back.take().await
        })?;
        let read_back = start.elapsed().as_secs_f64() * 1e3;
        let found = [one.once()?, many.once()?, read_back, peak.copy_gb_per_s()?, peak.gflops()?];
        if run >= repeats.warm_up.max(1) {
            times.iter_mut().zip(found).for_each(|(times, time)| times.push(time));
        }
    }
    let [one, many, read_back, copy, fma] = times.map(|times| median(&times));
    Ok(DispatchBench {
        bench: "dispatch",
        dispatch_us: (many - one) / (MANY - 1) as f64 * 1e3,
        submission_us: one * 1e3,
        read_back_us: read_back * 1e3,
        copy_gb_per_s: copy,
        peak_gflops: fma,
        device: gpu.adapter().name.clone(),
    })
}
