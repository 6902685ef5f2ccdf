//! Reference vectors against the engine, on the GPU and through the CPU references; each case is a test of its own.
//!
//! `MEXHAT_GOLDEN=DIR cargo test --release --test golden` runs any folder of the manifest's format; without it the
//! vendored cases run, and those of `../shared/golden` where it is present. Cases are called `OPERATION::CASE`, to
//! filter by.

mod case;
mod channel;
mod deconvolution;
mod glue;
mod losses;
mod merge;
mod model;

mod norm;
mod optim;
mod pooling;
mod runners;
mod trace;

use case::Manifest;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use mexhat::gpu::Gpu;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

/// One device for all cases, so that each pipeline is compiled once; none while cases are only listed.
fn gpu() -> Result<&'static Gpu, Failed> {
    static GPU: OnceLock<Result<Gpu, String>> = OnceLock::new();
    let open = || Gpu::open_by(|name| std::env::var(name).ok()).map_err(|error| error.to_string());
    GPU.get_or_init(open).as_ref().map_err(Failed::from)
}

/// The folders to run, the asked one alone if there is one.
fn folders() -> Vec<PathBuf> {
    if let Some(dir) = std::env::var_os("MEXHAT_GOLDEN") {
        return vec![dir.into()];
    }
    ["tests/golden", "../shared/golden"].map(PathBuf::from).into()
}

fn run_case(manifest: &Manifest, index: usize) -> Result<Completion, Failed> {
    let case = &manifest.cases[index];
    if !manifest.has(&case.file) {
        return Ok(Completion::ignored_with(format!("{} is absent", case.file)));
    }
    let runner = runners::runner(&case.op).ok_or_else(|| format!("no runner for the operation '{}'", case.op))?;
    pollster::block_on(case::check(gpu()?, manifest, case, runner))?;
    Ok(Completion::Completed)
}

/// The cases of a folder. One that cannot be read is a failing test, except that the developers' folder may be absent.
fn trials(folder: &Path) -> Vec<Trial> {
    let kind = folder.display().to_string();
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let optional = folder.starts_with("..") && std::env::var_os("MEXHAT_GOLDEN").is_none();
    if optional && !place.join("manifest.json").exists() {
        let absent = || Ok(Completion::ignored_with("absent"));
        return vec![Trial::ignorable_test("manifest", absent).with_kind(kind)];
    }
    let read = |file: &str| std::fs::read(place.join(file)).map_err(|error| format!("{file}: {error}"));
    let manifest = match Manifest::load(read) {
        Ok(manifest) => Arc::new(manifest),
        Err(error) => return vec![Trial::test("manifest", || Err(Failed::from(error))).with_kind(kind)],
    };
    let trial = |index: usize| {
        let (name, manifest) =
            (format!("{}::{}", manifest.cases[index].op, manifest.cases[index].name), manifest.clone());
        Trial::ignorable_test(name, move || run_case(&manifest, index)).with_kind(kind.clone())
    };
    (0..manifest.cases.len()).map(trial).collect()
}

fn main() -> ExitCode {
    env_logger::init();
    let args = Arguments::from_args();
    let trials = folders().iter().flat_map(|folder| trials(folder)).collect();
    libtest_mimic::run(&args, trials).exit_code()
}
