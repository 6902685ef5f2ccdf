//! `cargo xtask test`: all that must hold before a change is taken, in the order of cost.

use crate::command::{cargo, command, has_mpi, heading, run as run_command, succeeds, workspace};
use crate::debian::{self, Consent};
use crate::{Result, package, python, summary, vulkan, wasm};
use std::time::Instant;

/// Installs what the tests need and runs them all; stops at the first failure.
///
/// # Errors
/// What could not be installed, or the command that failed.
pub fn run(consent: Consent) -> Result {
    let start = Instant::now();
    vulkan::ensure_driver(consent)?;
    ensure_spirv_val(consent)?;
    heading("toolchain");
    for component in ["rustfmt", "clippy"] {
        ensure_component(component)?;
    }
    let toolchain = wasm::ensure_toolchain(consent)?;
    println!("everything is there");
    ensure_mpi(consent)?;
    let python = python::ensure(consent)?;

    heading("format");
    run_command(cargo("fmt --all --check"))?;
    heading("lints");
    run_command(workspace("clippy", "--all-targets -- -D warnings"))?;
    heading("documentation");
    let mut doc = workspace("doc", "--no-deps");
    doc.env("RUSTDOCFLAGS", "-Dwarnings");
    run_command(doc)?;
    heading("package");
    package::check()?;
    heading("library for browsers");
    wasm::build(&toolchain)?;
    heading("tests");
    let mut tests = workspace("test", "");
    tests.envs(python.map(|python| ("MEXHAT_PYTHON", python)));
    summary::run(tests)?;
    heading("kernels of GPUs");
    // Without a GPU the tests above try mostly what software adapters are given; what real GPUs run must not go untried
    // for it. Whole networks launch nothing beyond that, and take minutes here.
    let mut kernels = workspace("test", "--test reference --test golden -- --skip model_step");
    kernels.env("MEXHAT_FAMILY", "shared").env("MEXHAT_LOADS", "buffers");
    summary::run(kernels)?;
    println!("\nall passed in {:.0} minutes", start.elapsed().as_secs_f64() / 60.0);
    Ok(())
}

/// What two processes that train as one need. Elsewhere than on Debian their test is left out where it is missing.
fn ensure_mpi(consent: Consent) -> Result {
    heading("MPI");
    if has_mpi() {
        println!("installed");
        return Ok(());
    }
    if debian::is_here() {
        return debian::install("Training over MPI", &["openmpi-bin", "libopenmpi-dev", "libclang-dev"], consent);
    }
    println!("not found: training over MPI goes untested; an MPI with `mpicc` and libclang are needed");
    Ok(())
}

/// The validator of the shaders' SPIR-V. Without it one test passes with a notice, except in CI.
fn ensure_spirv_val(consent: Consent) -> Result {
    heading("spirv-val");
    if succeeds(command("spirv-val", &["--version"])) {
        println!("installed");
        return Ok(());
    }
    if debian::is_here() {
        return debian::install("The check of the shaders' SPIR-V", &["spirv-tools"], consent);
    }
    println!("not found: the SPIR-V goes unchecked; the packages `spirv-tools` or the Vulkan SDK have it");
    Ok(())
}

fn ensure_component(component: &str) -> Result {
    let program = if component == "rustfmt" { "fmt" } else { component };
    let here = || succeeds(cargo(&format!("{program} --version")));
    if here() || succeeds(command("rustup", &["component", "add", component])) && here() {
        return Ok(());
    }
    Err(format!("`cargo {program}` is missing; `rustup component add {component}` installs it"))
}
