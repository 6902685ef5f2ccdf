//! `cargo xtask drivers`: the reference vectors on every software driver at hand, and the program on drivers of GPUs
//! that are not there.

use crate::Result;
use crate::command::{command, heading, program, root, run as run_command, shown, workspace};
use crate::debian::Consent;
use crate::mesa::Mesa;
use crate::vulkan;
use std::path::PathBuf;

/// Networks that between them have all kinds of layers.
const MODELS: [&str; 11] = [
    "lenet",
    "vgg16",
    "resnet18",
    "preact18",
    "senet18",
    "densenet121",
    "resnext29",
    "mobilenetv2",
    "dpn92",
    "pnasnet-a",
    "efficientnet-b0",
];

/// The test of the reference vectors, built.
fn golden() -> Result<PathBuf> {
    let mut build = workspace("test", "--test golden --no-run");
    let name = shown(&build);
    println!("$ {name}");
    let output = build.output().map_err(|error| format!("cannot start `{name}`: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("`{name}` failed:\n{said}"));
    }
    // `Executable tests/golden/main.rs (target/release/deps/golden-0123456789abcdef)`
    let line = said.lines().find(|line| line.contains("Executable") && line.contains("golden"));
    let path = line.and_then(|line| line.split_once('(')).and_then(|(_, rest)| rest.split_once(')'));
    let (path, _) = path.ok_or_else(|| format!("`{name}` does not say where the test is:\n{said}"))?;
    Ok(root().join(path))
}

/// Runs it all.
///
/// # Errors
/// What could not be installed or built; the first driver that disagrees.
pub fn run(consent: Consent) -> Result {
    vulkan::ensure_driver(consent)?;
    let mesa = Mesa::ensure(consent)?;
    heading("build");
    let (golden, program) = (golden()?, program()?);
    heading("reference vectors on this system's driver");
    run_command(command(&golden, &[]))?;
    heading("reference vectors on Debian 13's lavapipe");
    run_command(mesa.program(&golden, "lvp", None)?)?;
    heading("reference vectors on SwiftShader");
    if let Some(driver) = vulkan::swiftshader() {
        let mut swiftshader = command(&golden, &[]);
        swiftshader.env("VK_DRIVER_FILES", driver);
        run_command(swiftshader)?;
    } else {
        println!("skipped: it is not there; Debian's package `chromium` has it");
    }
    for (gpu, driver, shim, (key, value)) in [
        ("NVIDIA Ampere (NVK)", "nouveau", "nouveau", ("NOUVEAU_CHIPSET", "172")),
        ("AMD Renoir (RADV)", "radeon", "amdgpu", ("AMDGPU_GPU_ID", "renoir")),
    ] {
        heading(&format!("pipelines, memory and one step of every network on {gpu}, without the GPU"));
        for model in MODELS {
            let mut step = mesa.program(&program, driver, Some(shim))?;
            step.args(["bench", "step", "--norm", "deconv", "--batch-size", "2", "--warm-up", "0", "--steps", "1"]);
            step.args(["--model", model]).env(key, value);
            let output = step.output().map_err(|error| format!("cannot start mexhat for {gpu}: {error}"))?;
            let text = String::from_utf8_lossy(&output.stdout);
            if !output.status.success() {
                return Err(format!("{model} on {gpu}: {}", String::from_utf8_lossy(&output.stderr)));
            }
            let first = text.lines().find(|line| line.starts_with("first step")).unwrap_or_default();
            println!("{model:<16} {first}");
        }
    }
    Ok(())
}
