//! `mexhat compare`: runs that differ by their seed alone are one row.

#![cfg(feature = "cli")]

mod support;

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use support::{json_lines, ok, refused};
use tempfile::TempDir;

/// A run folder with `steps` steps whose loss is `level`, and an evaluation after each tenth.
fn run(dir: &Path, name: &str, options: &Value, level: f64, steps: u64) {
    let folder = dir.join(name);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("options.json"), options.to_string()).unwrap();
    let mut lines = Vec::new();
    for step in 1..=steps {
        lines.push(json!({"event": "step", "step": step, "epoch": 0, "loss": level, "lr": 0.1}).to_string());
        if step % 10 == 0 {
            let accuracy = 1.0 - level;
            let eval = json!({"event": "eval", "step": step, "epoch": 1, "loss": 2.0 * level, "accuracy": accuracy});
            lines.push(eval.to_string());
        }
    }
    // As a run leaves it that is still being written.
    fs::write(folder.join("metrics.jsonl"), lines.join("\n") + "\n{\"event\":\"st").unwrap();
}

#[test]
fn seeds_are_one_row_with_mean_and_deviation() {
    let dir = TempDir::new().unwrap();
    let of = |norm: &str, seed: u64| json!({"norm": norm, "seed": seed});
    run(dir.path(), "a", &of("deconv", 0), 0.1, 30);
    run(dir.path(), "b", &of("batch", 0), 0.25, 40);
    run(dir.path(), "c", &of("deconv", 1), 0.2, 20);
    let rows = json_lines(&ok(dir.path(), "compare a b c --json"));
    assert_eq!(rows.len(), 2);
    let (deconv, batch) = (&rows[0], &rows[1]);
    assert_eq!((&deconv["name"], &deconv["seeds"], &deconv["steps"]), (&"deconv".into(), &json!([0, 1]), &20.into()));
    assert_eq!((&batch["name"], &batch["seeds"], &batch["steps"]), (&"batch".into(), &json!([0]), &40.into()));
    let near = |value: &Value, expected: f64| assert!((value.as_f64().unwrap() - expected).abs() < 1e-6, "{value}");
    near(&deconv["accuracy"]["mean"], 0.85);
    near(&deconv["accuracy"]["std"], 0.005f64.sqrt());
    near(&deconv["loss"]["mean"], 0.3);
    near(&deconv["training_loss"]["mean"], 0.15);
    near(&batch["accuracy"]["mean"], 0.75);
    assert!(batch["accuracy"]["std"].is_null());
    let svg = fs::read_to_string(dir.path().join("compare.svg")).unwrap();
    assert!(svg.contains("deconv") && svg.contains("batch"));
    assert!(svg.contains("lenet on glyphs, by norm"), "no title");
    let told = ok(dir.path(), "compare a b c --out norms.svg");
    assert!(told.contains("85.00 ± 7.07") && told.contains("norms.svg"), "{told}");
}

#[test]
fn validation_images_are_not_taken_for_test_images() {
    let dir = TempDir::new().unwrap();
    run(dir.path(), "a", &json!({"seed": 0}), 0.1, 10);
    let metrics = dir.path().join("a/metrics.jsonl");
    let mut text = fs::read_to_string(&metrics).unwrap().replace("{\"event\":\"st", "");
    for (split, accuracy) in [("validation", 0.25), ("test", 0.5), ("validation", 0.75)] {
        let eval = json!({"event": "eval", "step": 12, "epoch": 1, "split": split, "loss": 1.0, "accuracy": accuracy});
        text += &format!("{eval}\n");
    }
    fs::write(&metrics, text).unwrap();
    let rows = json_lines(&ok(dir.path(), "compare a --json"));
    assert_eq!(rows[0]["accuracy"]["mean"], 0.5);
}

#[test]
fn runs_that_diverged_and_maps_of_classes_are_told() {
    let dir = TempDir::new().unwrap();
    let of = |norm: &str, seed: u64| json!({"norm": norm, "seed": seed, "label_smoothing": 0.1});
    run(dir.path(), "a", &of("deconv", 0), 0.1, 10);
    run(dir.path(), "b", &of("batch", 0), 0.1, 10);
    run(dir.path(), "c", &of("none", 0), 1e30, 10);
    for (name, loss, accuracy, iou) in
        [("a", json!(0.2), json!(0.9), json!(0.5)), ("b", Value::Null, Value::Null, Value::Null)]
    {
        let metrics = dir.path().join(name).join("metrics.jsonl");
        let text = fs::read_to_string(&metrics).unwrap().replace("{\"event\":\"st", "");
        let eval =
            json!({"event": "eval", "step": 10, "epoch": 1, "loss": loss, "accuracy": accuracy, "mean_iou": iou});
        // In place of the last line, which has no mean_iou.
        let kept: Vec<&str> = text.lines().filter(|line| !line.contains("eval")).collect();
        fs::write(&metrics, format!("{}\n{eval}\n", kept.join("\n"))).unwrap();
    }
    let rows = json_lines(&ok(dir.path(), "compare a b c --json"));
    assert_eq!(rows.iter().map(|row| row["diverged"].as_u64()).collect::<Vec<_>>(), [Some(0), Some(1), Some(0)]);
    assert_eq!((&rows[0]["mean_iou"]["mean"], &rows[1]["mean_iou"]), (&json!(0.5), &Value::Null));
    assert!(rows[1]["accuracy"]["mean"].is_null(), "a network without answers has no accuracy");
    let told = ok(dir.path(), "compare a b c");
    for words in ["batch (diverged)", "test mean IoU, %", "50.00", "of pixels", "1.0e30"] {
        assert!(told.contains(words), "no '{words}' in {told}");
    }
    assert!(!told.contains("deconv (diverged)"), "{told}");
}

#[test]
fn rows_are_called_by_what_differs() {
    let dir = TempDir::new().unwrap();
    run(dir.path(), "a", &json!({"norm": "batch", "lr": 0.1, "seed": 3}), 0.1, 10);
    run(dir.path(), "b", &json!({"norm": "batch", "lr": 0.3, "seed": 3}), 0.2, 10);
    let rows = json_lines(&ok(dir.path(), "compare a b --json"));
    assert_eq!([&rows[0]["name"], &rows[1]["name"]], ["lr 0.1", "lr 0.3"]);
    run(dir.path(), "c", &json!({"norm": "batch", "lr": 0.1, "seed": 3, "mixup": 0.2}), 0.2, 10);
    let rows = json_lines(&ok(dir.path(), "compare a c --json"));
    assert_eq!(rows[1]["name"], "mixup 0.2");
    let alone = json_lines(&ok(dir.path(), "compare a --json"));
    assert_eq!(alone[0]["name"], "lenet, batch");
}

#[test]
fn what_is_no_run_is_refused() {
    let dir = TempDir::new().unwrap();
    run(dir.path(), "a", &json!({"seed": 3}), 0.1, 10);
    run(dir.path(), "b", &json!({"seed": 3}), 0.1, 10);
    run(dir.path(), "empty", &json!({"seed": 4}), 0.1, 0);
    fs::create_dir(dir.path().join("nothing")).unwrap();
    refused(dir.path(), "compare a b", 2, &["same options and seed"]);
    refused(dir.path(), "compare a empty", 2, &["no step"]);
    refused(dir.path(), "compare nothing", 2, &["no run folder"]);
    assert!(!dir.path().join("compare.svg").exists());
}
