//! A class for each pixel: pairs of pictures and masks, training, and what the program tells of it.

#![cfg(feature = "cli")]

mod support;

use mexhat::data::{self, Augment, IGNORED, LoadOptions, Preparation, Reading, Size};
use mexhat::nn::{Conv, Network, Norm};
use mexhat::train::{Confusion, Event, Examples, Fit, Learner, Loss, Sgd};
use mexhat::{Gpu, Result};
use std::fs;
use std::path::Path;
use support::{json, json_lines, ok, refused, steps};
use tempfile::TempDir;

/// A network in a file that keeps the map's size, by way of a smaller one.
const NET: &str = r#"
    layers = [
        { type = "conv", out_channels = 8, kernel = 3, stride = 2 },
        { type = "relu" },
        { type = "auxiliary", weight = 0.5, head = [
            { type = "conv", out_channels = "classes", kernel = 1, norm = "none" },
            { type = "interpolate", size = [12, 16] },
        ] },
        { type = "conv", out_channels = 12, kernel = 3, dilation = 2 },
        { type = "relu" },
        { type = "conv", out_channels = "classes", kernel = 1, norm = "none" },
        { type = "interpolate", size = [12, 16] },
    ]
"#;

/// A bright block on the left or on the right of a dark field, and its mask: class 1 or 2, around it no class.
fn pair(i: u32) -> (image::RgbImage, image::GrayImage) {
    let (left, top) = (if i.is_multiple_of(2) { 2 } else { 9 }, i % 5 + 1);
    let inside = |x: u32, y: u32, by: u32| {
        (left - by..left + 4 + by).contains(&x) && (top.saturating_sub(by)..top + 4 + by).contains(&y)
    };
    let picture = image::RgbImage::from_fn(16, 12, |x, y| {
        [if inside(x, y, 0) { 200 } else { 30 } + ((x * 7 + y * 3 + i * 5) % 13) as u8; 3].into()
    });
    let class = |x, y| match (inside(x, y, 0), inside(x, y, 1)) {
        (true, _) => 1 + (i % 2) as u8,
        (_, true) => IGNORED,
        _ => 0,
    };
    (picture, image::GrayImage::from_fn(16, 12, |x, y| [class(x, y)].into()))
}

fn pairs(dir: &Path, split: &str, n: u32) {
    let [images, masks] = ["images", "masks"].map(|kind| dir.join(split).join(kind));
    [&images, &masks].into_iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
    for i in 0..n {
        let (picture, mask) = pair(i);
        picture.save(images.join(format!("{i:03}.jpg"))).unwrap();
        mask.save(masks.join(format!("{i:03}.png"))).unwrap();
    }
}

fn loaded(dir: &Path, reading: Reading) -> Result<data::Splits> {
    let prepare = Preparation { reading, ..Default::default() };
    data::load(dir.to_str().unwrap(), &LoadOptions { prepare, ..Default::default() })
}

#[test]
fn pairs_are_read_scaled_and_split() {
    let dir = TempDir::new().unwrap();
    let all = dir.path();
    pairs(all, "train", 6);
    pairs(all, "val", 2);
    let splits = loaded(all, Reading::default()).unwrap();
    assert_eq!((splits.train.shape, splits.train.len(), splits.test.len()), ([3, 12, 16], 6, 2));
    assert_eq!(
        (&splits.train.class_names[..], splits.train.counts()),
        (&["0", "1", "2"].map(String::from)[..], vec![6, 3, 3])
    );
    let (_, mask) = pair(3);
    assert_eq!(splits.train.mask(3), mask.as_raw().as_slice());
    assert!(splits.report.lines()[0].contains("pictures with masks in "), "{:?}", splits.report.lines());
    let larger = loaded(all, Reading { size: Some(Size { height: 24, width: 16 }), ..Default::default() }).unwrap();
    assert_eq!((larger.train.shape, larger.train.mask(3)[..16].to_vec()), ([3, 24, 16], mask.as_raw()[..16].to_vec()));
    fs::write(all.join("classes.txt"), "ground\nleft\nright\nnowhere\n").unwrap();
    let named = loaded(all, Reading::default()).unwrap();
    assert_eq!((named.test.class_names[2].as_str(), named.test.classes()), ("right", 4));
    // Alone, a share of them is held back.
    let bare = TempDir::new().unwrap();
    pairs(bare.path(), "", 8);
    assert!(loaded(bare.path(), Reading::default()).unwrap_err().to_string().contains("`split` 0.1"));
    let split = loaded(bare.path(), Reading { split: Some(0.25), ..Default::default() }).unwrap();
    assert_eq!((split.train.len(), split.test.len()), (6, 2));
}

#[test]
fn what_is_wrong_with_pairs_is_named() {
    let dir = TempDir::new().unwrap();
    let all = dir.path();
    let (masks, images) = (all.join("train/masks"), all.join("train/images"));
    let complaint = || loaded(all, Reading::default()).unwrap_err().to_string();
    let said = |wanted: &[&str]| {
        let found = complaint();
        wanted.iter().for_each(|wanted| assert!(found.contains(wanted), "'{wanted}' is missing in: {found}"));
    };
    pairs(all, "train", 4);
    pairs(all, "test", 2);
    let mask = fs::read(masks.join("001.png")).unwrap();
    fs::remove_file(masks.join("001.png")).unwrap();
    said(&["images/001.jpg", "has no mask", "001.png"]);
    image::GrayImage::from_pixel(8, 12, [0].into()).save(masks.join("001.png")).unwrap();
    said(&["masks/001.png", "12 x 8 pixels (height x width)", "12 x 16", "images/001.jpg"]);
    image::RgbImage::new(16, 12).save(masks.join("001.png")).unwrap();
    said(&["masks/001.png", "expected one grey or palette value"]);
    fs::write(masks.join("001.png"), &mask[..60]).unwrap();
    said(&["masks/001.png", "no whole PNG"]);
    let left_out = loaded(all, Reading { skip_bad: true, ..Default::default() }).unwrap();
    assert_eq!((left_out.train.len(), left_out.report.skipped.count), (3, 1));
    fs::write(masks.join("001.png"), &mask).unwrap();
    fs::write(all.join("classes.txt"), "ground\nleft\n").unwrap();
    said(&["masks/", "holds the value 2", "classes.txt names 2 classes", "expected 0 to 1"]);
    fs::remove_file(all.join("classes.txt")).unwrap();
    image::RgbImage::new(20, 12).save(images.join("002.jpg")).unwrap();
    said(&["images/002.jpg: expected 12 x 16", "found 12 x 20", "1 of 6 differ", "`size` 12,16"]);
    // The first picture alone is odd, not all others.
    let size = |name: &str, width| image::RgbImage::new(width, 12).save(images.join(name)).unwrap();
    size("002.jpg", 16);
    let both = || [images.join("000.jpg"), masks.join("000.png")];
    let first = both().map(|file| fs::read(file).unwrap());
    size("000.jpg", 20);
    image::GrayImage::new(20, 12).save(masks.join("000.png")).unwrap();
    said(&["images/000.jpg: expected 12 x 16", "found 12 x 20", "1 of 6 differ"]);
    both().iter().zip(first).for_each(|(file, bytes)| fs::write(file, bytes).unwrap());
    fs::remove_file(images.join("002.jpg")).unwrap();
    said(&["masks/002.png", "without a picture"]);
    fs::remove_file(masks.join("002.png")).unwrap();
    for entry in fs::read_dir(&masks).unwrap() {
        image::GrayImage::from_pixel(16, 12, [255].into()).save(entry.unwrap().path()).unwrap();
    }
    said(&["one class only", "255 is no class"]);
}

#[test]
fn the_program_trains_judges_and_predicts_pixels() {
    let (dir, all) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let at = dir.path();
    pairs(&all.path().join("d"), "train", 40);
    pairs(&all.path().join("d"), "test", 11);
    fs::write(all.path().join("d/classes.txt"), "ground\nleft\nright\n").unwrap();
    fs::write(at.join("net.toml"), NET).unwrap();
    let given = format!("--data {} --model net.toml --batch-size 8", all.path().join("d").display());
    let shown = ok(at, &format!("train {given} --augment crop --epochs 20 --lr 0.2 --out run"));
    assert!(
        shown.contains("3 classes: ground 40+11, left 20+6, right 20+5") && shown.contains("of pixels, mean IoU"),
        "{shown}"
    );
    assert!(image::open(at.join("run/data.png")).unwrap().width() > 300);

    let metrics = json_lines(&fs::read_to_string(at.join("run/metrics.jsonl")).unwrap());
    let last = metrics.iter().rfind(|line| line["event"] == "eval").unwrap();
    let iou = last["mean_iou"].as_f64().unwrap();
    assert!(iou > 0.6, "blocks are found: {last}");
    assert_eq!(json(&at.join("run/summary.json"))["mean_iou"], last["mean_iou"]);

    // The same from the file, in other batches, and by class.
    for batch in [3, 11] {
        let found = &json_lines(&ok(at, &format!("eval run --batch-size {batch} --json")))[0];
        assert!((found["mean_iou"].as_f64().unwrap() - iou).abs() < 1e-6, "{found}");
        assert!((found["accuracy"].as_f64().unwrap() - last["accuracy"].as_f64().unwrap()).abs() < 1e-6, "{found}");
        assert!((found["loss"].as_f64().unwrap() - last["loss"].as_f64().unwrap()).abs() < 1e-4, "{found} {last}");
        let classes = found["classes"].as_array().unwrap();
        let mean = classes.iter().map(|class| class["iou"].as_f64().unwrap()).sum::<f64>() / 3.0;
        assert!((mean - iou).abs() < 1e-6 && classes[1]["name"] == "left", "{found}");
    }
    let shown = ok(at, "eval run");
    assert!(shown.contains("pixels") && shown.contains("IoU") && shown.contains("rows: what pixels are"), "{shown}");

    // Masks of the pictures' own size, whose values are classes.
    let (picture, truth) = pair(5);
    image::imageops::resize(&picture, 32, 24, image::imageops::FilterType::Triangle).save(at.join("five.jpg")).unwrap();
    let told = &json_lines(&ok(at, "predict run five.jpg --masks out --json"))[0];
    assert_eq!((&told["event"], &told["shares"][0]["class"]), (&"mask".into(), &"ground".into()), "{told}");
    fs::create_dir_all(at.join("again/images")).unwrap();
    fs::create_dir_all(at.join("again/masks")).unwrap();
    fs::copy(at.join("five.jpg"), at.join("again/images/five.jpg")).unwrap();
    fs::copy(at.join("out/five.png"), at.join("again/masks/five.png")).unwrap();
    let options = LoadOptions::default();
    let (again, _) = data::load_test(at.join("again").to_str().unwrap(), &options).unwrap();
    let found = again.mask(0);
    let right =
        (0..24 * 32).filter(|i| found[*i] == truth.get_pixel((i % 32 / 2) as u32, (i / 32 / 2) as u32).0[0]).count();
    assert!(right * 10 > 24 * 32 * 7, "{right} of {}", 24 * 32);

    refused(at, "predict run five.jpg", 2, &["--masks DIR"]);
    refused(at, "eval run --data glyphs --limit-test 5", 2, &["a class for each pixel"]);
    refused(
        at,
        &format!("train {} --norm batch --model resnet18", given.replace("--model net.toml", "")),
        2,
        &["each pixel has a class", "interpolate"],
    );
    refused(at, "train --data glyphs --limit-train 64 --model net.toml", 2, &["one label"]);
}

#[test]
fn a_run_over_pixels_goes_on_to_the_same_bytes() {
    let dir = TempDir::new().unwrap();
    let at = dir.path();
    let args = "train --data shapes --limit-train 24 --limit-test 7 --batch-size 8 --model net.toml --epochs 2 --augment flip,crop \
                --class-weights balanced";
    fs::write(at.join("net.toml"), NET.replace("[12, 16]", "[64, 64]")).unwrap();
    ok(at, &format!("{args} --out whole"));
    ok(at, &format!("{args} --out parts --steps 4"));
    ok(at, "train --resume parts --steps 6");
    assert_eq!(steps(&at.join("parts")), [1, 2, 3, 4, 5, 6]);
    let read = |run: &str, file: &str| fs::read(at.join(run).join(file)).unwrap();
    assert_eq!(read("whole", "model.safetensors"), read("parts", "model.safetensors"));
    assert_eq!(json(&at.join("whole/summary.json"))["mean_iou"], json(&at.join("parts/summary.json"))["mean_iou"]);
}

/// The mean over parts of a batch, the auxiliary loss and the counts, by the library.
#[test]
fn a_learner_takes_maps_of_classes() -> Result<()> {
    let gpu = Gpu::open_by(|name| std::env::var(name).ok())?;
    let few = LoadOptions { limit_train: Some(16), limit_test: Some(6), ..Default::default() };
    let shapes = data::load("shapes", &few)?;
    let net = |weight: f32| {
        let mut net = Network::new(shapes.train.shape).norm(Norm::Batch);
        net.conv(Conv::new(6, 3).stride(2)).relu();
        net.auxiliary(weight, |head| head.conv(Conv::new(5, 1).norm(Norm::None)).interpolate([64, 64]));
        net.conv(Conv::new(5, 1).norm(Norm::None)).interpolate([64, 64]);
        net
    };
    let first = |weight| -> Result<f32> {
        let mut learner = Learner::new(&gpu, net(weight), Sgd::new(0.05))?;
        let fit = Fit { batch_size: 8, augment: Augment { pad: 2, flip: true, ..Augment::NONE }, ..Fit::default() };
        let event = learner.fit(&shapes.train, fit)?.next().expect("an event")?;
        let Event::Step { loss, accuracy, .. } = event else { panic!("{event:?}") };
        assert!((0.0..=1.0).contains(&accuracy), "{accuracy}");
        Ok(loss)
    };
    // The heads begin alike enough: both near the logarithm of five classes.
    let (alone, both) = (first(0.0)?, first(1.0)?);
    assert!((both / alone - 2.0).abs() < 0.5, "{alone} {both}");

    let mut learner = Learner::new(&gpu, net(0.5), Sgd::new(0.05))?;
    let found = learner.evaluate(&shapes.test, 4)?;
    let classes = learner.classes(&shapes.test)?;
    let confusion = Confusion::of_pixels(&shapes.test, &classes.values)?;
    assert_eq!((classes.shape.as_slice(), found.mean_iou), (&[6, 64, 64][..], confusion.mean_iou()));
    let (all, right) = (0..5).map(|i| confusion.class(i)).fold((0, 0), |sum, class| (sum.0 + class.0, sum.1 + class.1));
    assert!((f64::from(found.accuracy) - right as f64 / all as f64).abs() < 1e-6);
    assert_eq!(all, shapes.test.masks.iter().filter(|value| **value != IGNORED).count() as u64);

    // Arrays with labels of pixels; a batch without any label teaches nothing and is no error.
    let labels = vec![u32::from(IGNORED); 8 * 64 * 64];
    let before = learner.tensor("conv1.weight")?;
    let none = Examples::new(&shapes.train.images[..8 * 3 * 64 * 64], shapes.train.shape, &labels)?;
    for event in learner.fit(&none, Fit { batch_size: 8, ..Fit::default() })? {
        let Event::Step { loss, accuracy, .. } = event? else { continue };
        assert_eq!((loss, accuracy), (0.0, 0.0));
    }
    assert_eq!(learner.tensor("conv1.weight")?, before);
    let wrong = vec![7; 8 * 64 * 64];
    let wrong = Examples::new(&shapes.train.images[..8 * 3 * 64 * 64], shapes.train.shape, &wrong)?;
    let refused = learner.fit(&wrong, Fit { batch_size: 8, ..Fit::default() })?.find_map(Result::err);
    assert!(refused.is_some_and(|e| e.to_string().contains("label 7")));

    // A saved one says that it tells pixels apart.
    let path = TempDir::new().unwrap();
    learner.save(path.path().join("net.safetensors"))?;
    let mut again = Learner::load(&gpu, path.path().join("net.safetensors"))?;
    assert_eq!(again.classes(&shapes.test)?, learner.classes(&shapes.test)?);
    let (own, plain) =
        (learner.evaluate(&shapes.test, 4)?, again.with_loss(Loss::CrossEntropy).evaluate(&shapes.test, 6)?);
    assert!((plain.loss - own.loss).abs() < 1e-5 && plain.mean_iou == own.mean_iou, "{plain:?} {own:?}");
    Ok(())
}
