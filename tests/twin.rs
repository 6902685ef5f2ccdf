//! Every operation on the GPU against its twin on the CPU: forward and all gradients, over random and chosen sizes,
//! under every profile that this adapter can run; and that no shipped kernel is left out.

mod common;

use common::{Bench, OPERATIONS, Operation, Sizes, engines, sizes};
use mexhat::gpu::{Family, Kernel, Profile};
use mexhat::{Result, ops};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Random sizes per operation.
const CASES: u32 = 64;

/// The operation, its gradients, and all of them as outputs of the tape.
fn build(operation: &Operation, sizes: Sizes) -> Result<Bench> {
    let mut bench = Bench::new(sizes.seed);
    let outputs = (operation.build)(&mut bench, sizes)?;
    let (_, gradients) = bench.backward(&outputs)?;
    let gradients = gradients.into_iter().map(|(_, grad)| grad);
    for var in outputs.into_iter().chain(gradients).chain(std::mem::take(&mut bench.observed)) {
        bench.tape.output(var);
    }
    bench.finish();
    Ok(bench)
}

/// Largest error over the largest value; anything that is not a number counts as infinitely wrong.
fn compare(expected: &[f64], found: &[f64], tolerance: f64) -> Result<(), String> {
    if expected.len() != found.len() {
        return Err(format!("{} values expected, found {}", expected.len(), found.len()));
    }
    let scale = expected.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    let allowed = tolerance * scale + 1e-6;
    for (i, (a, b)) in expected.iter().zip(found).enumerate() {
        if !b.is_finite() || (a - b).abs() > allowed {
            return Err(format!("element {i}: {a} expected, found {b} ({:.1} x tolerance)", (a - b).abs() / allowed));
        }
    }
    Ok(())
}

/// Runs one case on both engines; returns the kernels that ran.
fn check(operation: &Operation, sizes: Sizes, profile: Profile) -> Result<BTreeSet<String>, String> {
    let named = |what: &str| format!("{} at {sizes:?} under {profile:?}: {what}", operation.name);
    let bench = build(operation, sizes).map_err(|e| named(&e.to_string()))?;
    let (found, kernels) =
        engines::on_gpu(&bench.tape, &bench.state, &bench.values, profile).map_err(|e| named(&e.to_string()))?;
    let expected = engines::on_cpu(&bench.tape, &bench.state, &bench.values);
    for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
        let what = format!("output {i} {}", bench.tape.ty(bench.tape.outputs()[i]));
        compare(expected, found, operation.tolerance).map_err(|why| named(&format!("{what}: {why}")))?;
    }
    Ok(kernels)
}

/// Kernels that random and chosen sizes of `operation` have run.
fn exercise(operation: &Operation) -> Result<BTreeSet<String>, String> {
    let ran = Mutex::new(BTreeSet::new());
    let keep = |kernels| ran.lock().map(|mut ran| ran.extend(kernels)).map_err(|e| e.to_string());
    let profiles = engines::profiles();
    for sizes in (operation.corners)() {
        for profile in &profiles {
            keep(check(operation, sizes, *profile)?)?;
        }
    }
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    // The same sizes every time: a failure that comes and goes helps nobody.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, rng).run(&sizes(), |sizes| {
        // A different profile for each case, all of them over the whole run.
        let profile = profiles[sizes.seed as usize % profiles.len()];
        check(operation, sizes, profile).and_then(keep).map_err(TestCaseError::fail)
    });
    outcome.map_err(|e| e.to_string())?;
    ran.into_inner().map_err(|e| e.to_string())
}

#[test]
fn every_operation_agrees_with_its_twin_and_every_variant_runs() {
    let (mut ran, mut failures) = (BTreeSet::new(), Vec::new());
    for operation in OPERATIONS {
        let start = std::time::Instant::now();
        match exercise(operation) {
            Ok(kernels) => ran.extend(kernels),
            Err(why) => failures.push(why),
        }
        println!("{:28} {:6.2} s", operation.name, start.elapsed().as_secs_f32());
    }
    // A subgroup kernel runs only where the subgroup has exactly its lanes.
    let subgroups = engines::profiles().iter().any(|profile| profile.family == Family::Subgroup);
    let reachable = |kernel: &Kernel| subgroups || !kernel.shader.file.contains("subgroup");
    let shipped = ops::SHADERS.iter().flat_map(|family| family.iter());
    let missing: Vec<String> = shipped
        .flat_map(|shader| (0..shader.variants.len()).map(|variant| Kernel::new(shader, variant)))
        .filter(|kernel| reachable(kernel) && !ran.contains(&kernel.key()))
        .map(|kernel| kernel.key())
        .collect();
    // An operation that failed has not shown its kernels.
    if failures.is_empty() && !missing.is_empty() {
        failures.push(format!(
            "no line of tests/common/ops_table.rs runs these kernels; add sizes or a line:\n  {}",
            missing.join("\n  ")
        ));
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
