//! Tasks of the repository, for a machine on which nothing has been prepared; see `cargo xtask help`.

mod command;
mod debian;
mod demo;
mod drivers;
mod gpu_lab;
mod lean;
mod mesa;
mod npm;
mod outside;
mod package;
mod python;
mod summary;
mod test;
mod vulkan;
mod wasm;
mod web;

use std::process::ExitCode;

fn help() -> String {
    format!(
        "\
Tasks of the mexhat repository.

    cargo xtask demo [--yes]    install a missing GPU driver, then run the main job: cargo run --release -- train
    cargo xtask test [--yes]    install what the tests need, then run them all
    cargo xtask web [--build]   build the page and serve it on this machine; with --build only leave it in web/dist
    cargo xtask test-web [PART] build the page and drive it in Chromium (needs Node.js and Chromium; Firefox for one part), and
                                run the npm package in Node.js and Deno; parts: {}
    cargo xtask record          take down what the page's chapters show where there is no WebGPU, from the engine in Chromium
    cargo xtask npm             build the npm package and list what is in it
    cargo xtask gpu-lab [PART]  what Mesa's compilers for AMD and NVIDIA make of the kernels for GPUs (no GPU needed), or of
                                those with PART in their name, beside benches/gpu-lab.json; --json prints all as JSON,
                                --write takes it into that file
    cargo xtask drivers [--yes] the reference vectors on every software driver at hand (this system's, Debian 13's, Chromium's),
                                and one step of every network on Mesa's drivers for NVIDIA and AMD without those GPUs,
                                held against Vulkan's rules by its validation layer
    cargo xtask help            this text

--yes installs and downloads without asking.",
        web::PARTS.join(", ")
    )
}

/// What a task reports when it stops: a whole sentence for the person at the terminal.
pub type Result<T = (), E = String> = std::result::Result<T, E>;

fn run(args: &[String]) -> Result<ExitCode> {
    let (flags, words): (Vec<&str>, Vec<&str>) = args.iter().map(String::as_str).partition(|arg| arg.starts_with('-'));
    let asked = words.is_empty() || words == ["help"] || flags.contains(&"--help") || flags.contains(&"-h");
    if asked {
        println!("{}", help());
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(flag) = flags.iter().find(|flag| !["--yes", "-y", "--build", "--json", "--write"].contains(flag)) {
        eprintln!("cargo xtask: unknown flag '{flag}'\n\n{}", help());
        return Ok(ExitCode::from(2));
    }
    let given = flags.iter().any(|flag| ["--yes", "-y"].contains(flag));
    let consent = if given { debian::Consent::Given } else { debian::Consent::Ask };
    match words[..] {
        ["test"] => test::run(consent)?,
        ["web"] => {
            let dist = web::build(consent)?;
            if !flags.contains(&"--build") {
                web::serve(&dist)?;
            }
        }
        ["npm"] => {
            npm::pack(consent)?;
        }
        ["record"] => web::record(consent)?,
        ["test-web", ref parts @ ..] => web::test(consent, parts)?,
        ["gpu-lab", ref part @ ..] if part.len() < 2 => {
            let how = flags.iter().find(|flag| ["--json", "--write"].contains(flag));
            gpu_lab::run(consent, part.first().copied(), how.copied())?;
        }
        ["drivers"] => drivers::run(consent)?,
        ["demo"] => demo::run(consent)?,
        _ => {
            eprintln!("cargo xtask: unknown task '{}'\n\n{}", words.join(" "), help());
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    run(&std::env::args().skip(1).collect::<Vec<_>>()).unwrap_or_else(|error| {
        eprintln!("cargo xtask: {error}");
        ExitCode::FAILURE
    })
}
