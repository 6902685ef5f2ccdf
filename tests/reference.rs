//! Every operation on the GPU against its reference on the CPU: forward and all gradients, over random and chosen
//! sizes, under every profile that this adapter can run; and that no shipped kernel is left out. Each operation is a
//! test, and one more where activations lie in f16.

mod common;

use common::{OPERATIONS, Operation, gpu, profiles, reference, sizes};
use libtest_mimic::{Arguments, Trial};
use mexhat::gpu::Kernel;
use mexhat::tape::Precision;
use mexhat::{ops, software};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

/// Random sizes per operation in f32, and in f16.
const CASES: [u32; 2] = [64, 16];

/// Kernels that random and chosen sizes of `operation` have run.
fn exercise(operation: &Operation, precision: Precision) -> Result<BTreeSet<String>, String> {
    let ran = Mutex::new(BTreeSet::new());
    let keep = |kernels| ran.lock().map(|mut ran| ran.extend(kernels)).map_err(|e| e.to_string());
    let (gpu, profiles) = (gpu(), profiles());
    let check = |sizes, profile| pollster::block_on(reference::check_in(gpu, operation, sizes, (profile, precision)));
    for sizes in (operation.corners)() {
        for profile in &profiles {
            keep(check(sizes, *profile)?.kernels)?;
        }
    }
    let cases = CASES[usize::from(precision == Precision::F16)];
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
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
    let trial = |operation: &'static Operation, precision: Precision| {
        let ran = ran.clone();
        let name = format!("{}{}", operation.name, if precision == Precision::F16 { " in f16" } else { "" });
        Trial::test(name, move || {
            let kernels = exercise(operation, precision)?;
            ran.lock().map_err(|error| error.to_string())?.extend(kernels);
            Ok(())
        })
    };
    let halved = OPERATIONS.iter().filter(|operation| reference::is_halved(operation).unwrap_or(true));
    let trials: Vec<Trial> = OPERATIONS
        .iter()
        .map(|operation| trial(operation, Precision::F32))
        .chain(halved.map(|operation| trial(operation, Precision::F16)))
        .collect();
    let count = trials.len() as u64;
    let outcome = libtest_mimic::run(&args, trials);
    // Only all operations together can show all kernels.
    if outcome.has_failed() || args.list || outcome.num_passed < count {
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
