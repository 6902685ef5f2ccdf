//! The results of `cargo test`, repeated at the end, because the programs' outputs are long.

use crate::Result;
use crate::command::shown;
use std::io::{BufRead, BufReader};
use std::process::Command;

/// The results that test programs report, each behind the name of its program.
#[derive(Default)]
struct Results {
    program: String,
    lines: Vec<String>,
}

impl Results {
    fn read(&mut self, line: &str) {
        let text = line.trim();
        if let Some(program) = text.strip_prefix("Running ").or_else(|| text.strip_prefix("Doc-tests ")) {
            let name = program.strip_prefix("unittests ").unwrap_or(program);
            let name = name.split(" (").next().unwrap_or(name);
            self.program =
                if text.starts_with("Doc") { format!("{name} (examples in the documentation)") } else { name.into() };
        } else if text.starts_with("test result:") {
            self.lines.push(format!("{}: {text}", self.program));
        }
    }
}

/// Runs `cargo test`, shows its output as it comes, and ends with the results alone.
///
/// # Errors
/// The command cannot be started, or a test fails.
pub fn run(mut tests: Command) -> Result {
    let shown = shown(&tests);
    let failed = |error: std::io::Error| format!("`{shown}`: {error}");
    println!("$ {shown}");
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    tests.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
    let mut child = tests.spawn().map_err(failed)?;
    drop(tests); // It holds the pipe's writing end, and reading ends when the last of them is closed.
    let mut results = Results::default();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line.map_err(failed)?).into_owned();
        println!("{line}");
        results.read(&line);
    }
    let status = child.wait().map_err(failed)?;
    println!("\n=== results of {shown} ===\n{}", results.lines.join("\n"));
    if status.success() { Ok(()) } else { Err(format!("`{shown}` failed ({status})")) }
}

#[cfg(test)]
mod tests {
    use super::Results;

    #[test]
    fn results_stand_behind_their_program() {
        let mut results = Results::default();
        for line in [
            "     Running unittests src/lib.rs (target/release/deps/mexhat-0)",
            "test result: ok. 3 passed; 0 failed; 0 ignored",
            "     Running tests/golden/main.rs (target/release/deps/golden-0)",
            "test result: ok. 2 passed; 0 failed; 1 ignored",
            "   Doc-tests mexhat",
            "test a ... ok",
            "test result: ok. 1 passed; 0 failed; 0 ignored",
        ] {
            results.read(line);
        }
        assert_eq!(
            results.lines,
            [
                "src/lib.rs: test result: ok. 3 passed; 0 failed; 0 ignored",
                "tests/golden/main.rs: test result: ok. 2 passed; 0 failed; 1 ignored",
                "mexhat (examples in the documentation): test result: ok. 1 passed; 0 failed; 0 ignored",
            ]
        );
    }
}
