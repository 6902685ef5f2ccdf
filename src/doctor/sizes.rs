//! Buffers beyond what every adapter binds, launches beyond the 65,535 workgroups of one dimension, and loops beyond so
//! many rounds.

use super::{Examination, Finding, Verdict};
use crate::ops;
use crate::rng::Rng;
use crate::tape::{DType, Session, State, Tape, Type, Var};
use crate::{Error, Result};

const PART: &str = "sizes";

/// Checks.
pub(super) const COUNT: usize = BYTES.len() + 2;

/// Names and MiB: 128 are what every adapter binds. The last is as large as can be: many browsers offer a few bytes
/// less than 2 GiB.
const BYTES: [(&str, Option<u64>); 3] =
    [("a buffer of 128 MiB", Some(128)), ("a buffer of 512 MiB", Some(512)), ("the largest buffer", None)];

/// The most that is asked for.
const MOST: u64 = 2 << 30;

/// Channels and sides of the maps.
const MAP: [usize; 3] = [64, 32, 32];

fn no_result() -> Error {
    Error::Run("a step gave no result".into())
}

/// The one output of one step of `tape`.
async fn run(examination: &Examination<'_>, tape: &Tape, inputs: &[&[u8]]) -> Result<Vec<f32>> {
    let mut step = Session::new(examination.gpu, &State::new())?.compile(&[tape])?.remove(0);
    step.submit(inputs).await?;
    step.take().await?.and_then(|(_, outputs)| outputs.into_iter().next()).ok_or_else(no_result)
}

/// Multiplies each channel of maps of `bytes` in all by a value of its own, and averages it again: the values that come
/// out tell whether every place was reached.
async fn check(examination: &Examination<'_>, bytes: u64) -> Result<std::result::Result<String, String>> {
    let [c, h, w] = MAP;
    let images = (bytes / (4 * c * h * w) as u64) as usize;
    let bytes = (images * 4 * c * h * w) as u64;
    let mut rng = Rng::new(3);
    let scales: Vec<f32> = (0..images * c).map(|_| rng.range(0.5, 2.0)).collect();
    let mut tape = Tape::new();
    let given = tape.input("scale", &[images, c], DType::F32);
    let scale = ops::to_vec4(&mut tape, given)?;
    let map = ops::constant(&mut tape, Type::vec4(&[images, c, h, w]), 1.5)?;
    let map = ops::mul_channels(&mut tape, map, scale)?;
    let mean = ops::global_avg_pool(&mut tape, map)?;
    tape.output(mean);
    let found = run(examination, &tape, &[bytemuck::cast_slice(&scales)]).await?;
    let wrong = scales.iter().zip(&found).filter(|(scale, found)| (1.5 * **scale - **found).abs() > 1e-5).count();
    if wrong > 0 || found.len() != scales.len() {
        return Ok(Err(format!("{wrong} of {} channels are wrong", scales.len())));
    }
    Ok(Ok(format!("{} MiB, {} channels, {} workgroups in one launch", bytes >> 20, scales.len(), bytes / (16 * 64))))
}

/// Terms of a long sum, which single precision counts exactly.
const TERMS: usize = 1 << 21;

/// Side of a window whose pixels one invocation adds.
const WINDOW: usize = 300;

/// What `record` makes of a map of ones.
async fn of_ones(
    examination: &Examination<'_>,
    shape: &[usize],
    record: impl Fn(&mut Tape, Var) -> Result<Var>,
) -> Result<f32> {
    let mut tape = Tape::new();
    let ones = ops::constant(&mut tape, Type::vec4(shape), 1.0)?;
    let y = record(&mut tape, ones)?;
    tape.output(y);
    run(examination, &tape, &[]).await?.first().copied().ok_or_else(no_result)
}

/// A sum of [`TERMS`] products and the mean of a window: drivers that end loops early give less.
async fn examine_loops(examination: &mut Examination<'_>) -> bool {
    let compare = |found: f32, expected: f32| match (found - expected).abs() <= 1e-4 * expected {
        true => Ok(format!("{found}")),
        false => Err(format!("{found} instead of {expected}: loops end early")),
    };
    let name = format!("a sum of {TERMS} products");
    let found = of_ones(examination, &[1, 4, TERMS], |tape, x| ops::matmul_nt(tape, x, x)).await;
    if !examination.alive(&name) {
        return false;
    }
    let found = found.map_err(|error| error.to_string()).and_then(|found| compare(found, TERMS as f32));
    examination.add(Finding::of(PART, name, found));

    let name = format!("a loop over a window of {WINDOW}x{WINDOW}");
    let found = {
        // Two windows, as one over the whole map is shared among many invocations.
        let map = [1, 4, WINDOW, WINDOW + 1];
        of_ones(examination, &map, |tape, x| ops::avg_pool2d(tape, x, WINDOW, 1, 0)).await
    };
    if !examination.alive(&name) {
        return false;
    }
    examination.add(match found {
        // Refused where the driver is known to end loops.
        Err(error @ Error::Shape { .. }) => Finding::new(PART, name, Verdict::Untried, error.to_string()),
        Err(error) => Finding::new(PART, name, Verdict::Wrong, error.to_string()),
        Ok(found) => Finding::of(PART, name, compare(found, 1.0)),
    });
    true
}

/// Whether the device has stayed.
pub(super) async fn examine(examination: &mut Examination<'_>) -> bool {
    examine_loops(examination).await && examine_buffers(examination).await
}

async fn examine_buffers(examination: &mut Examination<'_>) -> bool {
    let most = examination.gpu.largest_buffer();
    let mut tried = 0;
    for (name, wanted) in BYTES {
        let bytes = wanted.map_or(most.min(MOST), |mib| mib << 20);
        if bytes > most || bytes <= tried {
            let detail = format!("the largest buffer of this adapter has {} MiB", most >> 20);
            examination.add(Finding::new(PART, name, Verdict::Untried, detail));
            continue;
        }
        tried = bytes;
        let found = check(examination, bytes).await;
        if !examination.alive(name) {
            return false;
        }
        examination.add(match found {
            Ok(found) => Finding::of(PART, name, found),
            // Too little memory is no fault.
            Err(error @ (Error::Memory { .. } | Error::Limit { .. })) => {
                Finding::new(PART, name, Verdict::Untried, error.to_string())
            }
            Err(error) => Finding::new(PART, name, Verdict::Wrong, error.to_string()),
        });
    }
    true
}
