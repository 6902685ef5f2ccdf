//! Networks for other programs compute what they computed here.

use mexhat::Gpu;
use mexhat::models::{self, ModelOptions};
use mexhat::nn::{AvgPool, ChannelWhitening, Conv, Layer, Layers, Linear, MaxPool, Network, Norm, State, Whitening};
use mexhat::rng::Rng;
use mexhat::tape::StateTensor;
use mexhat::train::{Adam, Batch, Learner, Sgd, Targets};
use safetensors::tensor::{Dtype, TensorView};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use tempfile::TempDir;

#[path = "common/python.rs"]
mod python;
#[path = "common/skip.rs"]
mod skip;

use python::python;

static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::open_by(|name| std::env::var(name).ok()).expect("an adapter"));

const INPUT: [usize; 3] = [3, 12, 10];

const NORMS: [Norm; 5] = [Norm::Deconv, Norm::Batch, Norm::Group, Norm::Layer, Norm::Iterative];

/// Every kind of layer that is shipped.
fn all_layers(norm: Norm) -> Network {
    let mut net =
        Network::new(INPUT).norm(norm).num_groups(2).whitening(Whitening { block: 4, ..Whitening::default() });
    net.conv(Conv::new(8, 3)).relu().push(Layer::ChannelDeconv(ChannelWhitening { block: 3, ..Default::default() }));
    net.conv(Conv::new(8, 3).groups(2).dilation(2).bias(false)).push(Layer::LeakyRelu { slope: 0.1 });
    net.residual(|body| body.conv(Conv::new(8, 3)).relu().conv(Conv::new(8, 1))).relu();
    net.residual_with(|body| body.conv(Conv::new(12, 3).stride(2)), |cut| cut.conv(Conv::new(12, 1).stride(2)));
    net.push(Layer::Silu)
        .batch_norm()
        .named("between")
        .push(Layer::GroupNorm)
        .push(Layer::LayerNorm)
        .push(Layer::IterNorm);
    net.concat([Layers::default(), Layers::of(|b| b.conv(Conv::new(4, 3).padding(1)).push(Layer::Relu6))]);
    net.squeeze_excitation(16, 4);
    let path = |outputs| Layers::of(|b| b.conv(Conv::new(outputs, 1)));
    net.push(Layer::DualPath { sum: 8, body: path(10), shortcut: path(9) });
    net.push(Layer::Interpolate { size: [7, 9] }).push(Layer::MaxPool(MaxPool { kernel: 3, stride: 2, padding: 1 }));
    net.push(Layer::AdaptiveAvgPool { size: [3, 4] }).push(Layer::AvgPool(AvgPool { kernel: 2 }));
    net.push(Layer::Sequence { layers: Layers::of(|b| b.conv(Conv::new(6, 1)).push(Layer::Tanh)) });
    net.flatten().dropout(0.2).linear(Linear::new(20)).push(Layer::IterNorm).push(Layer::GroupNorm).sigmoid();
    net.push(Layer::ChannelDeconv(ChannelWhitening { block: 4, ..Default::default() })).linear(CLASSES);
    net
}

const CLASSES: usize = 5;

/// So many random images for `network`.
fn images(network: &Network, count: usize) -> Vec<f32> {
    let (mut rng, each) = (Rng::new(3), network.input.iter().product::<usize>());
    (0..count * each).map(|i| rng.normal() + ((i / 7) % 5) as f32 * 0.3).collect()
}

/// A label for each of `count` answers.
fn labels(count: usize) -> Vec<u32> {
    (0..count).map(|i| (i % CLASSES) as u32).collect()
}

/// The network after two steps, so that its statistics are not what they began as, and images for it. Of Adam, because
/// gradients of networks without norm are anything.
fn trained(network: Network) -> (Learner, Vec<f32>) {
    const BATCH: usize = 8;
    const RATE: f64 = 1e-3;
    let (count, output) = (2 * BATCH, network.build(&mut State::new()).expect("a network").output);
    let pixels: usize = output[1..].iter().product();
    let (images, labels) = (images(&network, count), labels(count * pixels));
    let mut learner = Learner::new(&GPU, network, Adam::new(RATE)).expect("a network");
    for (images, labels) in images.chunks(images.len() / 2).zip(labels.chunks(labels.len() / 2)) {
        let batch = Batch { images: images.to_vec(), targets: Targets::Labels(labels.to_vec()) };
        pollster::block_on(async {
            learner.submit(&batch, RATE, 0).await.expect("a step");
            assert!(learner.take().await.expect("a step").expect("a step").loss.is_finite());
        });
    }
    (learner, images)
}

/// The network with random values and statistics, and images for it: no step has to be compiled for them.
fn drawn(network: Network) -> (Learner, Vec<f32>) {
    let (mut state, mut rng) = (State::new(), Rng::new(5));
    network.build(&mut state).expect("a network");
    let values: Vec<(&StateTensor, Vec<u8>)> = state
        .iter()
        .map(|(_, tensor)| (tensor, random(tensor, &mut rng).into_iter().flat_map(f32::to_le_bytes).collect()))
        .collect();
    let views = values.iter().map(|(tensor, bytes)| {
        let view = TensorView::new(Dtype::F32, tensor.saved_shape().to_vec(), bytes).expect("a view");
        (tensor.name.as_str(), view)
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.safetensors");
    std::fs::write(&path, safetensors::serialize(views, None).expect("a file")).expect("a file");
    let images = images(&network, 4);
    let mut learner = Learner::new(&GPU, network, Sgd::new(0.1)).expect("a network");
    let loaded = learner.load_state_dict(&path).expect("values");
    assert_eq!((loaded.taken, loaded.missing.len(), loaded.other_shape.len()), (values.len(), 0, 0));
    // Outputs that are all the same would show nothing: these differ by ten times what two programs may.
    let outputs = learner.outputs(&images[..]).expect("outputs");
    let apart = outputs.row(0).iter().zip(outputs.row(1)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let size = outputs.values.iter().fold(0.0f32, |size, v| size.max(v.abs()));
    assert!(apart > 1e-3 * size, "{}: images have outputs {apart} apart beside {size}", learner.network().name);
    (learner, images)
}

/// Values for a tensor with which signals stay about as large from layer to layer.
fn random(tensor: &StateTensor, rng: &mut Rng) -> Vec<f32> {
    let (shape, count) = (&tensor.ty.shape, tensor.values.len());
    let mut normal =
        |mean: f32, deviation: f32| -> Vec<f32> { (0..count).map(|_| mean + deviation * rng.normal()).collect() };
    let key = tensor.name.rsplit('.').next().unwrap_or_default();
    match key {
        "running_deconv" | "running_wm" => {
            let d = shape[shape.len() - 1];
            let noise = normal(0.0, 0.3 / (d as f32).sqrt());
            let at = |i: usize| (i / (d * d) * d * d, i / d % d, i % d);
            let mirrored = |i: usize| at(i).0 + at(i).2 * d + at(i).1;
            let identity = |i: usize| if at(i).1 == at(i).2 { 1.0 } else { 0.0 };
            (0..count).map(|i| identity(i) + (noise[i] + noise[mirrored(i)]) / 2.0).collect()
        }
        "running_var" => normal(1.0, 0.2).into_iter().map(|v| v.abs().max(0.3)).collect(),
        "weight" if shape.len() > 1 => normal(0.0, (2.0 / shape[1..].iter().product::<usize>() as f32).sqrt()),
        "weight" => normal(1.0, 0.2),
        "num_batches_tracked" => vec![3.0],
        _ => normal(0.0, 0.2),
    }
}

#[test]
fn plain_networks_compute_the_same_without_deconvolution() {
    let zoo =
        |name| models::network(name, &ModelOptions { classes: CLASSES, input: [3, 16, 16], ..Default::default() });
    for network in NORMS.map(all_layers).into_iter().chain(["lenet", "mlp"].map(|name| zoo(name).expect(name))) {
        let name = format!("{} with {}", network.name, network.norm);
        let (mut learner, images) = trained(network);
        let plain = pollster::block_on(learner.to_plain()).expect("a plain network");
        let mut plain = Learner::from_bytes(&GPU, Path::new("plain.safetensors"), &plain, |_| Ok(())).expect("a file");
        let text = serde_json::to_string(plain.network()).expect("JSON");
        let folded = ["norm\":\"deconv", "norm\":\"iterative", "type\":\"channel_deconv", "type\":\"iter_norm"];
        let deconvolves = folded.into_iter().find(|kind| text.contains(kind));
        assert_eq!(deconvolves, None, "{name}: {text}");
        let (expected, found) = (learner.outputs(&images), plain.outputs(&images));
        let (expected, found) = (expected.expect("outputs").values, found.expect("outputs").values);
        let size = expected.iter().fold(1.0f32, |size, v| size.max(v.abs()));
        let worst = expected.iter().zip(&found).map(|(e, f)| (e - f).abs()).fold(0.0, f32::max);
        assert!(worst <= 1e-4 * size, "{name}: {worst} beside {size}");
    }
}

#[test]
fn modules_of_ones_own_are_refused_by_name() {
    let mut network = Network::new(INPUT);
    network.conv(Conv::new(4, 3)).relu().flatten();
    network.custom("mine", |_, _| Ok(Box::new(mexhat::nn::Flatten))).linear(5);
    let (mut learner, _) = trained(network);
    let error = pollster::block_on(learner.to_onnx(false)).expect_err("no operation");
    assert!(error.to_string().contains("'mine'"), "{error}");
}

/// A script of `tests/export` with these arguments; says what it is about when it fails.
fn run(script: &str, arguments: &[impl AsRef<Path>], about: &str) {
    let python = python().expect("whoever runs a script has asked for Python");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export").join(script);
    let mut command = Command::new(python);
    command.arg(script).args(arguments.iter().map(AsRef::as_ref));
    assert!(command.status().expect("a Python").success(), "{about}");
}

/// The folder `name` in `folder` with a network for other programs, what it is to make of images, and what that is.
fn exported((learner, images): &mut (Learner, Vec<f32>), folder: &TempDir, name: &str) -> PathBuf {
    let folder = folder.path().join(name);
    std::fs::create_dir(&folder).expect("a folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("a file");
    let (outputs, input) = (learner.outputs(&images[..]).expect("outputs"), learner.network().input);
    let output = &outputs.shape[1..];
    let case = serde_json::json!({ "name": name, "input": input, "output": output });
    write("case.json", case.to_string().as_bytes());
    write("model.onnx", &pollster::block_on(learner.to_onnx(false)).expect("a model"));
    write("plain.safetensors", &pollster::block_on(learner.to_plain()).expect("tensors"));
    write("images", bytemuck::cast_slice(images));
    write("labels", bytemuck::cast_slice(&labels(outputs.values.len() / output[0])));
    write("expected", bytemuck::cast_slice(&outputs.values));
    folder
}

/// Holds these networks against ONNX Runtime and PyTorch, to 1e-4 of the largest output.
fn hold(networks: impl IntoIterator<Item = Network>, made: fn(Network) -> (Learner, Vec<f32>)) {
    let folder = tempfile::tempdir().expect("a folder");
    let folders = networks.into_iter().map(|network| {
        let name = format!("{} with {}", network.name, network.norm);
        exported(&mut made(network), &folder, &name)
    });
    run("exported.py", &folders.collect::<Vec<_>>(), "other programs compute something else");
}

/// Images of a side that the model takes.
fn side(model: &str) -> [usize; 3] {
    match model {
        "lenet" | "small" | "deep" | "mlp" | "linear" | "yardstick" => [1, 28, 28],
        model if model.ends_with("-imagenet") => [3, 64, 64],
        model if model.starts_with("deeplab") => [3, 33, 41],
        _ => [3, 32, 32],
    }
}

/// The model, a quarter as wide.
fn narrow(model: &str, norm: Norm) -> Network {
    let options = ModelOptions { norm, width: 0.25, classes: CLASSES, input: side(model), ..Default::default() };
    models::network(model, &options).expect("a network")
}

/// Every kind of layer with every norm.
#[test]
fn other_programs_agree_on_every_layer_and_norm() {
    if let Err(why) = python() {
        return skip::skipped(why);
    }
    hold(NORMS.into_iter().chain([Norm::None]).map(all_layers), trained);
}

/// Every model of the crate with its own norm.
#[test]
fn other_programs_agree_on_every_model() {
    if let Err(why) = python() {
        return skip::skipped(why);
    }
    hold(models::NAMES.map(|model| narrow(model, Norm::Deconv)), drawn);
}

/// Every model of the crate after two steps, with each norm that its paper compares.
#[test]
#[ignore = "takes minutes"]
fn other_programs_agree_on_every_model_and_norm_after_training() {
    let norms = [Norm::Deconv, Norm::Batch, Norm::None];
    hold(models::NAMES.into_iter().flat_map(|model| norms.map(|norm| narrow(model, norm))), trained);
    let relatives = [Norm::Group, Norm::Layer, Norm::Iterative];
    hold(relatives.map(|norm| narrow("resnet18", norm)), trained);
}

/// PyTorch's layers on the networks of the paper's Table 1 exported as plain tensors, by the twins that the golden
/// vectors were made with, with batch norm and with deconvolution.
#[test]
#[ignore = "takes minutes"]
fn twins_in_pytorch_agree_on_table_1() {
    let few = ["pnasnet-a", "mobilenetv2", "efficientnet-b0", "resnext29", "preact18"];
    let many = ["senet18", "resnet18", "vgg16", "densenet121", "dpn92"];
    for model in few.into_iter().chain(many) {
        // VGG halves its map five times.
        let side = if model == "vgg16" { 32 } else { 16 };
        for norm in [Norm::Batch, Norm::Deconv] {
            let options = ModelOptions { norm, classes: CLASSES, input: [3, side, side], ..Default::default() };
            let folder = tempfile::tempdir().expect("a folder");
            let network = models::network(model, &options).expect("a network");
            let exported = exported(&mut trained(network), &folder, model);
            run("plain_networks.py", &[Path::new(model), &exported], model);
        }
    }
}

/// A whitening of maps of which some channels fill no block, and batch norm.
fn channels() -> Network {
    let mut net = Network::new([3, 32, 32]).norm(Norm::None).seed(9);
    net.conv(Conv::new(12, 3).stride(2))
        .push(Layer::ChannelDeconv(ChannelWhitening { block: 5, ..Default::default() }));
    net.batch_norm().relu().global_avg_pool().flatten().linear(10).named("fc");
    net
}

/// The authors' layers in PyTorch, there and back: their `state_dict` gives the same logits here, and what is saved
/// here gives them there.
#[test]
fn networks_go_to_pytorch_and_come_back() {
    if let Err(why) = python() {
        return skip::skipped(why);
    }
    for name in ["resnet18", "vgg16", "resnext29", "mlp", "channels"] {
        let folder = tempfile::tempdir().expect("a folder");
        let torch = |what: &str| {
            run("torch_networks.py", &[Path::new(what), Path::new(name), folder.path()], &format!("{name}, {what}"))
        };
        let floats = |file: &str| -> Vec<f32> {
            bytemuck::pod_collect_to_vec(&std::fs::read(folder.path().join(file)).expect("a file"))
        };
        torch("write");
        let options = ModelOptions { input: [3, 32, 32], seed: 9, ..Default::default() };
        let network = if name == "channels" { channels() } else { models::network(name, &options).expect("a network") };
        let mut learner = Learner::new(&GPU, network, Sgd::new(0.1)).expect("a learner");
        let loaded = learner.load_state_dict(folder.path().join("state.safetensors")).expect("values");
        let counters: &[&str] = match name {
            "resnet18" => &["conv1.counter"],
            "channels" => &["bn1.num_batches_tracked"],
            _ => &[],
        };
        assert_eq!(loaded.counters, counters, "{name}");
        assert_eq!((loaded.missing, loaded.extra, loaded.other_shape), (vec![], vec![], vec![]), "{name}");
        let (images, expected) = (floats("images"), floats("expected"));
        let found = learner.outputs(&images).expect("outputs").values;
        let size = expected.iter().fold(1.0f32, |size, v| size.max(v.abs()));
        let worst = expected.iter().zip(&found).map(|(e, f)| (e - f).abs()).fold(0.0, f32::max);
        assert!(worst <= 1e-4 * size, "{name}: {worst} beside {size}");
        learner.save(folder.path().join("model.safetensors")).expect("a file");
        torch("read");
    }
}
