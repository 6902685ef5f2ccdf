//! Networks in TOML files, and what is told of a network before it is trained.

#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::path::Path;
use support::{json_lines, ok, refused};
use tempfile::TempDir;

const FEW: &str = "--limit-train 320 --limit-test 32 --batch-size 16";

fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/networks").join(name).display().to_string()
}

#[test]
fn lenet_in_a_file_learns_what_lenet_learns() {
    let dir = TempDir::new().unwrap();
    for (model, out) in [("lenet".into(), "named"), (file("lenet.toml"), "written")] {
        ok(dir.path(), &format!("train --model {model} {FEW} --steps 20 --out {out}"));
    }
    let model = |run: &str| fs::read(dir.path().join(run).join("model.safetensors")).unwrap();
    assert_eq!(model("named"), model("written"));
}

#[test]
fn a_run_with_a_network_of_a_file_goes_on_and_is_judged_without_the_file() {
    let dir = TempDir::new().unwrap();
    fs::copy(file("branches.toml"), dir.path().join("net.toml")).unwrap();
    ok(dir.path(), &format!("train --model net.toml {FEW} --steps 4 --epochs 1 --out run"));
    fs::remove_file(dir.path().join("net.toml")).unwrap();
    let lines = json_lines(&ok(dir.path(), "train --resume run --steps 6 --json"));
    let last = lines.iter().rfind(|line| line["event"] == "done").unwrap();
    assert_eq!((&last["model"], &last["steps"], &last["norm"]), (&"net".into(), &6.into(), &"batch".into()));
    let found = json_lines(&ok(dir.path(), "eval run --json"));
    assert_eq!(found[0]["images"], 32);
}

#[test]
fn the_networks_of_the_readme_train() {
    let dir = TempDir::new().unwrap();
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let networks: Vec<&str> = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(networks.len(), 3);
    for (i, network) in networks.into_iter().enumerate() {
        fs::write(dir.path().join("net.toml"), network).unwrap();
        ok(dir.path(), &format!("train --model net.toml {FEW} --steps 2 --out run{i}"));
    }
}

#[test]
fn a_summary_foretells_parameters_and_memory() {
    let dir = TempDir::new().unwrap();
    for model in [
        "--model lenet".into(),
        "--model lenet --norm batch".into(),
        "--model lenet --norm group --num-groups 8".into(),
        "--model densenet121 --norm iterative --block 16".into(),
        "--model lenet --accumulate 2 --ema 0.9".into(),
        "--model resnet18 --norm none --optimizer adam".into(),
        format!("--model {}", file("residual.toml")),
    ] {
        let told = json_lines(&ok(dir.path(), &format!("train {model} {FEW} --summary --json"))).remove(0);
        let lines = json_lines(&ok(dir.path(), &format!("train {model} {FEW} --steps 1 --out run --json")));
        fs::remove_dir_all(dir.path().join("run")).unwrap();
        let started = lines.iter().find(|line| line["event"] == "started").unwrap();
        assert_eq!(told["parameters"], started["parameters"], "{model}");
        let memory: f64 = told["memory"].as_object().unwrap().values().map(|kind| kind.as_f64().unwrap()).sum();
        let share = memory / started["gpu_bytes"].as_f64().unwrap();
        assert!((0.95..1.05).contains(&share), "{model}: {memory} foretold, {started}");
        let of_layers: u64 = told["layers"].as_array().unwrap().iter().map(|l| l["parameters"].as_u64().unwrap()).sum();
        assert_eq!(told["parameters"], of_layers, "{model}");
    }
    assert!(!dir.path().join("runs").exists());
}

#[test]
fn multiply_adds_are_those_on_paper() {
    let dir = TempDir::new().unwrap();
    let told = json_lines(&ok(dir.path(), &format!("train --norm none {FEW} --summary --json"))).remove(0);
    // LeNet at 28x28: 5x5 from 1 to 16 and from 16 to 32 channels, then 1568 to 128 to 10 features.
    let products = 28 * 28 * 16 * 25 + 14 * 14 * 32 * 16 * 25 + 1568 * 128 + 128 * 10;
    assert_eq!(told["flops"], 2 * products);
}

#[test]
fn mistakes_in_a_file_are_named() {
    let dir = TempDir::new().unwrap();
    let write = |text: &str| fs::write(dir.path().join("net.toml"), text).unwrap();
    write("layers = [\n  { type = \"conv\", out_channels = 8, kernal = 3 },\n]");
    // Not "unknown field `kernal`, expected one of --out_channels, --kernel": keys of a file are no options of the
    // program.
    refused(
        dir.path(),
        "train --model net.toml",
        2,
        &[
            "net.toml: is no description",
            "line 2, column 38: unknown field 'kernal', expected one of 'out_channels', 'kernel', 'stride'",
        ],
    );
    write(
        "layers = [\n  { type = \"gate\", gate = [\n    { type = \"conv\", out_channels = 8, kernel = \"3\" },\n  ] },\n]",
    );
    refused(dir.path(), "train --model net.toml", 2, &["line 3, column 40: 'kernel': invalid type: string \"3\""]);
    write(
        "layers = [\n  { type = \"flatten\" },\n  { type = \"linear\", out_features = 10, whitening = {\n eps = 0 } },\n]",
    );
    for args in ["", "--summary"] {
        let args = format!("train --model net.toml --limit-train 32 --limit-test 32 {args}");
        refused(dir.path(), &args, 2, &["net.toml: line 4: layer 'fc1'", "eps is 0; expected a number above 0"]);
    }
    write("layers = [\n  { type = \"flatten\" },\n  { type = \"linear\", out_features = 3 },\n]");
    refused(
        dir.path(),
        "train --model net.toml --limit-train 32 --limit-test 32",
        2,
        &["change its input and its last layer"],
    );
    refused(dir.path(), "train --model net.toml --first-iterations 3", 2, &["--first-iterations"]);
    refused(dir.path(), "train --model missing.toml", 2, &["missing.toml"]);
    // Sums of sides that would come round to small ones, and weights that no adapter binds: refused before they are
    // made.
    let layers =
        |layers: &str| write(&format!("layers = [{layers}, {{ type = \"linear\", out_features = \"classes\" }}]"));
    for (field, side) in [("padding", i64::MAX), ("padding", 1 << 62), ("dilation", 1 << 62), ("stride", 1 << 40)] {
        layers(&format!(
            "{{ type = \"conv\", out_channels = 8, kernel = 3, {field} = {side} }}, {{ type = \"flatten\" }}"
        ));
        refused(dir.path(), "train --model net.toml --summary", 2, &["conv1", "at most 32768", &side.to_string()]);
    }
    layers("{ type = \"flatten\" }, { type = \"linear\", out_features = 1000000 }");
    let begun = std::time::Instant::now();
    refused(dir.path(), "train --model net.toml --summary", 2, &["a weight of [1000000, 784]", "is needed"]);
    assert!(begun.elapsed().as_secs() < 30, "values were made first");
    #[cfg(unix)]
    {
        assert!(std::process::Command::new("mkfifo").arg(dir.path().join("pipe.toml")).status().unwrap().success());
        refused(dir.path(), "train --model pipe.toml", 2, &["no ordinary file; expected a list of layers"]);
        refused(dir.path(), "kernels pipe.toml", 2, &["no ordinary file; expected an image"]);
    }
    assert!(!dir.path().join("runs").exists());
}
