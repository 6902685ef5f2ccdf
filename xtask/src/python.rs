//! The Python in which other programs read exported networks: ONNX Runtime and PyTorch.

use crate::Result;
use crate::command::{command, heading, output, run, succeeds, target_dir};
use crate::debian::{self, Consent};
use std::path::{Path, PathBuf};

/// What the tests import.
const IMPORTS: &str = "import numpy, onnx, onnxruntime, safetensors, torch; torch.from_numpy(numpy.ones(1))";

/// A Python for the tests: that of `MEXHAT_PYTHON`, `python3`, or on Debian one of its own. Elsewhere, and where nobody
/// agrees to install it, the tests that need it say that they are skipped.
///
/// # Errors
/// Packages could not be installed.
pub fn ensure(consent: Consent) -> Result<Option<PathBuf>> {
    heading("ONNX Runtime and PyTorch");
    let own = target_dir().join("python");
    let inside = own.join("bin/python");
    let named = std::env::var_os("MEXHAT_PYTHON").map(PathBuf::from);
    let known = named.into_iter().chain([PathBuf::from("python3"), inside.clone()]);
    if let Some(python) = known.into_iter().find(|python| imports(python)) {
        println!("in {}", python.display());
        return Ok(Some(python));
    }
    let question =
        "Tests of exported networks need PyTorch of Debian, and ONNX Runtime in a folder of target. Install them?";
    if !debian::is_here() || debian::agree(question, consent).is_err() {
        println!(
            "not found: exported networks go unread by other programs; MEXHAT_PYTHON may name a Python that has them"
        );
        return Ok(None);
    }
    // PyTorch's package in PyPI brings 3 GB for GPUs along.
    debian::install("Reading exported networks", &["python3-torch", "python3-venv"], Consent::Given)?;
    let mut venv = command("/usr/bin/python3", &["-m", "venv", "--clear", "--system-site-packages"]);
    venv.arg(&own);
    run(venv)?;
    // Debian's PyTorch works with Debian's numpy alone.
    let numpy = output(command(&inside, &["-c", "import numpy; print('numpy==' + numpy.__version__)"]));
    let numpy = numpy.ok_or("Debian's PyTorch came without numpy")?;
    run(command(&inside, &["-m", "pip", "install", "--quiet", &numpy, "onnx", "onnxruntime", "safetensors"]))?;
    match imports(&inside) {
        true => Ok(Some(inside)),
        false => Err(format!("{} cannot `{IMPORTS}` although all was installed", inside.display())),
    }
}

fn imports(python: &Path) -> bool {
    succeeds(command(python, &["-c", IMPORTS]))
}
