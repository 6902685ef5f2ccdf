//! Every operation on the GPU against its twin on the CPU: forward and all gradients, over random and chosen sizes,
//! under every profile that this adapter can run; and that no shipped kernel is left out.

mod common;

use common::{OPERATIONS, Operation, engines, sizes, twins};
use mexhat::gpu::{Family, Kernel};
use mexhat::ops;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Random sizes per operation.
const CASES: u32 = 64;

/// Kernels that random and chosen sizes of `operation` have run.
fn exercise(operation: &Operation) -> Result<BTreeSet<String>, String> {
    let ran = Mutex::new(BTreeSet::new());
    let keep = |kernels| ran.lock().map(|mut ran| ran.extend(kernels)).map_err(|e| e.to_string());
    let gpu = engines::gpu();
    let profiles = engines::profiles();
    let check = |sizes, profile| pollster::block_on(twins::check(gpu, operation, sizes, profile));
    for sizes in (operation.corners)() {
        for profile in &profiles {
            keep(check(sizes, *profile)?)?;
        }
    }
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    // The same sizes every time: a failure that comes and goes helps nobody.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, rng).run(&sizes(), |sizes| {
        // A different profile for each case, all of them over the whole run.
        let profile = profiles[sizes.seed as usize % profiles.len()];
        check(sizes, profile).and_then(keep).map_err(TestCaseError::fail)
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
