//! Reference vectors against the engine, on the GPU and through the CPU twins.
//!
//! `MEXHAT_GOLDEN=DIR cargo test --release --test golden` runs any folder of the manifest's format; without it the
//! vendored subset runs, and `../shared/golden` too where it is present.

mod case;
mod channel;
mod deconvolution;
mod glue;
mod losses;
mod merge;
mod norm;
mod optim;
mod pooling;
mod trace;

use case::{Case, Manifest, Outcome};
use mexhat::gpu::Gpu;
use std::path::PathBuf;
use std::process::ExitCode;

/// One runner per operation of the manifest: builds a tape and names its outputs.
fn runner(op: &str) -> Option<fn(&mut case::Run) -> mexhat::Result<()>> {
    glue::runner(op)
        .or_else(|| deconvolution::runner(op))
        .or_else(|| norm::runner(op))
        .or_else(|| pooling::runner(op))
        .or_else(|| optim::runner(op))
        .or_else(|| channel::runner(op))
        .or_else(|| trace::runner(op))
        .or_else(|| losses::runner(op))
        .or_else(|| merge::runner(op))
}

fn folders() -> Vec<PathBuf> {
    if let Some(dir) = std::env::var_os("MEXHAT_GOLDEN") {
        return vec![dir.into()];
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("tests/golden")];
    folders.extend(Some(root.join("../shared/golden")).filter(|dir| dir.join("manifest.json").exists()));
    folders
}

fn main() -> ExitCode {
    env_logger::init();
    let filter: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |case: &Case| filter.is_empty() || filter.iter().any(|f| case.name.contains(f) || case.op.contains(f));
    let gpu = match Gpu::open_blocking(std::env::var("MEXHAT_DEVICE").ok().as_deref()) {
        Ok(gpu) => gpu,
        Err(error) => {
            eprintln!("golden: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for folder in folders() {
        let manifest = match Manifest::load(&folder) {
            Ok(manifest) => manifest,
            Err(error) => {
                println!("FAILED {}: {error}", folder.display());
                failed += 1;
                continue;
            }
        };
        println!("{}: {} cases on {}", folder.display(), manifest.cases.len(), gpu.adapter().name);
        for case in manifest.cases.iter().filter(|case| wanted(case)) {
            let outcome = match runner(&case.op) {
                Some(run) => case::check(&gpu, &manifest, case, run),
                None => Outcome::Skipped(format!("no runner for the operation '{}'", case.op)),
            };
            match outcome {
                Outcome::Passed => passed += 1,
                Outcome::Failed(why) => {
                    println!("FAILED {}: {why}", case.name);
                    failed += 1;
                }
                Outcome::Skipped(why) => {
                    println!("SKIPPED {}: {why}", case.name);
                    skipped += 1;
                }
            }
        }
    }
    println!("golden: {passed} passed, {failed} failed, {skipped} skipped");
    if failed + skipped == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
