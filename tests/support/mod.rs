//! Runs the program as a user does.

// Every test file uses a part of this.
#![allow(dead_code)]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program in `dir`, not yet started; arguments are cut at white space.
pub fn command(dir: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mexhat"));
    command.current_dir(dir).args(args.split_whitespace());
    command
}

pub fn mexhat(dir: &Path, args: &str) -> Output {
    command(dir, args).stdin(Stdio::null()).output().expect("a program")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Standard output of a success.
pub fn ok(dir: &Path, args: &str) -> String {
    let output = mexhat(dir, args);
    assert!(output.status.success(), "{args}: {}", text(&output.stderr));
    text(&output.stdout)
}

pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}

pub fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

/// One paragraph that says `wanted`, exit code `code`, nothing on stdout.
pub fn refused(dir: &Path, args: &str, code: i32, wanted: &[&str]) {
    let output = mexhat(dir, args);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args}: {error}");
    assert!(error.contains("error: "), "{args}: {error}");
    for wanted in wanted {
        assert!(error.contains(wanted), "{args}: '{wanted}' is missing in: {error}");
    }
    assert!(output.stdout.is_empty(), "{args}: {}", text(&output.stdout));
}

/// Numbers of the steps in a run folder's metrics, as they stand there.
pub fn steps(run: &Path) -> Vec<u64> {
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = json_lines(&metrics);
    lines.iter().filter(|line| line["event"] == "step").map(|line| line["step"].as_u64().unwrap()).collect()
}
