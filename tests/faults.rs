//! Faults of a driver, made by a Vulkan layer (`tests/support/lose.c`) and so as a real one makes them: the device goes
//! away in the middle of a run, for good or not, and memory is refused. Skipped, visibly, where there is no Vulkan or
//! no C compiler.

#![cfg(all(feature = "cli", target_os = "linux"))]

#[path = "common/skip.rs"]
mod skip;
mod support;

use skip::skipped;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use support::{command, ok, text};
use tempfile::TempDir;

const ARGS: &str = "train --model linear --norm batch --limit-train 320 --limit-test 30 --batch-size 16 --epochs 3 --checkpoint-every 7";

/// The layer, built in `dir`; `None` without a compiler or where another API than Vulkan is used.
fn layer(dir: &Path) -> Option<()> {
    if !ok(dir, "devices --json").contains(r#""backend":"vulkan""#) {
        skipped("the adapter is not driven by Vulkan");
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/lose.c");
    let library = dir.join("liblose.so");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    if !built.is_ok_and(|status| status.success()) {
        skipped("no C compiler builds the layer");
        return None;
    }
    let manifest = serde_json::json!({ "file_format_version": "1.1.2", "layer": {
        "name": "VK_LAYER_TEST_lose", "type": "GLOBAL", "library_path": library, "api_version": "1.3.0",
        "implementation_version": "1", "description": "loses devices",
        "functions": { "vkGetInstanceProcAddr": "lose_instance", "vkGetDeviceProcAddr": "lose_device" },
    }});
    fs::write(dir.join("lose.json"), manifest.to_string()).unwrap();
    Some(())
}

fn faulty(dir: &Path, args: &str, faults: &[(&str, &str)]) -> Output {
    command(dir, args)
        .env("VK_LAYER_PATH", dir)
        .env("VK_INSTANCE_LAYERS", "VK_LAYER_TEST_lose")
        .envs(faults.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The metrics but for losses, and how many of those there are.
fn metrics(run: &Path) -> (Vec<String>, usize) {
    let all = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let (lost, others): (Vec<_>, Vec<_>) =
        all.lines().map(str::to_owned).partition(|line| line.contains("device_lost"));
    (others, lost.len())
}

#[test]
fn a_device_that_a_driver_loses_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let at = dir.path();
    let Some(()) = layer(at) else { return };
    ok(at, &format!("{ARGS} --out whole"));
    let model = |run: &str| fs::read(at.join(run).join("model.safetensors")).unwrap();
    let (mut survived, mut ended) = (0, 0);
    for submission in [3, 10, 25, 40, 55, 70] {
        for for_good in [false, true] {
            let out = format!("run{submission}-{for_good}");
            let mut faults = vec![("LOSE_AT", submission.to_string())];
            faults.extend(for_good.then(|| ("LOSE_FOR_GOOD", "1".to_owned())));
            let faults: Vec<_> = faults.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let output = faulty(at, &format!("{ARGS} --out {out}"), &faults);
            let error = text(&output.stderr);
            assert!(error.contains("[layer] the device is lost"), "lost at {submission}: {error}");
            if !at.join(&out).exists() {
                // For good, before there was anything to keep.
                assert!(for_good && output.status.code() == Some(1) && error.contains("was lost"), "{error}");
                continue;
            }
            if for_good {
                assert_eq!(output.status.code(), Some(1), "{error}");
                assert!(error.contains("soon after") && error.contains("go on with: mexhat train --resume"), "{error}");
                ok(at, &format!("train --resume {out}"));
                ended += 1;
            } else {
                assert!(output.status.success() && error.contains("training goes on from step"), "{error}");
                survived += 1;
                assert_eq!(metrics(&at.join(&out)).1, 1, "the loss stands in the metrics");
            }
            assert!(model(&out) == model("whole"), "lost at {submission}: other weights");
            assert_eq!(metrics(&at.join(&out)).0, metrics(&at.join("whole")).0);
        }
    }
    assert!(survived == 6 && ended >= 3, "{survived} survived, {ended} ended");
    println!("{survived} losses survived, {ended} losses for good resumed, each to the same bytes");
}

#[test]
fn memory_that_is_refused_is_one_error_with_a_cure() {
    let dir = TempDir::new().unwrap();
    let at = dir.path();
    let Some(()) = layer(at) else { return };
    let args = "train --limit-train 1024 --limit-test 64 --batch-size 1024 --steps 1 --out big";
    let output = faulty(at, args, &[("OOM_AT", "150000000")]);
    let error = text(&output.stderr);
    assert!(error.contains("[layer] memory is refused"), "{error}");
    let lines: Vec<_> =
        error.lines().filter(|line| !line.starts_with("[layer]") && !line.starts_with("note")).collect();
    assert_eq!(lines.len(), 1, "{error}");
    assert!(lines[0].contains("MiB more; this may fit: --batch-size ") && output.status.code() == Some(2), "{error}");
    assert!(!at.join("big").exists(), "a run that never began leaves no folder");
}
