//! What needs real data sets, in `../shared/data` beside the checkout: each is ignored, and seen to be, where its own
//! is absent.

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use mexhat::data::{Augment, Dataset, LoadOptions, Normalize, glyphs, load};
use mexhat::nn::{Conv, Layer, Layers, Network};
use mexhat::train::{Event, Examples, Fit, Learner, Sgd};
use mexhat::{Gpu, Result};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

#[path = "common/python.rs"]
mod python;

/// A test by its name, the data set that it needs, and what it does with the path of that.
type Test = (&'static str, &'static str, fn(&str) -> Result<()>);

/// A test that asks ONNX Runtime, too.
const EXPORTED: &str = "onnx_runtime_reads_mnist_as_lenet_does_here";

const TESTS: [Test; 7] = [
    ("mnist_is_known_by_its_checksum", "mnist", mnist),
    ("drawn_digits_read_real_ones", "mnist", drawn_digits_read_real_ones),
    (EXPORTED, "mnist", exported),
    ("the_page's_recorded_races_are_those_of_the_program", "mnist", recorded_races),
    ("fashion_is_normalised_by_itself", "fashion-mnist-3600", fashion),
    ("cifar_is_read_from_zips_of_folders", "cifar10", cifar),
    ("a_residual_network_of_ones_own_learns_cifar_from_arrays", "cifar10", residual),
];

fn main() -> ExitCode {
    let trials = TESTS.map(|(name, set, test)| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(set);
        let run = move || {
            if !path.exists() {
                return Ok(Completion::ignored_with(format!("{} is absent", path.display())));
            }
            if let (EXPORTED, Err(why)) = (name, python::python()) {
                return Ok(Completion::ignored_with(why));
            }
            test(&path.to_string_lossy()).map_err(|error| Failed::from(error.to_string()))?;
            Ok(Completion::Completed)
        };
        Trial::ignorable_test(name, run)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

fn limits(train: usize, test: usize) -> LoadOptions {
    LoadOptions { limit_train: Some(train), limit_test: Some(test), ..Default::default() }
}

fn mnist(path: &str) -> Result<()> {
    let splits = load(path, &LoadOptions::default())?;
    assert_eq!((splits.train.len(), splits.test.len()), (60_000, 10_000));
    assert_eq!((splits.train.shape, splits.train.classes()), ([1, 28, 28], 10));
    assert_eq!((splits.train.labels[0], splits.test.labels[0]), (5, 7));
    assert_eq!(splits.train.image(0).iter().map(|&v| u32::from(v)).sum::<u32>(), 27_525);
    assert!(splits.report.normalize.contains("known by its checksum"), "{:?}", splits.report);
    let found = Normalize::of(&splits.train);
    assert!((found.mean[0] - splits.normalize.mean[0]).abs() < 1e-4, "{found:?}");
    assert!((found.std[0] - splits.normalize.std[0]).abs() < 1e-4, "{found:?}");
    Ok(())
}

/// The claim of the drawn digits, with the simplest reader there is: the nearest drawn digit.
fn drawn_digits_read_real_ones(path: &str) -> Result<()> {
    let real = load(path, &limits(1, 300))?.test;
    let drawn = glyphs::dataset(0, 0, 4000);
    let right = (0..real.len()).filter(|&i| {
        let far = |k: usize| -> u32 {
            drawn.image(k).iter().zip(real.image(i)).map(|(&a, &b)| u32::from(a.abs_diff(b)).pow(2)).sum()
        };
        let nearest = (0..drawn.len()).min_by_key(|&k| far(k)).unwrap_or(0);
        drawn.labels[nearest] == real.labels[i]
    });
    let right = right.count();
    assert!(right * 100 >= real.len() * 80, "{right} of {} are read", real.len());
    Ok(())
}

/// `mexhat train`, `mexhat export`, and both models on all test images: at most two are read otherwise.
fn exported(path: &str) -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let mexhat = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mexhat")).args(arguments).output().expect("the program starts");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let (run, outside, inside) = (file("run"), file("outside.onnx"), file("inside.onnx"));
    mexhat(&["train", "--data", path, "--model", "lenet", "--steps", "60", "--limit-test", "1000", "--out", &run]);
    mexhat(&["export", &run, "--out", &outside]);
    mexhat(&["export", &run, "--out", &inside, "--preprocess"]);

    let test = load(path, &limits(1, 10_000))?.test;
    let gpu = Gpu::open_by(|name| std::env::var(name).ok())?;
    let mut learner = Learner::load(&gpu, format!("{run}/model.safetensors"))?;
    let logits = learner.outputs(&test)?;
    let predictions = logits.argmax();
    let right = predictions.iter().zip(&test.labels).filter(|(found, label)| **found as u32 == **label).count();
    let evaluated = learner.evaluate(&test, 500)?.accuracy;
    assert!((f64::from(evaluated) - right as f64 / 1e4).abs() < 1e-6, "{evaluated}, and {right} of 10,000");
    assert!((5_000..10_000).contains(&right), "{right} of 10,000: guessing, or nothing to tell apart");
    fs::write(file("logits"), bytemuck::cast_slice::<f32, u8>(&logits.values)).expect("a file");
    fs::write(file("labels"), bytemuck::cast_slice::<u32, u8>(&test.labels)).expect("a file");
    fs::write(file("pixels"), &test.images[..]).expect("a file");

    let python = python::python().expect("whoever runs this has Python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/mnist.py");
    assert!(Command::new(python).arg(script).arg(folder.path()).status().expect("a Python").success());
    Ok(())
}

/// The last chapter of the page compares recorded races: ten steps of each network by the program, to the three digits
/// that are recorded.
fn recorded_races(path: &str) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/page/recorded.json");
    let races: Vec<serde_json::Value> =
        serde_json::from_slice(&fs::read(&file).expect("a file")).expect("recorded races");
    let out = tempfile::tempdir().expect("a folder");
    for race in &races {
        let rate = race["rate"].as_f64().expect("a rate");
        for (norm, lane) in ["batch", "deconv"].into_iter().zip(race["lanes"].as_array().expect("lanes")) {
            // The page's own settings, of those that `node web/tests/record.mjs` does not choose.
            let args = format!(
                "train --json --steps 10 --model small --norm {norm} --lr {rate} --batch-size 32 --limit-train 6000 --limit-test 64 \
                 --mode paper --block 4 --block-fc 64 --schedule constant --seed 0"
            );
            let mut program = Command::new(env!("CARGO_BIN_EXE_mexhat"));
            program.args(args.split_whitespace()).args(["--data", path]);
            // A page has no subgroups, and other products add in another order.
            let run =
                program.env("MEXHAT_FAMILY", "register").arg("--out").arg(out.path().join(format!("{norm}-{rate}")));
            let output = run.output().expect("a program");
            assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
            let text = String::from_utf8_lossy(&output.stdout);
            let events = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            let found: Vec<f64> = events.filter(|e| e["event"] == "step").filter_map(|e| e["loss"].as_f64()).collect();
            let recorded: Vec<f64> =
                lane["losses"].as_array().expect("losses").iter().filter_map(|v| v.as_f64()).collect();
            assert!(found.len() == 10 && recorded.len() == 120, "{args}: {found:?}");
            for (found, recorded) in found.iter().zip(&recorded) {
                let off = (found - recorded).abs();
                assert!(off < 2e-3 * (1.0 + recorded), "{norm}, rate {rate}: {found} is not {recorded}: {text}");
            }
        }
    }
    Ok(())
}

fn fashion(path: &str) -> Result<()> {
    let splits = load(path, &LoadOptions::default())?;
    assert_eq!(splits.train.shape, [1, 28, 28]);
    assert_eq!(splits.normalize, Normalize::of(&splits.train));
    Ok(())
}

fn cifar(path: &str) -> Result<()> {
    let splits = load(path, &limits(200, 50))?;
    assert_eq!((splits.train.shape, splits.train.classes(), splits.train.len()), ([3, 32, 32], 10, 200));
    assert_eq!(splits.train.labels[..11], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]);
    assert_eq!(splits.augment, Augment::NONE, "pictures in folders are of nobody knows what");
    for (found, known) in splits.normalize.mean.iter().zip(&Normalize::cifar10().mean) {
        assert!((found - known).abs() < 0.05, "planes hold whole colours: {found} against {known}");
    }
    Ok(())
}

/// A residual block of one's own: convolution, ReLU, convolution, what came in, ReLU.
fn block(net: &mut Network, channels: usize, outputs: usize, stride: usize) {
    let body = Layers::of(|b| b.conv(Conv::new(outputs, 3).stride(stride)).relu().conv(Conv::new(outputs, 3)));
    let shortcut = if channels == outputs {
        Layers::default()
    } else {
        Layers::of(|s| s.conv(Conv::new(outputs, 1).stride(stride)))
    };
    net.push(Layer::Residual { body, shortcut }).relu();
}

fn residual(path: &str) -> Result<()> {
    let cifar = load(path, &limits(1024, 512))?;
    let arrays = |d: &Dataset| (d.images.to_vec(), d.shape, d.labels.clone());
    let ((images, shape, labels), (tests, _, truth)) = (arrays(&cifar.train), arrays(&cifar.test));
    let (train, test) = (Examples::new(&images, shape, &labels)?, Examples::new(&tests, shape, &truth)?);

    let mut net = Network::new(shape).seed(1);
    net.conv(Conv::new(16, 3)).relu().max_pool(2);
    block(&mut net, 16, 16, 1);
    block(&mut net, 16, 32, 2);
    net.global_avg_pool().flatten().linear(10);
    let update = Sgd::new(0.1).momentum(0.9).weight_decay(1e-3);
    let gpu = Gpu::open_by(|name| std::env::var(name).ok())?;
    let mut learner = Learner::new(&gpu, net, update)?.with_normalize(Normalize::of(&cifar.train))?;
    let mut accuracy = 0.0;
    for event in learner.fit(&train, Fit { epochs: 3, batch_size: 64, test: Some(&test), ..Fit::default() })? {
        if let Event::Eval { accuracy: found, loss, .. } = event? {
            println!("test loss {loss:.3}, accuracy {:.1} %", 100.0 * found);
            accuracy = found;
        }
    }
    assert!(accuracy > 0.2, "{accuracy}, where guessing has 0.1");
    Ok(())
}
