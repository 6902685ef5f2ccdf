//! `cargo xtask drivers`: the reference vectors on every software driver at hand, and the program on drivers of GPUs
//! that are not there.

use crate::Result;
use crate::command::{command, heading, program, root, run as run_command, shown, workspace};
use crate::debian::Consent;
use crate::mesa::Mesa;
use crate::vulkan;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rules that only seem broken without a GPU: its stand-in lets no submission end, so that all of them stay pending.
const PENDING: [&str; 4] = [
    "VUID-VkSubmitInfo-pSignalSemaphores-03242",
    "VUID-vkBeginCommandBuffer-commandBuffer-00049",
    "VUID-vkQueueSubmit-pCommandBuffers-00071",
    "VUID-vkResetCommandPool-commandPool-00040",
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

/// The networks that `program` knows: it lists them when it is asked for another.
fn networks(program: &Path) -> Result<Vec<String>> {
    let output = command(program, &["train", "--model", "?"]).output();
    let output = output.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let (_, names) = said.split_once("expected one of ").ok_or_else(|| format!("no list of networks in: {said}"))?;
    Ok(names.trim().split(", ").map(str::to_owned).collect())
}

/// One training step of `model` under Vulkan's validation layer, and how long it took.
///
/// # Errors
/// The step fails, or breaks a rule that is none of `known`.
fn validated_step(mesa: &Mesa, mut step: Command, model: &str, known: &[&str]) -> Result<String> {
    mesa.validate(&mut step);
    step.args(["bench", "step", "--norm", "deconv", "--batch-size", "2", "--warm-up", "0", "--steps", "1"]);
    if model.contains("-imagenet") || model.contains("deeplab") {
        // AMD's stand-in has 2.7 GB to give.
        step.args(["--width", "0.25"]);
    }
    let output = step.args(["--model", model]).output().map_err(|error| format!("cannot start mexhat: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        return Err(format!("{model}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let mut messages = text.split("Validation ").skip(1);
    if let Some(message) = messages.find(|message| !known.iter().any(|known| message.contains(known))) {
        return Err(format!("{model} breaks a rule of Vulkan: {message}"));
    }
    Ok(text.lines().find(|line| line.starts_with("first step")).unwrap_or_default().to_owned())
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
    heading("one step under Vulkan's validation layer on Debian 13's lavapipe");
    println!("lenet {}", validated_step(&mesa, mesa.program(&program, "lvp", None)?, "lenet", &[])?);
    let models = networks(&program)?;
    for (gpu, driver, shim, (key, value)) in [
        ("NVIDIA Ampere (NVK)", "nouveau", "nouveau", ("NOUVEAU_CHIPSET", "172")),
        ("AMD Renoir (RADV)", "radeon", "amdgpu", ("AMDGPU_GPU_ID", "renoir")),
    ] {
        heading(&format!("pipelines, memory and one step of every network on {gpu}, without the GPU"));
        for model in &models {
            let mut step = mesa.program(&program, driver, Some(shim))?;
            step.env(key, value);
            println!("{model:<22} {}", validated_step(&mesa, step, model, &PENDING)?);
        }
    }
    Ok(())
}
