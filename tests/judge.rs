//! What a trained network is told and says: `eval` and `predict` on pictures of other orders, colours and classes.

#![cfg(feature = "cli")]

mod support;

use std::fs;
use std::path::Path;
use support::{json, json_lines, mexhat, ok, refused, text};
use tempfile::TempDir;

/// A bright square at a place of a dark field.
fn square(place: &str, i: u32) -> image::RgbImage {
    let (cx, cy) = match place {
        "left" => (4, 8),
        "right" => (12, 8),
        "top" => (8, 4),
        _ => (8, 12),
    };
    image::RgbImage::from_fn(16, 16, |x, y| {
        let on = x.abs_diff(cx) <= 2 && y.abs_diff(cy) <= 2;
        [if on { 220 } else { 20 } + ((x * 7 + y * 3 + i * 5) % 11) as u8; 3].into()
    })
}

fn pictures(dir: &Path, split: &str, places: &[&str], n: u32, grey: bool) {
    for place in places {
        let folder = dir.join(split).join(place);
        fs::create_dir_all(&folder).unwrap();
        for i in 0..n {
            let (picture, path) = (square(place, i), folder.join(format!("{i:02}.png")));
            if grey { image::DynamicImage::from(picture).to_luma8().save(path) } else { picture.save(path) }.unwrap();
        }
    }
}

const PLACES: [&str; 4] = ["bottom", "left", "right", "top"];

/// A network that knows four places, in `run`; its data in `all`.
fn trained(dir: &Path, grey: bool) {
    pictures(&dir.join("all"), "train", &PLACES, 32, grey);
    pictures(&dir.join("all"), "test", &PLACES, 5, grey);
    let shown =
        ok(dir, "train --data all --batch-size 16 --model mlp --norm batch --epochs 6 --limit-test 12 --out run");
    for wanted in ["data: ", "4 classes: bottom 32+3", "normalisation: ", "augmentation: none"] {
        assert!(shown.contains(wanted), "'{wanted}' is missing in {shown}");
    }
    let kept = json(&dir.join("run/data.json"));
    assert_eq!((&kept["classes"][0]["name"], &kept["images"][0]), (&"bottom".into(), &128.into()), "{kept}");
    let sheet = image::open(dir.join("run/data.png")).unwrap();
    assert!(sheet.width() > 300 && sheet.height() > 300, "16 pictures");
}

#[test]
fn what_says_nothing_is_refused() {
    let dir = TempDir::new().unwrap();
    let args = "train --limit-train 40 --limit-test 20 --model linear --norm none --out no";
    let iterations = format!("{args} --iterations {}", usize::MAX);
    refused(dir.path(), &iterations, 2, &["--iterations", "1 to 200, or converge"]);
    refused(dir.path(), &format!("{args} --class-weights 0,0,0,0,0,0,0,0,0,0"), 2, &["--class-weights are all 0"]);
    refused(dir.path(), &format!("{args} --accumulate {}", u64::MAX), 2, &["--accumulate", "at most 65536"]);
    let one = "train --limit-train 40 --limit-test 20 --batch-size 1 --model lenet --norm iterative --out no";
    refused(dir.path(), one, 2, &["one image has no covariance"]);
    assert!(!dir.path().join("no").exists());
}

#[test]
fn a_batch_that_was_asked_for_is_kept_or_refused() {
    let dir = TempDir::new().unwrap();
    let args = "train --limit-train 200 --limit-test 20 --model linear --norm none --epochs 1";
    let shown = ok(dir.path(), &format!("{args} --out own"));
    assert!(
        shown.contains("batches of 32 instead of 128") && shown.contains("--batch-size chooses another"),
        "{shown}"
    );
    let shown = ok(dir.path(), &format!("{args} --batch-size 128 --out asked"));
    assert!(shown.contains("2 steps of 128") && !shown.contains("instead of"), "{shown}");
    refused(
        dir.path(),
        &format!("{args} --limit-train 100 --batch-size 128 --out no").replacen("--limit-train 200 ", "", 1),
        2,
        &["--batch-size is 128", "only 100 training images"],
    );
}

#[test]
fn classes_are_matched_by_name() {
    let dir = TempDir::new().unwrap();
    trained(dir.path(), true);
    // The run's own limit, unless told otherwise.
    let own = json_lines(&ok(dir.path(), "eval run --json"));
    assert_eq!((&own[0]["images"], &own[0]["accuracy"]), (&12.into(), &1.0.into()), "{}", own[0]);
    assert_eq!(json_lines(&ok(dir.path(), "eval run --limit-test 20 --json"))[0]["images"], 20);
    // The same places, one of them absent, so that every number is another.
    let field = dir.path().join("field");
    pictures(&field, "train", &["left", "right", "top"], 1, true);
    pictures(&field, "test", &["left", "right", "top"], 4, true);
    let found = json_lines(&ok(dir.path(), "eval run --data field --json"));
    assert_eq!((&found[0]["images"], &found[0]["accuracy"]), (&12.into(), &1.0.into()), "{}", found[0]);
    assert_eq!(found[0]["classes"][1]["name"], "left");
    assert_eq!(found[0]["confusion"][1][1], 4);
    let shown = ok(dir.path(), "eval run --data field --confusion c.svg");
    assert!(shown.contains("left         4       4  100.00 %") && shown.contains("confusion (rows"), "{shown}");
    let svg = fs::read_to_string(dir.path().join("c.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains(">right<"), "{svg}");
    // A run without a split of its own is told by which images; those of another size are scaled on request only.
    pictures(&dir.path().join("bare"), "", &["left", "top"], 10, true);
    let share = json_lines(&ok(dir.path(), "eval run --data bare --split 0.2 --json"));
    assert_eq!((&share[0]["images"], &share[0]["accuracy"]), (&4.into(), &1.0.into()), "{}", share[0]);
    refused(dir.path(), "eval run --split 0.2", 2, &["has a test folder"]);
    for picture in fs::read_dir(dir.path().join("bare/top")).unwrap().map(|entry| entry.unwrap().path()) {
        let small = image::open(&picture).unwrap();
        small.resize_exact(32, 32, image::imageops::FilterType::Nearest).save(&picture).unwrap();
    }
    fs::remove_dir_all(dir.path().join("bare/left")).unwrap();
    refused(dir.path(), "eval run --data bare", 2, &["16 x 16", "are 32 x 32", "--size 16,16"]);
    let scaled = json_lines(&ok(dir.path(), "eval run --data bare --size 16 --json"));
    assert_eq!((&scaled[0]["images"], &scaled[0]["accuracy"]), (&10.into(), &1.0.into()), "{}", scaled[0]);
    // A class that the network cannot know.
    fs::rename(field.join("test/top"), field.join("test/middle")).unwrap();
    fs::rename(field.join("train/top"), field.join("train/middle")).unwrap();
    refused(dir.path(), "eval run --data field", 2, &["no class 'middle'", "'bottom', 'left', 'right', 'top'"]);
}

/// Digits and clothes come in files of one form, which number both from 0 to 9.
#[test]
fn clothes_are_no_digits() {
    let dir = TempDir::new().unwrap();
    let set = |folder: &str| {
        let folder = dir.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let labels: Vec<u8> = (0..40).map(|i| i % 10).collect();
        let images: Vec<u8> = (0..40 * 784).map(|i| (i * 7 % 251) as u8).collect();
        for split in ["train", "t10k"] {
            let images = mexhat::data::idx::encode(&[40, 28, 28], &images);
            let labels = mexhat::data::idx::encode(&[40], &labels);
            fs::write(folder.join(format!("{split}-images-idx3-ubyte")), images).unwrap();
            fs::write(folder.join(format!("{split}-labels-idx1-ubyte")), labels).unwrap();
        }
    };
    ["digits", "others", "data/fashion-mnist"].into_iter().for_each(set);
    for data in ["digits", "fashion-mnist"] {
        let args = "--model linear --norm none --batch-size 16 --steps 2";
        ok(dir.path(), &format!("train --data {data} {args} --out {data}-run"));
    }
    let said = |args: &str| {
        let output = mexhat(dir.path(), args);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        (text(&output.stdout), text(&output.stderr))
    };
    let (own, notes) = said("eval fashion-mnist-run");
    assert!(own.contains("Ankle boot") && !notes.contains("nothing tells"), "{own}{notes}");
    assert!(!said("eval digits-run --data ./digits").1.contains("nothing tells"), "its own, by another way");
    let notes = said("eval digits-run --data others").1;
    assert!(notes.contains("'others'") && notes.contains("nothing tells that they are the same"), "{notes}");
    refused(dir.path(), "eval digits-run --data fashion-mnist", 2, &["no class 'T-shirt/top'"]);
    refused(dir.path(), "eval fashion-mnist-run --data digits", 2, &["Fashion-MNIST", "'digits'"]);
}

#[test]
fn grey_and_colour_are_turned_into_what_the_network_takes() {
    let dir = TempDir::new().unwrap();
    trained(dir.path(), true);
    pictures(&dir.path().join("colour"), "train", &PLACES, 1, false);
    pictures(&dir.path().join("colour"), "test", &PLACES, 5, false);
    let output = mexhat(dir.path(), "eval run --data colour --json");
    let (found, said) = (json_lines(&text(&output.stdout)), text(&output.stderr));
    assert_eq!(found[0]["accuracy"], 1.0, "{said}");
    // Readers may see that these colours are grey and say nothing.
    if said.contains("turned") {
        assert!(said.contains("from colour to grey"), "{said}");
    }
}

#[test]
fn pictures_and_folders_are_told_by_name() {
    let dir = TempDir::new().unwrap();
    trained(dir.path(), true);
    square("top", 40).save(dir.path().join("one.png")).unwrap();
    let large = image::imageops::resize(&square("left", 3), 64, 48, image::imageops::FilterType::Nearest);
    fs::create_dir(dir.path().join("some")).unwrap();
    large.save(dir.path().join("some/b.png")).unwrap();
    square("right", 2).save(dir.path().join("some/a.png")).unwrap();
    fs::write(dir.path().join("some/notes.txt"), "x").unwrap();
    let found = json_lines(&ok(dir.path(), "predict run one.png some --json"));
    let said: Vec<_> =
        found.iter().map(|line| (line["image"].as_str().unwrap(), line["class"].as_str().unwrap())).collect();
    assert_eq!(said, [("one.png", "top"), ("some/a.png", "right"), ("some/b.png", "left")]);
    for line in &found {
        let shares = line["shares"].as_array().unwrap();
        assert_eq!((shares.len(), &shares[0]["class"]), (3, &line["class"]));
        assert!(line["share"].as_f64().unwrap() > 0.5, "{line}");
    }
    let shown = ok(dir.path(), "predict run some --top 1");
    assert!(
        shown.contains("a.png: right")
            && shown.contains("1 of 2 pictures")
            && shown.contains("16 x 16")
            && shown.contains("triangle filter"),
        "{shown}"
    );
    // Every kind of picture that training reads, and turned and transparent ones as it sees them.
    fs::create_dir(dir.path().join("kinds")).unwrap();
    for ending in ["png", "jpg", "webp", "BMP", "tif", "gif"] {
        square("top", 1).save(dir.path().join(format!("kinds/0.{ending}"))).unwrap();
    }
    let found = json_lines(&ok(dir.path(), "predict run kinds --json"));
    assert_eq!(found.iter().filter(|line| line["class"] == "top").count(), 6, "{found:?}");
    fs::write(dir.path().join("cut.jpg"), &fs::read(dir.path().join("kinds/0.jpg")).unwrap()[..400]).unwrap();
    refused(dir.path(), "predict run cut.jpg", 2, &["cut.jpg", "damaged or cut short"]);
    // All that cannot be read are told at once, hidden files are not looked at, and the others can go on without.
    fs::write(dir.path().join("some/.hidden.png"), "x").unwrap();
    fs::write(dir.path().join("bad.png"), "x").unwrap();
    refused(dir.path(), "predict run cut.jpg bad.png some", 2, &["2 pictures", "cut.jpg", "bad.png", "--skip-bad"]);
    let rest = json_lines(&ok(dir.path(), "predict run cut.jpg bad.png some --skip-bad --json"));
    assert_eq!(rest.len(), 2, "{rest:?}");
    refused(dir.path(), "predict run cut.jpg bad.png --skip-bad", 2, &["no picture is left", "2 pictures", "bad.png"]);
    refused(dir.path(), "predict run one.png --top 0", 2, &["--top is 0"]);
    refused(dir.path(), "predict run nowhere.png", 2, &["nowhere.png"]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    refused(dir.path(), "predict run empty", 2, &["no picture"]);
}

#[test]
fn what_cannot_be_learnt_is_refused_before_anything_is_written() {
    let dir = TempDir::new().unwrap();
    let glyphs = "train --limit-train 40 --limit-test 20 --batch-size 8 --steps 3 --norm batch";
    let refuse = |args: &str, word: &str| refused(dir.path(), &format!("{glyphs} {args} --out d"), 2, &[word]);
    refuse("--model lenet --freeze conv1,conv1_bn,conv2,conv2_bn,fc1,fc2", "nothing is left to train");
    refuse("--model mlp --freeze nope", "no layer 'nope'");
    refuse("--model mlp --optimizer adam --momentum 0.5", "--momentum is for --optimizer sgd");
    fs::write(dir.path().join("map.toml"), "layers = [{ type = \"conv\", out_channels = 10, kernel = 3 }]").unwrap();
    refuse("--model map.toml", "flatten");
    refused(dir.path(), "train --model map.toml --summary", 2, &["flatten"]);
    for (class, split) in [("a", "train"), ("a", "test"), ("b", "train"), ("b", "test")] {
        fs::create_dir_all(dir.path().join(format!("turned/{class}/{split}"))).unwrap();
        square("top", 1).save(dir.path().join(format!("turned/{class}/{split}/0.png"))).unwrap();
        // Ink that is as white as the ground: every picture the same.
        fs::create_dir_all(dir.path().join(format!("white/{split}/{class}"))).unwrap();
        for i in 0..8 {
            let white = image::RgbImage::from_pixel(8, 8, image::Rgb([255; 3]));
            white.save(dir.path().join(format!("white/{split}/{class}/{i}.png"))).unwrap();
        }
    }
    refused(dir.path(), "train --data turned --split 0.5 --out d", 2, &["train/CLASS/PICTURE"]);
    assert!(!dir.path().join("d").exists());
    let said = ok(dir.path(), "train --data white --model mlp --norm none --steps 1 --batch-size 8 --out e");
    assert!(said.contains("note: all training images are the same") && said.contains("--background"), "{said}");
}

#[test]
fn one_image_has_no_statistics() {
    let dir = TempDir::new().unwrap();
    let args = "train --limit-train 40 --limit-test 20 --batch-size 1 --steps 3";
    for model in ["mlp", "lenet"] {
        refused_run(
            dir.path(),
            &format!("{args} --model {model} --norm deconv --out d"),
            "one image has no covariance",
        );
    }
    refused_run(dir.path(), &format!("{args} --model mlp --norm batch --out b"), "one value of each channel");
    refused_run(dir.path(), &format!("{args} --model mlp --norm iterative --out i"), "no covariance");
    // Groups are of one image.
    ok(dir.path(), &format!("{args} --model mlp --norm group --out g"));
    // A convolution has many positions.
    ok(dir.path(), &format!("{args} --model lenet --norm batch --out c"));
    // One image over is left out.
    ok(
        dir.path(),
        "train --limit-train 33 --limit-test 20 --batch-size 16 --model mlp --norm batch --epochs 2 --out e",
    );
    assert_eq!(support::steps(&dir.path().join("e")).len(), 4);
}

fn refused_run(dir: &Path, args: &str, wanted: &str) {
    let output = mexhat(dir, args);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args}: {error}");
    assert!(error.contains(wanted) && error.contains("at least 2"), "{args}: {error}");
    assert!(!dir.join("d").exists() && !dir.join("b").exists(), "{args} left a folder");
}

/// A run that averages its weights is judged, used and exported with the averages, by its folder and by its checkpoint
/// alike.
#[test]
fn averages_of_weights_are_what_every_command_takes() {
    let dir = TempDir::new().unwrap();
    let path = dir.path();
    let train = "train --model lenet --norm deconv --limit-train 128 --limit-test 64 --batch-size 16 --epochs 1";
    ok(path, &format!("{train} --ema 0.5 --out run"));
    ok(path, &format!("{train} --out plain"));
    image::GrayImage::from_fn(28, 28, |x, y| image::Luma([(9 * x + 5 * y) as u8])).save(path.join("a.png")).unwrap();
    let judged = |file: &str| {
        let loss = json_lines(&ok(path, &format!("eval {file} --json"))).remove(0)["loss"].as_f64().unwrap();
        let shares = json_lines(&ok(path, &format!("predict {file} a.png --top 10 --json"))).remove(0)["shares"].take();
        (loss, shares)
    };
    let (expected, without) = (judged("run"), judged("plain"));
    let metrics = json_lines(&fs::read_to_string(path.join("run/metrics.jsonl")).unwrap());
    let told = metrics.iter().rfind(|line| line["event"] == "eval").unwrap();
    assert!((told["loss"].as_f64().unwrap() - expected.0).abs() < 1e-5, "{told} {expected:?}");
    assert!((expected.0 - without.0).abs() > 1e-3, "the averages are others: {expected:?} {without:?}");
    assert_eq!(judged("run/checkpoint.safetensors"), expected);
    for from in ["run", "run/checkpoint.safetensors"] {
        ok(path, &format!("export {from} --out exported.safetensors"));
        let (loss, _) = judged("exported.safetensors");
        assert!((loss - expected.0).abs() < 1e-5, "{from}: {loss} {expected:?}");
    }
    let models = ["run", "run/checkpoint.safetensors"].map(|from| {
        ok(path, &format!("export {from} --out model.onnx"));
        fs::read(path.join("model.onnx")).unwrap()
    });
    assert!(models[0] == models[1], "ONNX of the checkpoint is another network's");
}
