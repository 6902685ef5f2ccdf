//! Networks for other programs compute what they computed here.

use mexhat::Gpu;
use mexhat::models::{self, ModelOptions};
use mexhat::nn::{AvgPool, ChannelWhitening, Conv, Layer, Layers, Linear, MaxPool, Network, Norm, Whitening};
use mexhat::train::{Event, Examples, Fit, Learner, Sgd};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

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
    net.push(Layer::Swish)
        .batch_norm()
        .named("between")
        .push(Layer::GroupNorm)
        .push(Layer::LayerNorm)
        .push(Layer::IterNorm);
    net.concat([Layers::default(), Layers::of(|b| b.conv(Conv::new(4, 3).padding(1)).push(Layer::Relu6))]);
    net.squeeze_excitation(16, 4);
    let path = |outputs| Layers::of(|b| b.conv(Conv::new(outputs, 1)));
    net.push(Layer::DualPath { sum: 8, body: path(10), shortcut: path(9) });
    net.push(Layer::Resize { size: [7, 9] }).push(Layer::MaxPool(MaxPool { kernel: 3, stride: 2, padding: 1 }));
    net.push(Layer::AdaptiveAvgPool { size: [3, 4] }).push(Layer::AvgPool(AvgPool { kernel: 2 }));
    net.push(Layer::Sequence { layers: Layers::of(|b| b.conv(Conv::new(6, 1)).push(Layer::Tanh)) });
    net.flatten().dropout(0.2).linear(Linear::new(20)).push(Layer::IterNorm).push(Layer::GroupNorm).sigmoid();
    net.push(Layer::ChannelDeconv(ChannelWhitening { block: 4, ..Default::default() })).linear(5);
    net
}

/// The network after two steps, so that its statistics are not what they began as, and images for it.
fn trained(network: Network) -> (Learner, Vec<f32>) {
    let mut rng = mexhat::rng::Rng::new(3);
    let (count, each) = (16, network.input.iter().product::<usize>());
    let images: Vec<f32> = (0..count * each).map(|i| rng.normal() + ((i / 7) % 5) as f32 * 0.3).collect();
    let labels: Vec<u32> = (0..count as u32).map(|i| i % 5).collect();
    let mut learner = Learner::new(&GPU, network.clone(), Sgd::new(0.05)).expect("a network");
    let examples = Examples::new(&images, network.input, &labels).expect("examples");
    let fit = Fit { epochs: 1, batch_size: 8, ..Fit::default() };
    let steps = learner.fit(&examples, fit).expect("a run");
    assert_eq!(steps.filter(|event| matches!(event.as_ref().expect("a step"), Event::Step { .. })).count(), 2);
    (learner, images)
}

#[test]
fn plain_networks_compute_the_same_without_deconvolution() {
    let zoo = |name| models::network(name, &ModelOptions { classes: 5, input: [3, 16, 16], ..Default::default() });
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

/// A Python with numpy, onnx, onnxruntime, safetensors and torch:
/// `MEXHAT_PYTHON=python cargo test --test export -- --ignored`.
fn python() -> String {
    std::env::var("MEXHAT_PYTHON").expect("MEXHAT_PYTHON names a Python")
}

/// The authors' layers in PyTorch, there and back: their `state_dict` gives the same logits here, and what is saved
/// here gives them there.
#[test]
#[ignore = "needs PyTorch: MEXHAT_PYTHON"]
fn networks_go_to_pytorch_and_come_back() {
    let python = python();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/torch_networks.py");
    for name in ["resnet18", "vgg16"] {
        let folder = tempfile::tempdir().expect("a folder");
        let torch = |what: &str| {
            let status = Command::new(&python).arg(&script).args([what, name]).arg(folder.path()).status();
            assert!(status.expect("a Python").success(), "{name}, {what}");
        };
        let floats = |file: &str| -> Vec<f32> {
            bytemuck::pod_collect_to_vec(&std::fs::read(folder.path().join(file)).expect("a file"))
        };
        torch("write");
        let options = ModelOptions { input: [3, 32, 32], seed: 9, ..Default::default() };
        let network = models::network(name, &options).expect("a network");
        let mut learner = Learner::new(&GPU, network, Sgd::new(0.1)).expect("a learner");
        let loaded = learner.load_state_dict(folder.path().join("state.safetensors")).expect("values");
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

/// Holds the outputs of a trained network against those of ONNX Runtime, to 1e-4 of the largest.
fn hold_against_onnx_runtime(network: Network) {
    let name = format!("{} with {}", network.name, network.norm);
    let shape = network.input.map(|size| size.to_string()).join(",");
    let (mut learner, images) = trained(network);
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("a file");
    write("model.onnx", &pollster::block_on(learner.to_onnx(false)).expect("a model"));
    write("images", bytemuck::cast_slice(&images));
    let expected = learner.outputs(&images).expect("outputs").values;
    write("expected", bytemuck::cast_slice(&expected));
    let script = "
import sys, numpy as np, onnx, onnxruntime
folder, name, shape = sys.argv[1:]
onnx.checker.check_model(onnx.load(folder + '/model.onnx'), full_check=True)
read = lambda name, *shape: np.fromfile(folder + '/' + name, np.float32).reshape(*shape)
images, expected = read('images', -1, *map(int, shape.split(','))), read('expected', -1, 5)
logits, shares = onnxruntime.InferenceSession(folder + '/model.onnx').run(None, {'images': images})
assert np.abs(shares.sum(1) - 1).max() < 1e-5
worst, size = np.abs(logits - expected).max(), np.abs(expected).max()
print(f'{name}: largest difference {worst:.1e} beside {size:.1e}', flush=True)
assert worst <= 1e-4 * max(1, size)
";
    let status = Command::new(python()).arg("-c").arg(script).arg(folder.path()).args([&name, &shape]).status();
    assert!(status.expect("a Python").success(), "{name}");
}

/// ONNX Runtime on the same network.
#[test]
#[ignore = "needs ONNX Runtime: MEXHAT_PYTHON"]
fn onnx_runtime_agrees() {
    for norm in NORMS {
        hold_against_onnx_runtime(all_layers(norm));
    }
}

/// Hands `hold` the networks of the paper's Table 1, with batch norm and with deconvolution.
fn each_of_the_zoo(side: impl Fn(&str) -> usize, hold: impl Fn(Network)) {
    let few = ["pnasnet-a", "mobilenetv2", "efficientnet-b0", "resnext29", "preact18"];
    let many = ["senet18", "resnet18", "vgg16", "densenet121", "dpn92"];
    for name in few.into_iter().chain(many) {
        for norm in [Norm::Batch, Norm::Deconv] {
            let options = ModelOptions { norm, classes: 5, input: [3, side(name), side(name)], ..Default::default() };
            hold(models::network(name, &options).expect("a network"));
        }
    }
}

/// ONNX Runtime on the networks of the paper's Table 1.
#[test]
#[ignore = "needs ONNX Runtime: MEXHAT_PYTHON"]
fn onnx_runtime_agrees_on_the_zoo() {
    each_of_the_zoo(|_| 32, hold_against_onnx_runtime);
}

/// PyTorch's layers on the same networks exported as plain tensors, by the twins that the golden vectors were made
/// with.
#[test]
#[ignore = "needs PyTorch: MEXHAT_PYTHON"]
fn pytorch_agrees_on_the_plain_zoo() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/plain_networks.py");
    let hold = |network: Network| {
        let name = network.name.clone();
        let (mut learner, images) = trained(network);
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).expect("a file");
        write("plain.safetensors", &pollster::block_on(learner.to_plain()).expect("tensors"));
        write("images", bytemuck::cast_slice(&images));
        write("expected", bytemuck::cast_slice(&learner.outputs(&images).expect("outputs").values));
        let status = Command::new(python()).arg(&script).arg(&name).arg(folder.path()).status();
        assert!(status.expect("a Python").success(), "{name}");
    };
    // VGG halves its map five times.
    each_of_the_zoo(|name| if name == "vgg16" { 32 } else { 16 }, hold);
}
