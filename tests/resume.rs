//! Runs that end before their end, in every way, and go on exactly.

#![cfg(feature = "cli")]

#[cfg(target_os = "linux")]
#[path = "common/skip.rs"]
mod skip;
mod support;

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::{command, json, json_lines, mexhat, ok, refused, steps, text};
use tempfile::TempDir;

const SMALL: &str = "train --model linear --norm batch --limit-train 100 --limit-test 30 --batch-size 16";
const CHECKPOINT: &str = "checkpoint.safetensors";
const PREVIOUS: &str = "checkpoint.previous.safetensors";

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

/// Step of a checkpoint.
fn step_of(path: impl AsRef<Path>) -> u64 {
    let bytes = read(path);
    let header = &bytes[8..8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize];
    let header: Value = serde_json::from_slice(header).unwrap();
    let metadata: Value = serde_json::from_str(header["__metadata__"]["mexhat"].as_str().unwrap()).unwrap();
    metadata["run"]["progress"]["step"].as_u64().unwrap()
}

#[test]
fn a_killed_run_goes_on_to_the_same_bytes() {
    let dir = TempDir::new().unwrap();
    let args = format!("{SMALL} --epochs 30 --checkpoint-every 7");
    ok(dir.path(), &format!("{args} --out whole"));
    let whole = dir.path().join("whole");
    // The first ones are killed before there is a checkpoint, or a folder at all.
    let mut resumed = 0;
    for i in 0..8u64 {
        let out = format!("run{i}");
        let run = dir.path().join(&out);
        let mut child = command(dir.path(), &format!("{args} --out {out}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // As soon as the folder is there, or after so many steps on disk.
        let wanted = [0, 0, 1, 7, 20, 50, 100, 150][i as usize];
        let begin = Instant::now();
        let far = || {
            let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
            run.join("options.json").exists() && metrics.matches("\"step\",").count() >= wanted
        };
        while child.try_wait().unwrap().is_none() && !far() && begin.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(3));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        ok(dir.path(), &format!("train --resume {out}"));
        for name in ["model.safetensors", "metrics.jsonl"] {
            assert!(read(run.join(name)) == read(whole.join(name)), "{name} of run {i}");
        }
        resumed += 1;
    }
    assert_eq!(resumed, 8);
}

#[test]
fn a_damaged_checkpoint_is_refused_and_the_one_before_it_taken() {
    let dir = TempDir::new().unwrap();
    ok(dir.path(), &format!("{SMALL} --epochs 4 --checkpoint-every 5 --steps 24 --out run"));
    ok(dir.path(), &format!("{SMALL} --epochs 4 --out whole"));
    let (run, whole) = (dir.path().join("run"), dir.path().join("whole"));
    assert_eq!((step_of(run.join(CHECKPOINT)), step_of(run.join(PREVIOUS))), (24, 20));
    let good = read(run.join(CHECKPOINT));
    let damage: [(&str, &dyn Fn() -> Vec<u8>); 6] = [
        ("truncated", &|| good[..good.len() - 100].to_vec()),
        ("empty", &Vec::new),
        ("a flipped bit of a weight", &|| flipped(&good, good.len() - 1000)),
        ("a flipped bit of a momentum", &|| flipped(&good, good.len() / 2)),
        ("a flipped bit of the metadata", &|| {
            flipped(&good, good.windows(10).position(|w| w == b"\\\"step\\\":2").unwrap() + 9)
        }),
        ("foreign", &|| b"PK\x03\x04 something else".to_vec()),
    ];
    for (what, bytes) in damage {
        fs::write(run.join(CHECKPOINT), bytes()).unwrap();
        let output = mexhat(dir.path(), "train --resume run --steps 22");
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{what}: {error}");
        assert!(error.contains("checkpoint.safetensors") && error.contains("the one before it"), "{what}: {error}");
        // The damaged one has not driven out the whole one.
        assert_eq!((step_of(run.join(CHECKPOINT)), step_of(run.join(PREVIOUS))), (22, 20), "{what}");
        assert_eq!(steps(&run), (1..=22).collect::<Vec<_>>(), "{what}");
        refused(dir.path(), "eval nowhere", 2, &["does not exist"]);
    }
    // Without the last one, as between two renames.
    fs::remove_file(run.join(CHECKPOINT)).unwrap();
    // Of step 20, so the pause at step 24 still lies ahead.
    ok(dir.path(), "train --resume run");
    ok(dir.path(), "train --resume run");
    assert!(read(run.join("model.safetensors")) == read(whole.join("model.safetensors")));
    for name in [CHECKPOINT, PREVIOUS] {
        fs::write(run.join(name), "x").unwrap();
    }
    refused(dir.path(), "train --resume run", 2, &["checkpoint.safetensors", "not a whole safetensors file"]);
    let model = read(run.join("model.safetensors"));
    fs::write(dir.path().join("bad.safetensors"), flipped(&model, model.len() - 5)).unwrap();
    refused(dir.path(), "eval bad.safetensors", 2, &["bad.safetensors", "checksum"]);
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0x10;
    bytes
}

#[test]
fn a_run_that_has_ended_is_left_as_it_is() {
    let dir = TempDir::new().unwrap();
    for (length, done) in [("--epochs 2", 14), ("--steps 10", 10)] {
        let run = dir.path().join("run");
        fs::remove_dir_all(&run).ok();
        ok(dir.path(), &format!("{SMALL} {length} --out run"));
        let before =
            ["metrics.jsonl", "summary.json", "model.safetensors", CHECKPOINT].map(|name| read(run.join(name)));
        for args in ["", " --json", &format!(" --steps {}", done - 3), &format!(" --steps {done}")] {
            let output = mexhat(dir.path(), &format!("train --resume run{args}"));
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{length}{args}: {said}");
            assert!(said.contains(&format!("has done {done} steps (")) && said.contains("nothing"), "{said}");
            assert_eq!(said.contains("so --steps "), args.contains("--steps"), "{said}");
            let after = ["metrics.jsonl", "summary.json", "model.safetensors", CHECKPOINT];
            assert!(after.map(|name| read(run.join(name))) == before, "{length}{args} changed the run");
        }
        // Longer is what was asked for.
        ok(dir.path(), "train --resume run --epochs 3");
        assert_eq!(steps(&run), (1..=21).collect::<Vec<_>>());
    }
    ok(dir.path(), &format!("{SMALL} --steps 10 --out more"));
    ok(dir.path(), "train --resume more --steps 30");
    assert_eq!(steps(&dir.path().join("more")).len(), 30);
}

#[test]
fn a_checkpoint_of_another_run_is_refused_and_the_one_before_it_taken() {
    let dir = TempDir::new().unwrap();
    ok(dir.path(), &format!("{SMALL} --epochs 4 --checkpoint-every 5 --steps 24 --out run"));
    ok(dir.path(), &format!("{SMALL} --epochs 1 --seed 7 --out other"));
    let [run, other] = ["run", "other"].map(|name| dir.path().join(name));
    let before = step_of(run.join(PREVIOUS));
    fs::copy(other.join(CHECKPOINT), run.join(CHECKPOINT)).unwrap();
    let output = mexhat(dir.path(), "train --resume run");
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("is of another run: its seed is 7, and this run's 0. Going on from the one before it"),
        "{said}"
    );
    assert_eq!(steps(&run), (1..=24).collect::<Vec<_>>(), "from step {before} on");
    fs::copy(other.join(CHECKPOINT), run.join(CHECKPOINT)).unwrap();
    fs::copy(other.join(CHECKPOINT), run.join(PREVIOUS)).unwrap();
    refused(dir.path(), "train --resume run --epochs 5", 2, &["is of another run"]);
    // Named by itself it goes on where it lies, as that run.
    let named = format!("train --resume {} --epochs 2", other.join(CHECKPOINT).display());
    ok(dir.path(), &named);
}

#[test]
fn a_network_that_lost_its_checkpoints_is_not_begun_anew() {
    let dir = TempDir::new().unwrap();
    ok(dir.path(), &format!("{SMALL} --epochs 1 --out run"));
    let run = dir.path().join("run");
    for name in [CHECKPOINT, PREVIOUS] {
        fs::remove_file(run.join(name)).ok();
    }
    let before = ["metrics.jsonl", "model.safetensors"].map(|name| read(run.join(name)));
    refused(dir.path(), "train --resume run --epochs 2", 2, &["has no checkpoint", "--init"]);
    assert!(["metrics.jsonl", "model.safetensors"].map(|name| read(run.join(name))) == before);
}

#[test]
fn gaps_in_the_metrics_are_named() {
    let dir = TempDir::new().unwrap();
    ok(dir.path(), &format!("{SMALL} --epochs 3 --steps 14 --out run"));
    let path = dir.path().join("run/metrics.jsonl");
    let metrics = fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = metrics
        .lines()
        .filter(|line| {
            !["3", "7", "8", "14"]
                .iter()
                .any(|step| line.starts_with(&format!("{{\"event\":\"step\",\"step\":{step},")))
        })
        .collect();
    // What is no text is a line that cannot be read, and no more.
    fs::write(&path, [kept.join("\n").as_bytes(), b"\n\xff\xfe\n"].concat()).unwrap();
    let output = mexhat(dir.path(), "train --resume run");
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("lacks steps 3, 7 to 8, 14"), "{said}");
    let output = mexhat(dir.path(), "train --resume run --epochs 4");
    assert!(text(&output.stderr).contains("lacks steps 3, 7 to 8, 14, "), "{}", text(&output.stderr));
}

/// Two classes of pictures in `train/` and `test/`, `n` and 4 of each.
fn pictures(dir: &Path, n: u8) {
    for (split, n) in [("train", n), ("test", 4)] {
        for class in ["dark", "light"] {
            let folder = dir.join(split).join(class);
            fs::create_dir_all(&folder).unwrap();
            for i in 0..n {
                let base = if class == "dark" { 10 } else { 200 };
                let pixels: Vec<u8> = (0..64).map(|p| base + (p * 7 + i * 13) % 40).collect();
                let picture = image::GrayImage::from_raw(8, 8, pixels).unwrap();
                picture.save(folder.join(format!("{i:02}.png"))).unwrap();
            }
        }
    }
}

#[test]
fn other_data_is_noticed_and_moved_data_found() {
    let dir = TempDir::new().unwrap();
    pictures(&dir.path().join("photos"), 16);
    let train = "train --model linear --norm none --batch-size 8 --lr 0.01";
    ok(dir.path(), &format!("{train} --data photos --epochs 3 --steps 6 --out run"));
    let run = dir.path().join("run");
    let options = json(&run.join("options.json"));
    assert!(Path::new(options["data"].as_str().unwrap()).is_absolute(), "{options}");
    // From elsewhere, and with the data elsewhere.
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    ok(&elsewhere, "train --resume ../run --steps 8");
    fs::rename(dir.path().join("photos"), dir.path().join("moved")).unwrap();
    refused(dir.path(), "train --resume run", 2, &["photos"]);
    ok(dir.path(), "train --resume run --data moved --steps 10");
    ok(dir.path(), "train --resume run --steps 11");
    assert_eq!(steps(&run), (1..=11).collect::<Vec<_>>());
    // One image less, and labels changed.
    let before = read(run.join(CHECKPOINT));
    fs::rename(dir.path().join("moved/train/dark/03.png"), dir.path().join("spare.png")).unwrap();
    refused(dir.path(), "train --resume run", 2, &["32 training and 8 test", "31 training and 8 test", "checksum"]);
    fs::rename(dir.path().join("spare.png"), dir.path().join("moved/train/light/03b.png")).unwrap();
    refused(dir.path(), "train --resume run", 2, &["is not what the run began with", "checksum"]);
    assert!(read(run.join(CHECKPOINT)) == before);
    fs::rename(dir.path().join("moved/train/light/03b.png"), dir.path().join("moved/train/dark/03.png")).unwrap();
    ok(dir.path(), "train --resume run");
    assert_eq!(steps(&run), (1..=12).collect::<Vec<_>>());
}

#[test]
fn a_run_has_one_writer() {
    let dir = TempDir::new().unwrap();
    ok(dir.path(), &format!("{SMALL} --epochs 20000 --steps 20 --out run"));
    let start = |args: &str| {
        command(dir.path(), args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children = [0, 1].map(|_| start("train --resume run --steps 1500"));
    let outputs = children.map(|child| child.wait_with_output().unwrap());
    let mut codes = outputs.each_ref().map(|output| output.status.code());
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(2)], "{}{}", text(&outputs[0].stderr), text(&outputs[1].stderr));
    let said = outputs.each_ref().map(|output| text(&output.stderr)).concat();
    assert!(said.contains("being written by another run (process "), "{said}");
    assert_eq!(steps(&dir.path().join("run")), (1..=1500).collect::<Vec<_>>());
    // Several new runs at once, without and with a name.
    let children = [1, 2, 3].map(|seed| start(&format!("{SMALL} --steps 8 --seed {seed}")));
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    let mut seeds: Vec<u64> = fs::read_dir(dir.path().join("runs"))
        .unwrap()
        .map(|entry| {
            let run = entry.unwrap().path();
            assert_eq!(steps(&run), (1..=8).collect::<Vec<_>>());
            json(&run.join("options.json"))["seed"].as_u64().unwrap()
        })
        .collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [1, 2, 3]);
    let children = [1, 2].map(|seed| start(&format!("{SMALL} --steps 300 --seed {seed} --out same")));
    let mut codes = children.map(|child| child.wait_with_output().unwrap().status.code());
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(2)]);
    assert_eq!(steps(&dir.path().join("same")), (1..=300).collect::<Vec<_>>());
}

#[test]
fn a_run_that_diverges_keeps_its_last_good_state() {
    let dir = TempDir::new().unwrap();
    let wild =
        "train --model mlp --norm none --limit-train 200 --limit-test 50 --batch-size 20 --lr 1e6 --weight-decay 1";
    let output = mexhat(dir.path(), &format!("{wild} --schedule constant --steps 400 --checkpoint-every 2 --out run"));
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("diverged") && error.contains("--lr") && error.contains("last good state"), "{error}");
    let run = dir.path().join("run");
    let summary = json(&run.join("summary.json"));
    assert_eq!((&summary["diverged"], &summary["interrupted"]), (&true.into(), &false.into()), "{summary}");
    let metrics = json_lines(&fs::read_to_string(run.join("metrics.jsonl")).unwrap());
    let numbers: Vec<u64> =
        metrics.iter().filter(|line| line["event"] == "step").map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let kept = step_of(run.join(CHECKPOINT));
    assert!(kept < numbers.len() as u64, "{kept} of {}", numbers.len());
    // The network is one, and going on diverges again at the same step, without a gap.
    ok(dir.path(), "eval run --limit-test 50 --json");
    assert_eq!(mexhat(dir.path(), "train --resume run").status.code(), Some(1));
    assert_eq!(steps(&run), numbers);
}

#[cfg(unix)]
#[test]
fn links_in_a_run_folder_are_not_followed() {
    let dir = TempDir::new().unwrap();
    ok(dir.path(), &format!("{SMALL} --epochs 3 --steps 8 --out run"));
    let run = dir.path().join("run");
    let precious = dir.path().join("precious");
    fs::write(&precious, "mine").unwrap();
    for name in [
        "summary.json.part",
        "model.safetensors.part",
        "checkpoint.safetensors.part",
        "curves.svg",
        "metrics.jsonl.part",
    ] {
        fs::remove_file(run.join(name)).ok();
        std::os::unix::fs::symlink(&precious, run.join(name)).unwrap();
    }
    ok(dir.path(), "train --resume run");
    assert_eq!(read(&precious), b"mine");
    fs::remove_file(run.join("model.safetensors")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", run.join("model.safetensors")).unwrap();
    refused(dir.path(), "eval run", 2, &["no ordinary file"]);
}

/// A small disk of its own, where this user may mount one.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_the_last_good_state_and_says_so() {
    use std::process::Command;
    let dir = TempDir::new().unwrap();
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=600k", "tmpfs"])
        .arg(&disk)
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return skip::skipped("this user may not mount a small disk");
    }
    let output = mexhat(dir.path(), &format!("{SMALL} --epochs 20000 --checkpoint-every 200 --out disk/run"));
    let error = text(&output.stderr);
    let code = output.status.code();
    let kept = mexhat(dir.path(), "eval disk/run");
    fs::remove_file(disk.join("run/metrics.jsonl")).ok();
    let step = step_of(disk.join("run").join(CHECKPOINT));
    let unmounted = Command::new("umount").arg(&disk).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("could not be written") && error.contains(&format!("checkpoint of step {step}")), "{error}");
    assert!(kept.status.success() && step >= 200, "{step}: {}", text(&kept.stderr));
}
