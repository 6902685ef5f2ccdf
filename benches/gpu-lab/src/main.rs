//! What the compilers of AMD's and NVIDIA's open drivers make of every kernel, without a GPU; see `benches/README.md`.
//!
//! `cargo xtask gpu-lab` runs it once for each GPU and then on what these runs found:
//!
//! ```text
//! gpu-lab compile GPU [PART OF A KERNEL'S NAME]
//! gpu-lab report BASELINE FILE... [--json | --write]
//! ```
//!
//! With `GPU_LAB_ASSEMBLY=FILE` the machine's text of the last kernel compiled is left there.

mod assembly;
mod baseline;
mod found;
mod kernels;
mod table;
mod vulkan;

use found::{Found, Kernel};
use std::process::ExitCode;

/// A whole sentence for the person at the terminal.
type Result<T = (), E = String> = std::result::Result<T, E>;

/// Compiles every kernel with the Vulkan driver at hand.
fn compile(gpu: &str, filter: &str) -> Result<Found> {
    let device = vulkan::Device::open()?;
    let mut found = Found { driver: device.driver.clone(), kernels: Vec::new() };
    for kernel in kernels::all().filter(|kernel| kernel.key().contains(filter)) {
        let name = kernel.key();
        let code = kernels::spirv(&kernel).map_err(|error| format!("{name}: {error}"))?;
        let made = device.compile(&code, 1 + kernel.shader.reads + kernel.shader.writes);
        let made = made.map_err(|error| format!("{name}: {error}"))?;
        found.kernels.push(Kernel { name, software: kernels::software(&kernel), on: [(gpu.to_owned(), made)].into() });
    }
    Ok(found)
}

fn run(words: &[&str]) -> Result<ExitCode> {
    match words {
        ["compile", gpu, rest @ ..] => compile(gpu, rest.first().unwrap_or(&""))?.print()?,
        ["report", baseline, rest @ ..] => {
            let (flags, files): (Vec<&str>, Vec<&str>) = rest.iter().partition(|word| word.starts_with("--"));
            let mut found = found::merge(files.iter().map(|file| Found::read(file)).collect::<Result<_>>()?);
            found.kernels.sort_by(table::by_what_matters);
            match flags[..] {
                ["--json"] => found.print()?,
                ["--write"] => return baseline::write(found, baseline),
                _ => table::print(&found),
            }
            return baseline::compare(&found, &Found::read(baseline)?);
        }
        _ => return Err("start it by `cargo xtask gpu-lab`".into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    run(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_or_else(|error| {
        eprintln!("gpu-lab: {error}");
        ExitCode::FAILURE
    })
}
