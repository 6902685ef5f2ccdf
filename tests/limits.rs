//! How much fits into one tensor.

mod common;

use common::gpu;
use mexhat::Result;
use mexhat::ops;
use mexhat::tape::{Session, State, Tape, Type};

/// 128 MiB, what every WebGPU adapter binds: a map of 64 channels of 32x32 pixels for each of 512 images.
#[test]
fn a_map_as_large_as_a_binding_may_be_is_computed() -> Result<()> {
    let mut tape = Tape::new();
    let map = ops::constant(&mut tape, Type::vec4(&[512, 64, 32, 32]), 1.5)?;
    let map = ops::relu(&mut tape, map)?;
    let mean = ops::global_avg_pool(&mut tape, map)?;
    tape.output(mean);
    let mut step = Session::new(gpu(), &State::new())?.compile(&[&tape])?.remove(0);
    pollster::block_on(step.submit(&[]))?;
    let (_, outputs) = pollster::block_on(step.take())?.expect("a step was submitted");
    assert_eq!(outputs[0].len(), 512 * 64);
    assert!(outputs[0].iter().all(|v| *v == 1.5), "{:?}", outputs[0].iter().find(|v| **v != 1.5));
    Ok(())
}
