//! `cargo xtask gpu-lab`: what the compilers of real GPUs make of every kernel.

use crate::Result;
use crate::command::{self, cargo, target_dir};
use crate::debian::Consent;
use crate::mesa::Mesa;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Stdio};

/// Name, driver, shim and what else chooses the GPU: Ampere GA102, RDNA 2 and RDNA 3.
type Gpu = (&'static str, &'static str, Option<&'static str>, (&'static str, &'static str));
const GPUS: [Gpu; 3] = [
    ("nvidia-ampere", "nouveau", Some("nouveau"), ("NOUVEAU_CHIPSET", "172")),
    ("amd-rdna2", "radeon", None, ("RADV_FORCE_FAMILY", "navi21")),
    ("amd-rdna3", "radeon", None, ("RADV_FORCE_FAMILY", "navi31")),
];

fn create(file: &Path) -> Result<File> {
    File::create(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Compiles all kernels, or those with `part` in their name, prints the table and compares it with the committed one.
///
/// # Errors
/// What could not be downloaded or compiled, or what became worse.
pub fn run(consent: Consent, part: Option<&str>, how: Option<&str>) -> Result {
    if let (Some(_), Some("--write")) = (part, how) {
        return Err("--write records all kernels; leave the part of a name out".into());
    }
    let mesa = Mesa::ensure(consent)?;
    let mut build = cargo("build --release --quiet --package gpu-lab");
    // The standard output is for the table, or for JSON.
    if !build.stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return Err(format!("`{}` failed", command::shown(&build)));
    }
    let program = target_dir().join("release/gpu-lab");
    let folder = target_dir().join("gpu-lab");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut report = command::command(&program, &["report", "benches/gpu-lab.json"]);
    let mut running: Vec<(&str, Child)> = Vec::new();
    for (gpu, driver, shim, (key, value)) in GPUS {
        let file = folder.join(format!("{gpu}.json"));
        let (out, log) = (create(&file)?, create(&folder.join(format!("{gpu}.log")))?);
        let mut compile = mesa.program(&program, driver, shim)?;
        compile.args(["compile", gpu]).args(part).env(key, value).stdin(Stdio::null()).stdout(out).stderr(log);
        running.push((gpu, compile.spawn().map_err(|error| format!("cannot start gpu-lab for {gpu}: {error}"))?));
        report.arg(file);
    }
    for (gpu, mut child) in running {
        let status = child.wait().map_err(|error| format!("gpu-lab for {gpu}: {error}"))?;
        if !status.success() {
            return Err(format!("gpu-lab failed for {gpu} ({status}); {}/{gpu}.log says why", folder.display()));
        }
    }
    let status = report.args(how).status().map_err(|error| format!("cannot start gpu-lab: {error}"))?;
    if status.success() { Ok(()) } else { Err("gpu-lab: see above".into()) }
}
