//! The Python that other programs' readers of our files run in.

use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// What the scripts in `tests/export` import.
const PACKAGES: &str = "import numpy, onnx, onnxruntime, safetensors, torch";

/// `MEXHAT_PYTHON`, which has to have the packages, or `python3`; why there is none where that lacks some.
pub fn python() -> Result<&'static str, &'static str> {
    static FOUND: LazyLock<Result<String, String>> = LazyLock::new(|| {
        let named = std::env::var("MEXHAT_PYTHON").ok();
        let program = named.clone().unwrap_or_else(|| "python3".into());
        let imported = Command::new(&program).args(["-c", PACKAGES]).stdout(Stdio::null()).output();
        let why = match imported {
            Ok(output) if output.status.success() => return Ok(program),
            Ok(output) => String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("it fails").to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(named.is_none(), "MEXHAT_PYTHON is {program}, which cannot `{PACKAGES}`: {why}");
        Err(format!("{program} cannot `{PACKAGES}`: {why}; name another by MEXHAT_PYTHON"))
    });
    FOUND.as_deref().map_err(String::as_str)
}
