//! The program: what scripts rely on, and what bad input gets.

#![cfg(feature = "cli")]

mod support;

use serde_json::Value;
use std::fs;
use std::process::Command;
use support::{json, json_lines, mexhat, ok, refused, text};
use tempfile::TempDir;

const SMALL: &str = "train --model linear --norm none --limit-train 100 --limit-test 30 --batch-size 16";

#[test]
fn a_run_leaves_a_whole_folder_that_can_be_evaluated_and_gone_on_with() {
    let dir = TempDir::new().unwrap();
    let lines = json_lines(&ok(dir.path(), &format!("{SMALL} --epochs 2 --steps 10 --out run --json")));
    let of = |kind: &str| lines.iter().filter(|line| line["event"] == kind).cloned().collect::<Vec<_>>();
    let steps: Vec<u64> = of("step").iter().map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=10).collect::<Vec<_>>());
    assert_eq!(
        of("eval").iter().map(|e| (e["step"].as_u64(), e["epoch"].as_u64())).collect::<Vec<_>>(),
        [(Some(7), Some(1)), (Some(10), Some(1))]
    );
    assert_eq!((of("started").len(), of("done").len()), (1, 1));

    let run = dir.path().join("run");
    let mut files: Vec<String> =
        fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(
        files,
        [
            "checkpoint.previous.safetensors",
            "checkpoint.safetensors",
            "curves.svg",
            "data.json",
            "data.png",
            "kernels.png",
            "lock",
            "metrics.jsonl",
            "model.safetensors",
            "options.json",
            "summary.json"
        ]
    );
    let metrics = json_lines(&fs::read_to_string(run.join("metrics.jsonl")).unwrap());
    assert_eq!(
        metrics,
        lines.iter().filter(|l| l["event"] == "step" || l["event"] == "eval").cloned().collect::<Vec<_>>()
    );
    let summary: Value = serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap();
    for key in [
        "model",
        "norm",
        "data",
        "device",
        "backend",
        "steps",
        "epochs",
        "loss",
        "accuracy",
        "train_seconds",
        "images_per_second",
        "first_step_seconds",
        "gpu_bytes",
        "parameters",
    ] {
        assert!(!summary[key].is_null(), "{key} is missing in {summary}");
    }
    assert_eq!(summary["parameters"], 7850);
    let options: Value = serde_json::from_slice(&fs::read(run.join("options.json")).unwrap()).unwrap();
    assert_eq!(
        (&options["model"], &options["batch_size"], &options["epochs"]),
        (&"linear".into(), &16.into(), &2.into())
    );

    let found = json_lines(&ok(dir.path(), "eval run --limit-test 30 --json"));
    assert_eq!(found[0]["accuracy"], summary["accuracy"]);
    assert_eq!(found[0]["images"], 30);

    // The rest of the two epochs, and the same without a stop: the same network.
    ok(dir.path(), "train --resume run --json");
    ok(dir.path(), &format!("{SMALL} --epochs 2 --out whole --json"));
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    assert!(read("run/model.safetensors") == read("whole/model.safetensors"));
    let steps = |name: &str| {
        let lines = json_lines(&text(&read(name)));
        lines.into_iter().filter(|line| line["event"] == "step").collect::<Vec<_>>()
    };
    assert_eq!(steps("run/metrics.jsonl"), steps("whole/metrics.jsonl"));

    refused(dir.path(), "train --resume run --lr 0.5", 2, &["--lr cannot be changed"]);
    refused(dir.path(), &format!("{SMALL} --out run"), 2, &["run", "not empty", "--resume"]);
}

#[test]
fn plain_lines_where_there_is_no_terminal() {
    let dir = TempDir::new().unwrap();
    let shown = ok(dir.path(), &format!("{SMALL} --steps 5"));
    assert!(shown.contains("linear with norm none on glyphs") && shown.contains("test accuracy"), "{shown}");
    let runs: Vec<_> = fs::read_dir(dir.path().join("runs")).unwrap().collect();
    assert_eq!(runs.len(), 1);
    let name = runs[0].as_ref().unwrap().file_name().into_string().unwrap();
    assert!(name.ends_with("-linear-none"), "{name}");
}

#[test]
fn mixed_images_are_trained_on_shown_and_judged() {
    let dir = TempDir::new().unwrap();
    ok(dir.path(), &format!("{SMALL} --steps 3 --mixup 0.4 --out run"));
    assert!(dir.path().join("run/data.png").exists());
    ok(dir.path(), "train --resume run --steps 5");
    ok(dir.path(), "eval run");
}

#[test]
fn bad_input_is_refused_and_leaves_nothing_behind() {
    let dir = TempDir::new().unwrap();
    let path = dir.path();
    fs::write(path.join("file"), "x").unwrap();
    for (args, wanted) in [
        ("--model alexnet", &["unknown model 'alexnet'", "lenet"][..]),
        ("--norm instance", &["unknown norm 'instance'", "deconv, batch, group, layer, iterative, none"]),
        ("--num-groups 0", &["--num-groups is 0"]),
        ("--mixup 0", &["--mixup is 0", "above 0"]),
        ("--mixup 0.2 --class-weights balanced", &["--class-weights", "--mixup"]),
        ("--mode authors", &["unknown mode 'authors'"]),
        ("--schedule linear", &["unknown schedule 'linear'", "cosine, multistep, constant"]),
        ("--optimizer lion", &["unknown optimizer 'lion'"]),
        ("--device nonesuch", &["no device matches 'nonesuch'"]),
        ("--data nowhere", &["unknown data set 'nowhere'"]),
        ("--lr nan", &["--lr is NaN", "above 0"]),
        ("--lr -0.1", &["--lr is -0.1"]),
        ("--momentum 1.5", &["--momentum is 1.5"]),
        ("--epochs 0", &["--epochs is 0"]),
        ("--steps 0", &["--steps is 0"]),
        ("--block 0", &["--block is 0"]),
        ("--iterations 0", &["--iterations is 0"]),
        ("--eps 0", &["--eps is 0"]),
        ("--sampling-stride 0", &["--sampling-stride is 0"]),
        ("--limit-train 0", &["--limit-train 0"]),
        ("--out file", &["file", "is a file"]),
        ("--out file/run", &["file/run", "cannot be created"]),
        ("--resume nowhere", &["nowhere", "does not exist"]),
        ("--resume file", &["file", "safetensors"]),
        ("--no-such-option", &["--no-such-option"]),
    ] {
        refused(path, &format!("train {args}"), 2, wanted);
    }
    refused(path, "train --limit-train 64 --batch-size 0", 2, &["--batch-size is 0"]);
    refused(path, "train --limit-train 64 --batch-size 65", 2, &["--batch-size is 65", "only 64 training images"]);
    refused(path, "train --limit-train 999 --batch-size 99999999999", 2, &["--batch-size is 99999999999"]);
    refused(path, "eval nowhere", 2, &["nowhere", "does not exist"]);
    refused(path, "eval .", 2, &["model.safetensors", "cannot be read"]);
    refused(path, "bench step --model alexnet", 2, &["unknown model"]);
    refused(path, "bench step --shape 28", 2, &["--shape is '28'"]);
    refused(path, "bench matmul --shape 1x0x4x4", 2, &["--shape is '1x0x4x4'", "4 whole numbers"]);
    let huge = u64::MAX;
    refused(path, &format!("bench matmul --size {huge}"), 2, &["every size must be 1 to"]);
    refused(path, "bench matmul --size 100000", 2, &["more than", "values"]);
    for args in [
        "conv --kernel N",
        "conv --stride 0",
        "conv --padding N",
        "conv --outputs N",
        "covariance --block N",
        "covariance --kernel N",
    ] {
        refused(path, &format!("bench {}", args.replace('N', &huge.to_string())), 2, &["bench c"]);
    }
    refused(path, "bench newton-schulz --iterations 1000000", 2, &["--iterations: expected 1 to 200"]);
    refused(path, &format!("bench step --batch-size {huge}"), 2, &["values a batch"]);
    refused(path, &format!("bench matmul --runs {huge}"), 2, &["--runs is 1 to"]);
    refused(path, "train --iterations 4000000000", 2, &["--iterations is 4000000000; expected 1 to 200"]);
    refused(path, "train --checkpoint-every 5d", 2, &["'5d'", "30s"]);
    refused(path, "bench conv --groups 7", 2, &["7 groups", "64 channels"]);
    refused(path, "frobnicate", 2, &["frobnicate"]);
    let left: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["file"], "bad input left something behind");
}

#[test]
fn a_run_that_diverges_fails_with_a_whole_folder() {
    let dir = TempDir::new().unwrap();
    let output = mexhat(dir.path(), &format!("{SMALL} --lr 1e38 --epochs 5 --weight-decay 0 --out run --json"));
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("diverged") && error.contains("--lr"), "{error}");
    json_lines(&text(&output.stdout));
    for name in ["options.json", "metrics.jsonl", "summary.json", "model.safetensors", "checkpoint.safetensors"] {
        assert!(dir.path().join("run").join(name).exists(), "{name} is missing");
    }
}

#[test]
fn devices_and_help() {
    let dir = TempDir::new().unwrap();
    let listed = json_lines(&ok(dir.path(), "devices --json"));
    assert_eq!(listed.iter().filter(|device| device["default"] == true).count(), 1);
    for key in ["index", "name", "backend", "kind", "driver"] {
        assert!(!listed[0][key].is_null(), "{key}");
    }
    assert!(ok(dir.path(), "devices").contains("(default)"));
    for command in ["", "devices", "train", "eval", "bench", "bench step", "bench matmul"] {
        assert!(ok(dir.path(), &format!("{command} --help")).contains("Example"), "{command} --help has no example");
    }
}

#[test]
fn a_bench_prints_one_object() {
    let dir = TempDir::new().unwrap();
    let args = "bench step --model linear --norm none --batch-size 8 --steps 3 --json";
    let found = json_lines(&ok(dir.path(), args));
    assert_eq!(found.len(), 1);
    for key in [
        "bench",
        "model",
        "norm",
        "batch_size",
        "median_ms",
        "min_ms",
        "steps",
        "first_step_ms",
        "gpu_bytes",
        "submissions_per_step",
        "dispatches_per_step",
        "device",
    ] {
        assert!(!found[0][key].is_null(), "{key} is missing in {}", found[0]);
    }
    assert_eq!(found[0]["bench"], "step");
    assert_eq!(found[0]["submissions_per_step"], 1.0);
    // A label for each pixel.
    let args = "bench step --model deeplabv3-resnet50 --width 0.0625 --shape 3x32x32 --norm batch --batch-size 2 --steps 1 \
                --warm-up 0 --json";
    assert_eq!(json_lines(&ok(dir.path(), args))[0]["model"], "deeplabv3-resnet50");
}

#[test]
fn every_kind_of_bench_prints_one_object() {
    let dir = TempDir::new().unwrap();
    let kinds = [
        ("matmul --size 20", vec!["size"]),
        ("conv --shape 1x4x6x6 --outputs 5 --pass weight-grad --row-major", vec!["shape"]),
        ("covariance --shape 2x4x8x8", vec!["shape"]),
        ("newton-schulz --shape 2x8 --iterations 3 --backward", vec!["shape"]),
    ];
    for (kind, own) in kinds {
        let found = json_lines(&ok(dir.path(), &format!("bench {kind} --runs 2 --warm-up 1 --json")));
        assert_eq!(found.len(), 1, "{kind}");
        let numbers = ["median_ms", "gflops", "peak_gflops", "share_of_peak"];
        for key in ["bench", "device"].into_iter().chain(numbers).chain(own) {
            assert!(!found[0][key].is_null(), "{kind}: {key} is missing in {}", found[0]);
        }
        assert_eq!(found[0]["bench"], kind.split(' ').next().unwrap());
        for key in numbers {
            assert!(found[0][key].as_f64().unwrap() > 0.0, "{kind}: {key} in {}", found[0]);
        }
    }
    let found = json_lines(&ok(dir.path(), "bench dispatch --runs 2 --json"));
    for key in ["dispatch_us", "submission_us", "read_back_us", "copy_gb_per_s", "peak_gflops"] {
        assert!(found[0][key].as_f64().unwrap() > 0.0, "{key} in {}", found[0]);
    }
}

/// Ctrl-C ends the run in order.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_cleanly() {
    use std::io::{BufRead, BufReader, Read};
    let dir = TempDir::new().unwrap();
    let args = format!("{SMALL} --epochs 100000 --out run");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mexhat"))
        .current_dir(dir.path())
        .args(args.split_whitespace())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("step 50/") {
        line.clear();
        assert!(shown.read_line(&mut line).unwrap() > 0, "the run ended by itself");
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    shown.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
    assert!(rest.contains("interrupted") && rest.contains("--resume run"), "{rest}");
    let summary: Value = serde_json::from_slice(&fs::read(dir.path().join("run/summary.json")).unwrap()).unwrap();
    let metrics = fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    let steps = json_lines(&metrics).iter().filter(|line| line["event"] == "step").count();
    assert_eq!(summary["steps"], steps);
    assert!(dir.path().join("run/checkpoint.safetensors").exists());
}

#[test]
fn a_run_with_patience_says_why_it_ended_and_keeps_the_best() {
    let dir = TempDir::new().unwrap();
    // A rate that changes no weight: no epoch is better than the first.
    let said = ok(
        dir.path(),
        "train --model linear --norm none --limit-train 200 --limit-test 30 --batch-size 16 --accumulate 2 --ema 0.9 \
         --class-weights balanced --validation 0.2 --patience 2 --epochs 9 --lr 1e-30 --out run",
    );
    for wanted in [
        "held back for validation",
        "stopped early: 2 epochs no better on the validation images than epoch 1",
        "is best.safetensors",
    ] {
        assert!(said.contains(wanted), "'{wanted}' is missing in: {said}");
    }
    let summary = json(&dir.path().join("run/summary.json"));
    assert_eq!((&summary["epochs"], &summary["best"]["epoch"]), (&3.into(), &1.into()));
    ok(dir.path(), "eval run/best.safetensors");
    let again = mexhat(dir.path(), "train --resume run --epochs 20");
    assert!(text(&again.stderr).contains("stopped early after epoch 3"), "{}", text(&again.stderr));
    refused(dir.path(), "train --patience 2", 2, &["--patience", "--validation"]);
    refused(dir.path(), "train --class-weights 1,2", 2, &["--class-weights has 2 numbers", "10 classes"]);
    refused(dir.path(), "train --class-weights even", 2, &["balanced"]);
    refused(dir.path(), "train --ema 1", 2, &["--ema is 1"]);
}

/// Started as one of several without MPI, each process would train a network of its own.
#[cfg(not(feature = "mpi"))]
#[test]
fn one_of_several_needs_mpi() {
    let dir = TempDir::new().unwrap();
    let started = |variables: &[(&str, &str)]| {
        let mut command = support::command(dir.path(), "train --limit-train 32 --limit-test 32 --steps 1 --out run");
        command.envs(variables.iter().copied()).output().unwrap()
    };
    for launcher in [
        &[("OMPI_COMM_WORLD_SIZE", "2")][..],
        &[("PMI_SIZE", "2")],
        &[("MV2_COMM_WORLD_SIZE", "2")],
        &[("PMIX_RANK", "1"), ("SLURM_STEP_NUM_TASKS", "2")],
    ] {
        let refused = started(launcher);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{launcher:?}: {said}");
        assert!(said.contains("started several processes") && said.contains("--features mpi"), "{launcher:?}: {said}");
        assert!(!dir.path().join("run").exists(), "{launcher:?}");
    }
    // Tasks of a step that are none of MPI, such as runs side by side with other seeds, are left alone.
    let alone = started(&[("SLURM_STEP_NUM_TASKS", "2")]);
    assert_eq!(alone.status.code(), Some(0), "{}", text(&alone.stderr));
}

#[test]
fn data_sets_are_looked_for_in_the_folder_of_the_environment_too() {
    let dir = TempDir::new().unwrap();
    let looked_for = |given: &str| {
        let mut command = support::command(dir.path(), "train --data mnist --steps 1");
        let output = command.env("MEXHAT_DATA", given).env("XDG_DATA_HOME", dir.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr)
    };
    let given = dir.path().join("given").display().to_string();
    assert!(looked_for(&given).contains(&format!("looked for data/mnist, {given}/mnist, ")), "{}", looked_for(&given));
    assert!(!looked_for("").contains("given"), "an empty variable names no folder");
}

#[test]
fn values_of_a_file_of_which_little_fits_are_warned_of() {
    let dir = TempDir::new().unwrap();
    let network = |name: &str, layers: &str| {
        let text = format!(
            "layers = [{{ type = \"conv\", outputs = 2, kernel = 3 }}, {{ type = \"flatten\" }}, {layers} \
             {{ type = \"linear\", outputs = \"classes\" }}]"
        );
        fs::write(dir.path().join(name), text).unwrap();
    };
    network("a.toml", "");
    network("b.toml", "{ type = \"linear\", outputs = 8 },");
    let small = "train --norm none --limit-train 20 --limit-test 10 --batch-size 10 --steps 1";
    ok(dir.path(), &format!("{small} --model a.toml --out a"));
    let warned = |model: &str, out: &str| {
        let output = mexhat(dir.path(), &format!("{small} --model {model} --init a --out {out}"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said = text(&output.stderr);
        said.lines().find(|line| line.starts_with("warning: ")).map(str::to_owned)
    };
    assert_eq!(warned("a.toml", "again"), None, "all of it fits");
    // A file of our own that is cut short.
    let whole = fs::read(dir.path().join("a/model.safetensors")).unwrap();
    fs::write(dir.path().join("cut.safetensors"), &whole[..whole.len() - 100]).unwrap();
    let output = mexhat(dir.path(), &format!("{small} --model a.toml --init cut.safetensors --out cut"));
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("cut short") && !said.contains("PyTorch"), "{said}");
    // A convolution of 20 values, of 20 + 1568 * 8 + 8 + 8 * 10 + 10.
    let warning = warned("b.toml", "b").expect("a warning");
    assert!(warning.contains("only 20 of 12662 parameters (0.2 %) come from a/model.safetensors"), "{warning}");
}

#[test]
fn a_covariance_of_few_patches_is_warned_of() {
    let dir = TempDir::new().unwrap();
    let picture = image::RgbImage::from_fn(16, 18, |x, y| image::Rgb([x as u8 * 15, y as u8 * 14, (x * y) as u8]));
    picture.save(dir.path().join("small.png")).unwrap();
    let said = |size: usize| {
        let output = mexhat(dir.path(), &format!("kernels small.png --kernel-size {size} --out k{size}"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).contains("small (18 x 16)"), "{}", text(&output.stdout));
        text(&output.stderr)
    };
    let warned = said(13);
    assert!(warned.contains("warning: the covariance of 507 x 507 values comes from 24 patches"), "{warned}");
    assert!(!said(3).contains("warning: the covariance"));
}
