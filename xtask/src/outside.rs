//! WebGPU outside browsers, for `cargo xtask test-web`: Dawn in Node.js, and wgpu in Deno. Either is left out, and said
//! to be, where it does not run.

use crate::command::{command, succeeds};
use crate::{vulkan, web};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The script that both run.
const SCRIPT: &str = "outside.mjs";

/// Node.js with `args` for the script, and with Dawn from npm.
pub fn node(folder: &Path, args: &[PathBuf]) -> Option<Command> {
    let package = folder.join("dawn");
    let dawn = package.join("node_modules/webgpu");
    let mut loads = command("node", &["--input-type=module", "--eval", "await import(process.argv[1])"]);
    loads.arg(dawn.join("index.js"));
    installed(&package, &dawn, "webgpu@0.6.2", loads)?;
    let mut node = command("node", &[]);
    node.arg(folder.join(SCRIPT)).args(args).arg(dawn);
    if let Some(driver) = vulkan::swiftshader() {
        // Dawn refuses Mesa's software adapter of Debian 12.
        node.env("VK_DRIVER_FILES", driver);
    }
    Some(node)
}

/// Deno with `args` for the script, on the system's own adapters.
pub fn deno(folder: &Path, args: &[PathBuf]) -> Option<Command> {
    let package = folder.join("deno");
    let start = package.join("node_modules/deno/bin.cjs");
    let deno = |words: &[&str]| {
        let mut deno = command("node", &[]);
        deno.arg(&start).args(words);
        deno
    };
    installed(&package, &start, "deno@2.9.6", deno(&["--version"]))?;
    let mut test = deno(&["run", "--unstable-webgpu", "--allow-all"]);
    test.arg(folder.join(SCRIPT)).args(args);
    Some(test)
}

/// Installs an npm package that brings a program, unless `file` of it is there; `None` if it then does not start.
fn installed(folder: &Path, file: &Path, package: &str, start: Command) -> Option<()> {
    let there = if file.exists() { Ok(()) } else { web::npm_install(folder, package) };
    let why = match there {
        Ok(()) if succeeds(start) => return Some(()),
        Ok(()) => "it does not start on this system".to_owned(),
        Err(error) => error,
    };
    println!("SKIPPED: npm's {package}: {why}");
    None
}
