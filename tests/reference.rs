//! Every operation on the GPU against its reference on the CPU: forward and all gradients, over random and chosen sizes,
//! under every profile that this adapter can run; and that no shipped kernel is left out. Each operation is a test.

mod common;

use common::{OPERATIONS, Operation, gpu, profiles, reference, sizes};
use libtest_mimic::{Arguments, Trial};
use mexhat::gpu::Kernel;
use mexhat::{ops, software};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

/// Random sizes per operation.
const CASES: u32 = 64;

/// Kernels that random and chosen sizes of `operation` have run.
fn exercise(operation: &Operation) -> Result<BTreeSet<String>, String> {
    let ran = Mutex::new(BTreeSet::new());
    let keep = |kernels| ran.lock().map(|mut ran| ran.extend(kernels)).map_err(|e| e.to_string());
    let (gpu, profiles) = (gpu(), profiles());
    let check = |sizes, profile| pollster::block_on(reference::check(gpu, operation, sizes, profile));
    for sizes in (operation.corners)() {
        for profile in &profiles {
            keep(check(sizes, *profile)?.kernels)?;
        }
    }
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    // The same sizes every time: a failure that comes and goes helps nobody.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, rng).run(&sizes(), |sizes| {
        // A different profile for each case, all of them over the whole run.
        let profile = profiles[sizes.seed as usize % profiles.len()];
        check(sizes, profile).and_then(|agreed| keep(agreed.kernels)).map_err(TestCaseError::fail)
    });
    outcome.map_err(|e| e.to_string())?;
    ran.into_inner().map_err(|e| e.to_string())
}

/// Shipped kernels that this adapter can run and that are not in `ran`.
fn missing(ran: &BTreeSet<String>) -> Vec<String> {
    // A subgroup kernel runs only where the subgroup has exactly its lanes.
    let subgroups = profiles().iter().any(|profile| profile.name.contains("subgroup"));
    let reachable = |kernel: &Kernel| subgroups || !kernel.shader.file.contains("subgroup");
    let shipped = ops::SHADERS.iter().copied().flatten().chain(software::SHADERS);
    shipped
        .flat_map(|shader| (0..shader.variants.len()).map(|variant| Kernel::new(shader, variant)))
        .filter(|kernel| reachable(kernel) && !ran.contains(&kernel.key()))
        .map(|kernel| kernel.key())
        .collect()
}

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let ran = Arc::new(Mutex::new(BTreeSet::new()));
    let trial = |operation: &'static Operation| {
        let ran = ran.clone();
        Trial::test(operation.name, move || {
            let kernels = exercise(operation)?;
            ran.lock().map_err(|error| error.to_string())?.extend(kernels);
            Ok(())
        })
    };
    let outcome = libtest_mimic::run(&args, OPERATIONS.iter().map(trial).collect());
    // Only all operations together can show all kernels.
    if outcome.has_failed() || args.list || outcome.num_passed < OPERATIONS.len() as u64 {
        return outcome.exit_code();
    }
    let missing = ran.lock().map(|ran| missing(&ran)).unwrap_or_default();
    if missing.is_empty() {
        println!("every shipped kernel that this adapter can run has run");
        return ExitCode::SUCCESS;
    }
    println!("no line of src/check/table runs these kernels; add sizes or a line:\n  {}", missing.join("\n  "));
    ExitCode::FAILURE
}
