//! `mpirun -n 2 mexhat train`: the losses of one process with twice the batch, one folder, and one end.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// `mexhat train` with these arguments, by `processes` of them. With larger steps rounding alone drives losses 1e-3
/// apart within 30 of them, as it does between two adapters.
fn train(processes: usize, arguments: &[&str]) -> Command {
    let program = env!("CARGO_BIN_EXE_mexhat");
    let mut command = if processes == 1 {
        Command::new(program)
    } else {
        let mut command = Command::new("mpirun");
        // Two processes on whatever cores there are, and as root on a machine for tests.
        command.args(["--oversubscribe", "--allow-run-as-root", "-n", &processes.to_string(), program]);
        command
    };
    command.args([
        "train",
        "--limit-train",
        "1920",
        "--limit-test",
        "64",
        "--eps",
        "0.1",
        "--lr",
        "0.005",
        "--momentum",
        "0",
    ]);
    command.args(arguments);
    command
}

fn succeeds(mut command: Command) -> Output {
    let output = command.output().expect("mpirun can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn losses(run: &Path) -> Vec<f64> {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let events = metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.filter(|event| event["event"] == "step").map(|event| event["loss"].as_f64().unwrap()).collect()
}

fn is_that_of_one(norm: &str) {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    let arguments = |batch, out| ["--norm", norm, "--batch-size", batch, "--out", out];
    succeeds(train(1, &arguments("64", one.to_str().unwrap())));
    let output = succeeds(train(2, &arguments("32", two.to_str().unwrap())));
    let (alone, together) = (losses(&one), losses(&two));
    assert_eq!((alone.len(), together.len()), (30, 30), "one process writes");
    for (step, (found, expected)) in together.iter().zip(&alone).enumerate() {
        assert!((found - expected).abs() < 1e-4, "{norm}, step {step}: {found} of {expected}");
    }
    assert!(alone[29] < alone[0]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(told.matches("everything is in").count(), 1, "{told}");
    assert!(told.contains("each of 2 processes sent"), "{told}");
    // As many go on as began.
    let refused = Command::new(env!("CARGO_BIN_EXE_mexhat"))
        .args(["train", "--resume", two.to_str().unwrap(), "--epochs", "2"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("one of 2 processes, found 1"), "{said}");
}

#[test]
fn two_with_deconvolution_train_as_one() {
    is_that_of_one("deconv");
}

#[test]
fn two_with_batch_norm_train_as_one() {
    is_that_of_one("batch");
}

#[test]
fn one_that_dies_ends_all_and_the_rest_goes_on_from_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let out = run.to_str().unwrap();
    let arguments = ["--norm", "none", "--batch-size", "16", "--epochs", "50", "--checkpoint-every", "5", "--out", out];
    let mut child = train(2, &arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !run.join("checkpoint.previous.safetensors").exists() {
        assert!(begun.elapsed() < Duration::from_secs(300), "no checkpoint");
        assert!(child.try_wait().unwrap().is_none(), "ended by itself");
        std::thread::sleep(Duration::from_millis(50));
    }
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    let last = children.split_whitespace().last().unwrap();
    assert!(Command::new("kill").args(["-9", last]).status().unwrap().success());
    let ended = child.wait_with_output().unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("exited on signal 9"), "{said}");
    let mut on = Command::new("mpirun");
    on.args(["--oversubscribe", "--allow-run-as-root", "-n", "2", env!("CARGO_BIN_EXE_mexhat")]);
    on.args(["train", "--resume", out, "--epochs", "1"]);
    succeeds(on);
    assert_eq!(losses(&run).len(), 60);
}
