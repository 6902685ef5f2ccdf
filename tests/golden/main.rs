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
mod runners;
mod trace;

use case::{Case, Manifest};
use mexhat::gpu::Gpu;
use std::path::PathBuf;
use std::process::ExitCode;

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
    let gpu = match Gpu::open(std::env::var("MEXHAT_DEVICE").ok().as_deref()) {
        Ok(gpu) => gpu,
        Err(error) => {
            eprintln!("golden: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for folder in folders() {
        let read = |file: &str| std::fs::read(folder.join(file)).map_err(|e| format!("{file}: {e}"));
        let manifest = match Manifest::load(read) {
            Ok(manifest) => manifest,
            Err(error) => {
                println!("FAILED {}: {error}", folder.display());
                failed += 1;
                continue;
            }
        };
        println!("{}: {} cases on {}", folder.display(), manifest.cases.len(), gpu.adapter().name);
        for case in manifest.cases.iter().filter(|case| wanted(case)) {
            let Some(runner) = runners::runner(&case.op) else {
                println!("SKIPPED {}: no runner for the operation '{}'", case.name, case.op);
                skipped += 1;
                continue;
            };
            match pollster::block_on(case::check(&gpu, &manifest, case, runner)) {
                Ok(()) => passed += 1,
                Err(why) => {
                    println!("FAILED {}: {why}", case.name);
                    failed += 1;
                }
            }
        }
    }
    println!("golden: {passed} passed, {failed} failed, {skipped} skipped");
    if failed + skipped == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
