//! One operation on the GPU against its reference on the CPU, forward and all gradients.

use super::{Bench, Operation, Sizes, engines};
use crate::Result;
use crate::gpu::{Gpu, Profile};
use crate::tape::{Precision, Tape};
use std::collections::BTreeSet;

/// The operation, its gradients, and all of them as outputs of the tape.
fn build(operation: &Operation, sizes: Sizes, profile: Profile, precision: Precision) -> Result<Bench> {
    let mut bench = Bench::new(sizes.seed);
    bench.tape = Tape::for_adapter(profile).with_precision(precision);
    let outputs = (operation.build)(&mut bench, sizes)?;
    let (_, gradients) = bench.backward(&outputs)?;
    let gradients = gradients.into_iter().map(|(_, grad)| grad);
    for var in outputs.into_iter().chain(gradients).chain(std::mem::take(&mut bench.observed)) {
        bench.tape.output(var);
    }
    bench.finish();
    Ok(bench)
}

/// What an operation did that agrees with its reference.
#[derive(Clone, Debug, Default)]
pub struct Agreement {
    /// Kernels that ran.
    pub kernels: BTreeSet<String>,
    /// Largest error as a share of what is allowed, 0 to 1.
    pub worst: f64,
}

/// Largest error over the largest value, as a share of `tolerance`; anything that is not a number counts as infinitely
/// wrong.
fn compare(expected: &[f64], found: &[f64], tolerance: f64) -> Result<f64, String> {
    if expected.len() != found.len() {
        return Err(format!("{} values expected, found {}", expected.len(), found.len()));
    }
    let scale = expected.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    let allowed = tolerance * scale + 1e-6;
    let mut worst: f64 = 0.0;
    for (i, (a, b)) in expected.iter().zip(found).enumerate() {
        worst = worst.max((a - b).abs() / allowed);
        if !b.is_finite() || (a - b).abs() > allowed {
            return Err(format!("element {i}: {a} expected, found {b} ({:.1} x tolerance)", (a - b).abs() / allowed));
        }
    }
    Ok(worst)
}

/// Whether `operation` touches anything that lies in f16 where that is the precision.
pub fn is_halved(operation: &Operation) -> Result<bool> {
    let sizes = Sizes { h: 5, w: 6, ..Sizes::SMALL };
    Ok(build(operation, sizes, Profile::GPU, Precision::F16)?.tape.halves().contains(&true))
}

/// What is allowed beside an operation's own tolerance where maps lie in f16. Both engines round to it at the same
/// places, to one of two neighbours 2^-10 of the value apart where their own rounding lets them; and what an operation
/// stores twice, its gradient reads.
const HALF_TOLERANCE: f64 = 4.0 / 1024.0;

/// Runs one case on both engines.
///
/// # Errors
/// The engines disagree, or one refuses the case.
pub async fn check(gpu: &Gpu, operation: &Operation, sizes: Sizes, profile: Profile) -> Result<Agreement, String> {
    check_in(gpu, operation, sizes, (profile, Precision::F32)).await
}

/// As [`check`], with activations in this precision.
///
/// # Errors
/// As [`check`].
pub async fn check_in(
    gpu: &Gpu,
    operation: &Operation,
    sizes: Sizes,
    (profile, precision): (Profile, Precision),
) -> Result<Agreement, String> {
    let named = |what: &str| format!("{} at {sizes} with kernels for '{}': {what}", operation.name, profile.name);
    let bench = build(operation, sizes, profile, precision).map_err(|e| named(&e.to_string()))?;
    let (found, kernels) = engines::run(gpu, &bench.tape, &bench.state, &bench.values, profile)
        .await
        .map_err(|e| named(&e.to_string()))?;
    let tolerance = operation.tolerance + if precision == Precision::F16 { HALF_TOLERANCE } else { 0.0 };
    let mut worst: f64 = 0.0;
    let expected = engines::on_cpu(&bench.tape, &bench.state, &bench.values);
    for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
        let what = format!("output {i} {}", bench.tape.ty(bench.tape.outputs()[i]));
        let share = compare(expected, found, tolerance).map_err(|why| named(&format!("{what}: {why}")))?;
        worst = worst.max(share);
    }
    Ok(Agreement { kernels, worst })
}
