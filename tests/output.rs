//! Where the program's lines go: full disks, closed pipes, signals, and the lines themselves.

#![cfg(all(feature = "cli", unix))]

#[path = "common/skip.rs"]
mod skip;
mod support;

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use support::{command, json, ok, steps, text};
use tempfile::TempDir;

const SMALL: &str = "train --model linear --norm none --limit-train 100 --limit-test 30 --batch-size 16 --epochs 2";

/// A disk without room, where the system has one.
fn full() -> Option<File> {
    let file = OpenOptions::new().write(true).open("/dev/full").ok();
    if file.is_none() {
        skip::skipped("there is no /dev/full");
    }
    file
}

#[test]
fn a_full_disk_behind_stdout_fails_the_program_after_everything_is_kept() {
    let dir = TempDir::new().unwrap();
    for json_lines in ["", " --json"] {
        let Some(full) = full() else { return };
        let out = format!("run{}", json_lines.trim());
        let output = command(dir.path(), &format!("{SMALL} --out {out}{json_lines}")).stdout(full).output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("standard output could not be written") && error.contains("files are kept"), "{error}");
        let run = dir.path().join(out);
        assert_eq!(steps(&run), (1..=14).collect::<Vec<_>>());
        assert!(run.join("checkpoint.safetensors").exists() && run.join("summary.json").exists());
    }
    for args in ["eval run", "eval run --json", "devices", "devices --json", "--help", "train --help", "--version"] {
        let Some(full) = full() else { return };
        let output = command(dir.path(), args).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args}: {}", text(&output.stderr));
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_printing_not_the_training() {
    let dir = TempDir::new().unwrap();
    let mut child = command(dir.path(), &format!("{SMALL} --out run"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("data: "), "{line}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(steps(&dir.path().join("run")), (1..=14).collect::<Vec<_>>());
    assert!(dir.path().join("run/checkpoint.safetensors").exists());
}

#[test]
fn a_lost_stderr_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let Some(full) = full() else { return };
    let status =
        command(dir.path(), &format!("{SMALL} --out full")).stderr(full).stdout(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(0), "a full disk behind stderr");
    let Some(full) = self::full() else { return };
    let status = command(dir.path(), "eval nowhere").stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(2), "an error that nobody can read");
    // A reader of stderr that has gone away.
    let mut child = command(dir.path(), &format!("{SMALL} --out gone"))
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0), "a closed stderr");
    assert_eq!(steps(&dir.path().join("gone")).len(), 14);
}

/// A run that would go on for long, once its first step is on stdout.
fn long_run(dir: &Path, before: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let args = format!("{SMALL}0000 --out run");
    let mut command = match before {
        [] => command(dir, &args),
        [program, rest @ ..] => {
            let mut command = Command::new(program);
            command.current_dir(dir).args(rest).arg(env!("CARGO_BIN_EXE_mexhat")).args(args.split_whitespace());
            command
        }
    };
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut shown = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("step ") {
        line.clear();
        assert!(shown.read_line(&mut line).unwrap() > 0, "the run ended by itself");
    }
    // Progress is told of long before step 50.
    assert!(line.starts_with("step 1/"), "{line}");
    (child, shown)
}

fn send(signal: &str, child: &Child) {
    assert!(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn every_signal_that_asks_for_an_end_leaves_a_checkpoint() {
    for signal in ["INT", "TERM", "HUP", "QUIT"] {
        let dir = TempDir::new().unwrap();
        let (mut child, shown) = long_run(dir.path(), &[]);
        send(signal, &child);
        let rest: Vec<String> = shown.lines().map_while(Result::ok).collect();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
        assert!(rest.last().is_some_and(|line| line.contains("--resume run")), "{signal}: {rest:?}");
        let run = dir.path().join("run");
        let done = json(&run.join("summary.json"))["steps"].as_u64().unwrap();
        assert_eq!(steps(&run), (1..=done).collect::<Vec<_>>(), "{signal}");
        ok(dir.path(), &format!("train --resume run --steps {}", done + 1));
        assert_eq!(steps(&run), (1..=done + 1).collect::<Vec<_>>(), "{signal}");
    }
}

#[test]
fn nohup_outlives_its_terminal() {
    let dir = TempDir::new().unwrap();
    let (mut child, mut shown) = long_run(dir.path(), &["nohup"]);
    send("HUP", &child);
    let mut line = String::new();
    for _ in 0..3 {
        line.clear();
        assert!(shown.read_line(&mut line).unwrap() > 0, "the signal ended the run");
    }
    send("TERM", &child);
    shown.lines().for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
