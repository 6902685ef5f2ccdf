//! Files of networks and runs that somebody has written by hand, with the checksum that belongs to them: numbers that
//! no run writes, wrong types, shapes beyond all memory. Each is refused in words, at once and with little memory.

#![cfg(all(feature = "cli", unix))]

mod support;

use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{mexhat, ok, text};
use tempfile::TempDir;

/// Longest that a refusal takes, on a machine that does other things as well.
const LONGEST: Duration = Duration::from_secs(20);
/// Most addresses of a process, in KiB: what asks for more ends in an abort.
const ADDRESSES: u64 = 8 << 20;

const NETWORK: &str = r#"layers = [
    { type = "conv", outputs = 4, kernel = 3, stride = 2, whitening = { iterations = 3 } },
    { type = "relu" },
    { type = "residual", body = [{ type = "conv", outputs = 4, kernel = 3 }] },
    { type = "channel_deconv", block = 2 },
    { type = "max_pool", kernel = 2 },
    { type = "flatten" },
    { type = "linear", outputs = "classes" },
]"#;

/// A folder with a run of three steps, and its two files.
fn run() -> (TempDir, [Vec<u8>; 2]) {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("net.toml"), NETWORK).unwrap();
    ok(
        dir.path(),
        "train --model net.toml --limit-train 64 --limit-test 16 --batch-size 16 --epochs 2 --steps 3 --out run",
    );
    let files =
        ["model", "checkpoint"].map(|name| fs::read(dir.path().join(format!("run/{name}.safetensors"))).unwrap());
    (dir, files)
}

/// The file with other metadata, and the checksum of that.
fn crafted(file: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let tensors = SafeTensors::deserialize(file).unwrap();
    let (_, header) = SafeTensors::read_metadata(file).unwrap();
    let mut metadata: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["mexhat"]).unwrap();
    change(&mut metadata);
    // What is nested too deeply has none.
    let sum = mexhat::train::checksum(&metadata.to_string(), tensors.iter()).unwrap_or_default();
    metadata["checksum"] = sum.into();
    let metadata = HashMap::from([("mexhat".to_owned(), metadata.to_string())]);
    safetensors::serialize(tensors.iter(), Some(metadata)).unwrap()
}

/// As [`crafted`] with `value` at `place`, a path of keys and numbers.
fn with(file: &[u8], place: &str, value: &Value) -> Vec<u8> {
    crafted(file, |metadata| {
        let (parent, key) = place.rsplit_once('/').unwrap();
        let parent = metadata.pointer_mut(parent).unwrap_or_else(|| panic!("no {place}"));
        match key.parse::<usize>() {
            Ok(i) if parent.is_array() => parent[i] = value.clone(),
            _ => parent[key] = value.clone(),
        }
    })
}

/// What the program says of a file that it must refuse, with its limits kept.
fn refusal(dir: &Path, args: &str, what: &str) -> Result<String, String> {
    let begun = Instant::now();
    let limited = format!("ulimit -v {ADDRESSES}; exec {} {args}", env!("CARGO_BIN_EXE_mexhat"));
    let output = Command::new("sh").args(["-c", &limited]).current_dir(dir).stdin(Stdio::null()).output().unwrap();
    let (said, took) = (text(&output.stderr), begun.elapsed());
    let fault = match output.status.code() {
        Some(2) if !said.contains("error: ") => "refused without a word",
        Some(2) if said.contains("panicked") => "panicked",
        Some(2) if took > LONGEST => "too slow",
        Some(2) => return Ok(said),
        Some(0) => "taken",
        _ => "no refusal",
    };
    Err(format!("{what}: {fault}, {:?} after {took:?}: {said}", output.status))
}

/// Tries all of them, and says together what went wrong.
fn all_are_refused(dir: &Path, name: &str, args: &str, cases: &[(&str, Value, &str)], file: &[u8]) {
    let mut wrong = Vec::new();
    for (place, value, wanted) in cases {
        // In a folder of its own, where there is no checkpoint before it.
        let file_path = dir.join(name);
        let folder = file_path.parent().unwrap();
        if folder != dir {
            fs::remove_dir_all(folder).ok();
            fs::create_dir(folder).unwrap();
        }
        fs::write(&file_path, with(file, place, value)).unwrap();
        let shown: String = value.to_string().chars().take(60).collect();
        let what = format!("{place} = {shown}");
        // A run is named by its data, and options by themselves.
        let named = args.starts_with("eval") && !place.starts_with("/spec/load");
        match refusal(dir, args, &what) {
            Ok(said) if said.contains(wanted) && (!named || said.contains("safetensors")) => {}
            Ok(said) => wrong.push(format!("{what}: '{wanted}' or the file is missing in: {said}")),
            Err(fault) => wrong.push(fault),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// `inner` within so many sequences.
fn nested(depth: usize, inner: &str) -> Value {
    (0..depth).fold(serde_json::from_str(inner).unwrap(), |inner, _| json!({"type": "sequence", "layers": [inner]}))
}

#[test]
fn networks_that_nobody_trained_are_refused() {
    let (dir, [model, _]) = run();
    let huge = json!(1u64 << 63);
    let net = "/spec/network/layers";
    let at = |rest: &str| format!("{net}{rest}");
    let (outputs, kernel, stride, padding, dilation, groups) =
        (at("/0/out_channels"), at("/0/kernel"), at("/0/stride"), at("/0/padding"), at("/0/dilation"), at("/0/groups"));
    let (own, first, second, third, pool) = (at("/0/whitening"), at("/0"), at("/1"), at("/3"), at("/4/kernel"));
    let (iterations, block, eps, momentum, step) = (
        format!("{own}/iterations"),
        format!("{own}/block"),
        format!("{own}/eps"),
        format!("{own}/momentum"),
        format!("{own}/sampling_stride"),
    );
    let cases = [
        ("/format", json!(99), "format 99"),
        ("/format", json!("2"), "metadata that this version does not understand"),
        ("/spec", json!([]), "metadata that this version does not understand"),
        ("/spec/classes", json!(0), "0 classes"),
        ("/spec/classes", json!(-1), "-1"),
        ("/spec/classes", huge.clone(), "9223372036854775808 classes"),
        ("/spec/classes", json!("ten"), "ten"),
        ("/spec/class_names", json!([]), "0 names of classes"),
        ("/spec/class_names", json!([1, 2]), "expected a string"),
        ("/spec/input", json!([0, 28, 28]), "0 x 28 x 28"),
        ("/spec/input", json!([1, -28, 28]), "-28"),
        ("/spec/input", json!([1, huge, huge]), "9223372036854775808"),
        ("/spec/input", json!([1, 4096, 4096]), "[1, 4096, 4096]"),
        ("/spec/input", json!([1, 28]), "length"),
        ("/spec/width", json!(1e300), "--width"),
        ("/spec/width", json!(null), "null"),
        ("/spec/block", json!(0), "--block is 0"),
        ("/spec/iterations", json!(1e9 as u64), "--iterations"),
        ("/spec/eps", json!(-1.0), "--eps"),
        ("/spec/eps", json!(1e39), "--eps"),
        ("/spec/norm", json!("bach"), "bach"),
        ("/spec/normalize", json!({"mean": [0.1], "std": [0.0]}), "normalisation"),
        ("/spec/normalize", json!({"mean": [null], "std": [1.0]}), "null"),
        ("/spec/normalize", json!({"mean": [1e39], "std": [1.0]}), "normalisation"),
        ("/spec/normalize", json!({"mean": [0.1, 0.1], "std": [1.0, 1.0]}), "normalisation"),
        ("/spec/load/seed", json!(-1), "-1"),
        ("/spec/load/limit_test", json!(0), "--limit-test"),
        ("/spec/network/input", json!([3, 28, 28]), "[3, 28, 28]"),
        ("/spec/network/input", json!([1, huge, 28]), "9223372036854775808"),
        ("/spec/network/whitening/iterations", json!(1e9 as u64), "iterations"),
        ("/spec/network/whitening/eps", json!(1e39), "eps"),
        ("/spec/network/block_fc", json!(0), "block"),
        ("/spec/network/surprise", json!(1), "surprise"),
        (net, json!(3), "3"),
        (net, json!([]), "1 class"),
        (net, json!([["relu"]]), "a layer with its `type`"),
        (net, json!([{"type": "conv"}]), "out_channels"),
        (&first, json!({"type": "warp"}), "warp"),
        (&first, json!({"type": "custom", "kind": "mine"}), "mine"),
        (&first, nested(60, r#"{"type": "conv", "outputs": 4, "kernel": 3}"#), "block1"),
        (&first, nested(64, r#"{"type": "conv", "outputs": 4, "kernel": 3}"#), "recursion limit"),
        (&first, json!({"type": "linear", "outputs": 4}), "flatten"),
        (&second, json!({"type": "dropout", "probability": 5.0}), "probability"),
        (&second, json!({"type": "dropout", "probability": 1e39}), "probability"),
        (&second, json!({"type": "leaky_relu", "slope": 1e39}), "slope"),
        (&second, json!({"type": "resize", "size": [huge, huge]}), "9223372036854775808"),
        (&second, json!({"type": "adaptive_avg_pool", "size": [0, 1]}), "0"),
        (&second, json!({"type": "concat", "branches": []}), "at least one part"),
        (&second, json!({"type": "concat", "branches": vec![json!([]); 100_000]}), "layer"),
        (&third, json!({"type": "channel_deconv", "block": 2, "iterations": 1e9 as u64}), "iterations"),
        (&third, json!({"type": "channel_deconv", "block": huge}), "block"),
        (&third, json!({"type": "channel_deconv", "block": 2, "sampling_stride": 0}), "sampling stride"),
        (&outputs, json!(0), "out_channels is 0"),
        (&outputs, json!(-4), "a number of outputs"),
        (&outputs, json!(1e15 as u64), "1000000000000000"),
        (&outputs, json!(1e6 as u64), "1000000"),
        (&kernel, json!(0), "kernel is 0"),
        (&kernel, huge.clone(), "9223372036854775808"),
        (&kernel, json!(999), "999"),
        (&stride, json!(0), "stride is 0"),
        (&stride, huge.clone(), "layer"),
        (&padding, huge.clone(), "9223372036854775808"),
        (&padding, json!(1e6 as u64), "layer"),
        (&dilation, huge.clone(), "9223372036854775808"),
        (&groups, huge.clone(), "9223372036854775808"),
        (&iterations, json!(0), "iterations"),
        (&iterations, json!(1e9 as u64), "iterations"),
        (&block, json!(0), "block"),
        (&eps, json!(-1.0), "eps"),
        (&eps, json!(1e39), "eps"),
        (&momentum, json!(1e39), "momentum"),
        (&step, json!(0), "sampling_stride"),
        (&step, huge.clone(), "sampling_stride"),
        (&own, json!({"iteration": 3}), "iteration"),
        (&pool, huge.clone(), "9223372036854775808"),
    ];
    fs::write(dir.path().join("m.safetensors"), crafted(&model, |_| {})).unwrap();
    ok(dir.path(), "eval m.safetensors");
    all_are_refused(dir.path(), "m.safetensors", "eval m.safetensors", &cases, &model);
}

#[test]
fn runs_that_nobody_made_are_refused() {
    let (dir, [_, checkpoint]) = run();
    let huge = json!(1u64 << 63);
    let cases = [
        ("/run", json!(null), "without its run"),
        ("/run", json!([1]), "metadata that this version does not understand"),
        ("/run/progress/step", json!(u64::MAX), "progress"),
        ("/run/progress/step", json!(-3), "-3"),
        ("/run/progress/step", json!(4), "batch 3 of epoch 0 after 4 steps"),
        ("/run/progress/epoch", json!(1e9 as u64), "progress"),
        ("/run/progress/batch", huge.clone(), "progress"),
        ("/run/progress/epochs", json!(0), "progress"),
        ("/run/progress/seconds", json!(-1.0), "progress"),
        ("/run/progress/seconds", json!(null), "null"),
        ("/run/progress/last_eval", json!([1e39, 0.5]), "progress"),
        ("/run/progress/last_eval", json!([0.1, 5.0]), "progress"),
        ("/run/data/images", json!([64, 0]), "length"),
        ("/run/data/images", json!([huge, 0, 16]), "9223372036854775808 training"),
        ("/run/data/checksum", json!("x"), "checksum"),
        ("/run/options/lr", json!(-0.1), "--lr"),
        ("/run/options/lr", json!("0.1"), "0.1"),
        ("/run/options/lr", json!(0), "--lr"),
        ("/run/options/momentum", json!(1e39), "--momentum"),
        ("/run/options/weight_decay", json!(-1), "--weight-decay"),
        ("/run/options/label_smoothing", json!(1), "--label-smoothing"),
        ("/run/options/clip_grad_norm", json!(0), "--clip-grad-norm"),
        ("/run/options/ema", json!(1.5), "--ema"),
        ("/run/options/mixup", json!(-1), "--mixup"),
        ("/run/options/batch_size", json!(0), "--batch-size"),
        ("/run/options/batch_size", json!(u64::MAX), "--batch-size"),
        ("/run/options/accumulate", huge.clone(), "--accumulate"),
        ("/run/options/processes", huge.clone(), "processes"),
        ("/run/options/patience", json!(0), "--patience"),
        ("/run/options/patience", json!(3), "--patience"),
        ("/run/options/epochs", json!(0), "--epochs"),
        ("/run/options/epochs", json!(-1), "-1"),
        ("/run/options/steps", json!(0), "--steps"),
        ("/run/options/optimizer", json!("lion"), "lion"),
        ("/run/options/schedule", json!({}), "map"),
        ("/run/options/checkpoint_every", json!("0"), "0"),
        ("/run/options/class_weights", json!("1.0"), "class"),
        ("/run/options/class_weights", json!("-1,1,1,1,1,1,1,1,1,1"), "class"),
        ("/run/options/freeze", json!(["nowhere"]), "nowhere"),
        ("/run/options/limit_train", json!(0), "--limit-train"),
        ("/run/options/limit_train", json!(u64::MAX), "--limit-train"),
        ("/run/options/limit_test", huge.clone(), "--limit-test"),
        ("/run/options/seed", json!(-1), "-1"),
        ("/run/options/surprise", json!(1), "surprise"),
        ("/run/options/network/layers/0/kernel", json!(5), "begin a new run"),
        ("/run/options/network/whitening/iterations", json!(1e9 as u64), "iterations"),
        ("/run/options/data", json!("/dev/zero"), "/dev/zero"),
        ("/spec/network/layers/0/whitening/iterations", json!(1e9 as u64), "begin a new run"),
        ("/surprise", json!(1), "surprise"),
    ];
    let folder = dir.path().join("other");
    fs::create_dir(&folder).unwrap();
    let name = "other/checkpoint.safetensors";
    fs::write(dir.path().join(name), crafted(&checkpoint, |_| {})).unwrap();
    let output = mexhat(dir.path(), "train --resume other --steps 4");
    assert!(output.status.success(), "{}", text(&output.stderr));
    all_are_refused(dir.path(), name, "train --resume other --steps 6", &cases, &checkpoint);
}
