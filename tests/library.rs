//! The library as a program uses it: networks of one's own, trained on one's own data, saved and loaded.

use mexhat::nn::{Conv, Forward, Init, Layers, Module, Network, Norm};
use mexhat::tape::{StateId, Var};
use mexhat::train::{Adam, Data, Event, Examples, Fit, Learner, Loss, Sgd, Stream, Tensor};
use mexhat::{Error, Gpu, Result, data, ops};
use std::sync::LazyLock;

static GPU: LazyLock<Gpu> = LazyLock::new(|| Gpu::open_by(|name| std::env::var(name).ok()).expect("an adapter"));

/// 8x8 images whose brighter half, left or right, is their class.
fn halves(count: usize) -> (Vec<f32>, Vec<u32>) {
    let mut rng = mexhat::rng::Rng::new(1);
    let labels: Vec<u32> = (0..count).map(|i| i as u32 % 2).collect();
    let pixel = |label: u32, x: usize, noise: f32| f32::from(u8::from((x < 4) == (label == 0))) + 0.3 * noise;
    let images =
        labels.iter().flat_map(|label| (0..64).map(|i| pixel(*label, i % 8, rng.normal())).collect::<Vec<_>>());
    (images.collect(), labels)
}

fn small(norm: Norm) -> Network {
    let mut net = Network::new([1, 8, 8]).norm(norm);
    net.conv(Conv::new(4, 3)).relu().max_pool(2).flatten().linear(2);
    net
}

fn losses(learner: &mut Learner, data: &dyn Data, fit: Fit<'_>) -> Result<Vec<f32>> {
    let mut losses = Vec::new();
    for event in learner.fit(data, fit)? {
        if let Event::Step { loss, .. } = event? {
            losses.push(loss);
        }
    }
    Ok(losses)
}

fn refused<T>(result: Result<T>) -> String {
    result.err().map_or_else(|| panic!("this was to be refused"), |e| e.to_string())
}

#[test]
fn a_network_learns_from_arrays_and_says_what_it_sees() -> Result<()> {
    let (images, labels) = halves(256);
    let train = Examples::new(&images, [1, 8, 8], &labels)?;
    for norm in [Norm::Deconv, Norm::Batch, Norm::Group, Norm::Layer, Norm::Iterative, Norm::None] {
        let mut learner = Learner::new(&GPU, small(norm), Sgd::new(0.1).momentum(0.9))?;
        let fit = Fit { epochs: 4, batch_size: 32, test: Some(&train), ..Fit::default() };
        let (mut accuracy, mut losses) = (0.0, Vec::new());
        for event in learner.fit(&train, fit)? {
            match event? {
                Event::Eval { accuracy: found, .. } => accuracy = found,
                Event::Step { loss, .. } => losses.push(loss),
                _ => {}
            }
        }
        assert!(accuracy > 0.95, "{norm}: {accuracy}");
        assert!(losses[losses.len() - 1] < 0.5 * losses[0], "{norm}: {losses:?}");
        // 100 images: a full pass and the rest in smaller ones; one image alone says the same.
        let shares = learner.predict(&images[..100 * 64])?;
        assert_eq!(shares.shape, [100, 2]);
        let right = shares.argmax().iter().zip(&labels).filter(|(found, label)| **found == **label as usize).count();
        assert!(right > 95, "{norm}: {right}");
        let alone = learner.predict(&images[99 * 64..100 * 64])?;
        assert!(alone.values.iter().zip(shares.row(99)).all(|(a, b)| (a - b).abs() < 1e-5), "{alone:?}");
        assert!((shares.row(7).iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let file = tempfile::NamedTempFile::new().map_err(|e| Error::Run(e.to_string()))?;
        learner.save(file.path())?;
        assert_eq!(Learner::load(&GPU, file.path())?.predict(&images[..100 * 64])?, shares, "{norm}");
    }
    Ok(())
}

#[test]
fn bytes_are_floats_of_0_to_1_and_the_normalisation_travels() -> Result<()> {
    let bytes: Vec<u8> = (0..128).map(|i| (i * 2) as u8).collect();
    let floats: Vec<f32> = bytes.iter().map(|b| f32::from(*b) / 255.0).collect();
    let normalize = data::Normalize { mean: vec![0.25], std: vec![0.5] };
    let mut learner = Learner::new(&GPU, small(Norm::None), Sgd::new(0.1))?.with_normalize(normalize.clone())?;
    let (of_bytes, of_floats) = (learner.outputs(&bytes)?, learner.outputs(&floats)?);
    assert_eq!(of_bytes, of_floats);
    let by_hand: Vec<f32> = floats.iter().map(|v| (v - 0.25) / 0.5).collect();
    let mut plain = Learner::new(&GPU, small(Norm::None), Sgd::new(0.1))?;
    assert_eq!(plain.outputs(&by_hand)?, of_bytes);
    let saved = pollster::block_on(learner.to_bytes())?;
    let mut loaded = Learner::from_bytes(&GPU, "x.safetensors".as_ref(), &saved, |_| Ok(()))?;
    assert_eq!(loaded.normalize(), &normalize);
    assert_eq!(loaded.outputs(&bytes)?, of_bytes);
    Ok(())
}

#[test]
fn a_stream_trains_like_the_arrays_it_is_made_of() -> Result<()> {
    let (images, labels) = halves(96);
    let arrays = Examples::new(&images, [1, 8, 8], &labels)?;
    let (all, classes) = (images.clone(), labels.clone());
    let stream = Stream::new([1, 8, 8], move |_| {
        let pairs: Vec<_> = all.chunks(64).map(<[f32]>::to_vec).zip(classes.clone()).map(Ok).collect();
        pairs.into_iter()
    });
    // 96 images in batches of 40: the last has 16.
    let fit = Fit { epochs: 2, batch_size: 40, shuffle: false, ..Fit::default() };
    let run = |data: &dyn Data| {
        let mut learner = Learner::new(&GPU, small(Norm::Deconv), Adam::new(1e-2))?;
        losses(&mut learner, data, fit)
    };
    let (expected, found) = (run(&arrays)?, run(&stream)?);
    assert_eq!((expected.len(), &expected), (6, &found));
    let cosine = Fit { schedule: mexhat::train::ScheduleKind::Cosine, ..fit };
    let rates = |data: &dyn Data| -> Result<Vec<f64>> {
        let mut learner = Learner::new(&GPU, small(Norm::None), Sgd::new(0.1))?;
        learner
            .fit(data, cosine)?
            .map(|event| Ok(if let Event::Step { lr, .. } = event? { Some(lr) } else { None }))
            .filter_map(Result::transpose)
            .collect()
    };
    assert!(refused(rates(&stream)).contains("how long an epoch is"));
    // Six steps to where the rate is 0.
    let (expected, found) = (rates(&arrays)?, rates(&stream.with_images(96))?);
    assert_eq!((expected.len(), &expected), (6, &found));
    assert!(found[5] < found[0], "{found:?}");
    Ok(())
}

/// `weight x` per channel, a module of the user's.
#[derive(Debug)]
struct Scale(StateId);

impl Module for Scale {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        let weight = ctx.tensor(self.0);
        let shape = ctx.tape.shape(x).to_vec();
        let rows = ops::constant(ctx.tape, mexhat::tape::Type::plain(&[shape[0], 1]), 1.0)?;
        let rows = ops::to_vec4(ctx.tape, rows)?;
        let weight = ctx.tape.view(weight, &[shape[1], 1])?;
        let scale = ops::linear(ctx.tape, rows, weight, None)?;
        let scale = ctx.tape.view(scale, &[shape[0], shape[1], 1, 1])?;
        ops::mul_channels(ctx.tape, x, scale)
    }
}

fn scale(init: &mut Init<'_>, input: &[usize]) -> Result<Box<dyn Module>> {
    let weight = init.parameter("weight", &[input[0]], vec![1.0; input[0]])?;
    Ok(Box::new(Scale(weight)))
}

/// Residual blocks, branches, squeeze and excitation, dropout and a module of one's own.
fn everything() -> Network {
    let mut net = Network::new([1, 8, 8]).seed(3);
    net.conv(Conv::new(8, 3)).relu();
    net.residual(|body| body.conv(Conv::new(8, 3)).relu().conv(Conv::new(8, 3)).squeeze_excitation(8, 2)).relu();
    net.residual_with(
        |body| body.conv(Conv::new(12, 3).stride(2)).relu().conv(Conv::new(12, 3)),
        |shortcut| shortcut.conv(Conv::new(12, 1).stride(2)).named("shortcut"),
    );
    net.named("down").relu();
    net.concat([Layers::of(|b| b.conv(Conv::new(4, 1)).relu()), Layers::default()]);
    net.custom("scale", scale).global_avg_pool().flatten().dropout(0.1).linear(2);
    net
}

#[test]
fn every_kind_of_block_learns_and_comes_back_from_a_file() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| Error::Run(e.to_string()))?;
    let path = folder.path().join("everything.safetensors");
    let (images, labels) = halves(128);
    let train = Examples::new(&images, [1, 8, 8], &labels)?;
    let mut learner = Learner::new(&GPU, everything(), Sgd::new(0.05).momentum(0.9))?;
    let found = losses(&mut learner, &train, Fit { epochs: 4, batch_size: 32, ..Fit::default() })?;
    assert!(found[15] < 0.5 * found[0], "{found:?}");
    assert_ne!(learner.tensor("scale1.weight")?.values, [1.0; 16]);
    let shares = learner.predict(&images)?;
    learner.save(&path)?;

    let error = refused(Learner::load(&GPU, &path).map(|_| ()));
    assert!(error.contains("layer 'scale1'") && error.contains("define(\"scale\""), "{error}");
    let mut loaded = Learner::load_with(&GPU, &path, |net| net.define("scale", scale))?;
    assert_eq!(loaded.network(), &everything().seed(0));
    assert_eq!(loaded.predict(&images)?, shares);
    assert!(refused(loaded.fit(&train, Fit::default()).map(|_| ())).contains("with_update"));
    let mut again = loaded.with_update(Sgd::new(0.01))?;
    let on = losses(&mut again, &train, Fit { batch_size: 32, ..Fit::default() })?;
    assert!(on[0] < 0.7 * found[0], "{on:?} after {found:?}");
    Ok(())
}

#[test]
fn networks_as_text_refuse_typing_errors_and_say_which_layer_does_not_fit() {
    let text = serde_json::to_string(&everything()).expect("plain data");
    assert_eq!(serde_json::from_str::<Network>(&text).expect("the same data"), everything().seed(0));
    let wrong = text.replacen("\"kernel\"", "\"kernal\"", 1);
    let error = serde_json::from_str::<Network>(&wrong).expect_err("no such key").to_string();
    assert!(error.contains("kernal"), "{error}");

    let build = |write: fn(&mut Layers) -> &mut Layers| {
        let mut net = Network::new([1, 8, 8]);
        write(&mut net.layers);
        refused(net.build(&mut mexhat::tape::State::new()).map(|_| ()))
    };
    let error = build(|l| l.conv(Conv::new(4, 3)).linear(2));
    assert!(error.contains("'fc1'") && error.contains("[4, 8, 8]") && error.contains("flatten"), "{error}");
    assert!(build(|l| l.max_pool(2).max_pool(2).max_pool(2).max_pool(2)).contains("'max_pool4'"));
    assert!(build(|l| l.conv(Conv::new(4, 3).groups(3))).contains("groups is 3, which does not divide"));
    assert!(build(|l| l.conv(Conv::new(4, 3)).named("a").conv(Conv::new(4, 3)).named("a")).contains("two layers"));
    assert!(build(|l| l.flatten().linear(usize::MAX / 2)).contains("a tensor may have"));
    assert!(build(|l| l.residual(|b| b.conv(Conv::new(4, 3)))).contains("'block1'"));
}

#[test]
fn frozen_layers_stay_and_the_others_learn() -> Result<()> {
    let (images, labels) = halves(64);
    let train = Examples::new(&images, [1, 8, 8], &labels)?;
    let mut learner = Learner::new(&GPU, small(Norm::Deconv), Sgd::new(0.1).momentum(0.9))?;
    let all = learner.parameters();
    learner.freeze(&["conv1"])?;
    assert_eq!(learner.parameters(), all - 4 * 9 - 4);
    let before = (learner.tensor("conv1.weight")?, learner.tensor("fc1.weight")?);
    let fit = Fit { epochs: 2, batch_size: 32, ..Fit::default() };
    losses(&mut learner, &train, fit)?;
    assert_eq!(learner.tensor("conv1.weight")?, before.0);
    assert_ne!(learner.tensor("fc1.weight")?, before.1);
    learner.unfreeze(&["conv1"])?;
    losses(&mut learner, &train, fit)?;
    assert_ne!(learner.tensor("conv1.weight")?, before.0);
    let error = refused(learner.freeze(&["conv2"]));
    assert!(error.contains("'conv2'") && error.contains("conv1, fc1"), "{error}");
    Ok(())
}

#[test]
fn a_loss_of_ones_own_and_values_for_targets() -> Result<()> {
    let (images, labels) = halves(64);
    let train = Examples::new(&images, [1, 8, 8], &labels)?;
    let halved = Loss::labels(|tape, output, labels| {
        let loss = ops::cross_entropy(tape, output, labels, Default::default())?;
        let half = ops::constant(tape, mexhat::tape::Type::plain(&[1]), 0.5)?;
        let (loss, half) = (tape.view(loss, &[1, 1])?, tape.view(half, &[1, 1])?);
        let (loss, half) = (ops::to_vec4(tape, loss)?, ops::to_vec4(tape, half)?);
        let product = ops::mul(tape, loss, half, 1.0)?;
        let product = ops::to_plain(tape, product)?;
        tape.view(product, &[1])
    });
    let fit = Fit { batch_size: 64, ..Fit::default() };
    let whole = losses(&mut Learner::new(&GPU, small(Norm::None), Sgd::new(0.1))?, &train, fit)?;
    let half = losses(&mut Learner::new(&GPU, small(Norm::None), Sgd::new(0.1))?.with_loss(halved), &train, fit)?;
    assert!((whole[0] - 2.0 * half[0]).abs() < 1e-6, "{whole:?} {half:?}");

    // The mean of each half as values.
    let means: Vec<f32> = images
        .chunks(64)
        .flat_map(|image| {
            let mean =
                |side: usize| (0..64).filter(|i| (i % 8 < 4) == (side == 0)).map(|i| image[i]).sum::<f32>() / 32.0;
            [mean(0), mean(1)]
        })
        .collect();
    let values = Examples::with_values(&images, [1, 8, 8], &means)?;
    let mut learner = Learner::new(&GPU, small(Norm::None), Adam::new(1e-2))?.with_loss(Loss::MeanSquares);
    let found = losses(&mut learner, &values, Fit { epochs: 20, batch_size: 32, ..Fit::default() })?;
    assert!(found[39] < 0.1 * found[0], "{found:?}");
    assert!(refused(losses(&mut learner, &train, fit)).contains("takes values"));
    Ok(())
}

#[test]
fn layers_are_looked_at_by_name() -> Result<()> {
    let (images, labels) = halves(64);
    let train = Examples::new(&images, [1, 8, 8], &labels)?;
    let mut learner = Learner::new(&GPU, small(Norm::Deconv), Sgd::new(0.1))?;
    losses(&mut learner, &train, Fit { batch_size: 32, ..Fit::default() })?;
    let some = &images[..5 * 64];
    let (conv, relu) = (learner.activations(some, "conv1")?, learner.activations(some, "relu1")?);
    assert_eq!((&conv.shape[..], &relu.shape[..]), (&[5, 4, 8, 8][..], &[5, 4, 8, 8][..]));
    assert!(conv.values.iter().any(|v| *v < 0.0), "the convolution alone, not its ReLU");
    assert!(conv.values.iter().zip(&relu.values).all(|(c, r)| (c.max(0.0) - r).abs() < 1e-6));
    let out = learner.activations(some, "fc1")?;
    let expected = learner.outputs(some)?;
    assert!(out.values.iter().zip(&expected.values).all(|(a, b)| (a - b).abs() < 1e-4), "{out:?} {expected:?}");
    assert!(refused(learner.activations(some, "conv7")).contains("conv1, relu1"));

    assert_eq!(learner.tensor("conv1.weight")?.shape, [4, 1, 3, 3]);
    let Tensor { shape, values } = learner.tensor("conv1.running_deconv")?;
    assert_eq!(shape, [1, 9, 9]);
    assert!((0..9).all(|i| values[i * 9 + i] > 0.0));
    let pairs = learner.covariances(&images)?;
    assert_eq!(pairs.iter().map(|p| (p.name.as_str(), p.d)).collect::<Vec<_>>(), [("conv1", 9), ("fc1", 64)]);
    assert!(refused(learner.tensor("conv9.weight")).contains("conv1.weight"));
    learner.set_tensor("fc1.bias", &[5.0, -5.0])?;
    assert_eq!(learner.tensor("fc1.bias")?.values, [5.0, -5.0]);
    Ok(())
}

#[test]
fn several_networks_share_a_device() -> Result<()> {
    let (images, labels) = halves(64);
    let train = Examples::new(&images, [1, 8, 8], &labels)?;
    let fit = Fit { epochs: 2, batch_size: 32, ..Fit::default() };
    let run = |norm| losses(&mut Learner::new(&GPU, small(norm), Sgd::new(0.1))?, &train, fit);
    let alone = [run(Norm::Deconv)?, run(Norm::Batch)?];
    let mut learners = [
        Learner::new(&GPU, small(Norm::Deconv), Sgd::new(0.1))?,
        Learner::new(&GPU, small(Norm::Batch), Sgd::new(0.1))?,
    ];
    let [first, second] = &mut learners;
    let (mut first, mut second) = (first.fit(&train, fit)?, second.fit(&train, fit)?);
    let mut found = [Vec::new(), Vec::new()];
    loop {
        let events = [first.next().transpose()?, second.next().transpose()?];
        if events.iter().all(Option::is_none) {
            break;
        }
        for (losses, event) in found.iter_mut().zip(events) {
            if let Some(Event::Step { loss, .. }) = event {
                losses.push(loss);
            }
        }
    }
    assert_eq!(found, alone);
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused_before_the_gpu_sees_it() -> Result<()> {
    let (images, mut labels) = halves(64);
    assert!(refused(Examples::new(&images[1..], [1, 8, 8], &labels)).contains("64 values each"));
    let uneven = refused(Examples::new(&images, [1, 8, 8], &labels[1..]));
    assert!(uneven.contains("64 images of [1, 8, 8] and 63 labels"), "{uneven}");
    labels[10] = 2;
    let train = Examples::new(&images, [1, 8, 8], &labels)?;
    let mut learner = Learner::new(&GPU, small(Norm::None), Sgd::new(0.1))?;
    let error = refused(losses(&mut learner, &train, Fit { batch_size: 64, ..Fit::default() }));
    assert!(error.contains("label 2") && error.contains("0 to 1"), "{error}");
    assert!(refused(learner.fit(&train, Fit::default()).map(|_| ())).contains("128"));
    assert!(refused(learner.predict(&images[..63])).contains("[1, 8, 8]"));
    assert!(refused(Learner::new(&GPU, small(Norm::None), Sgd::new(-1.0)).map(|_| ())).contains("learning rate is -1"));
    // One image a step is a batch like others where nothing looks at its statistics.
    labels[10] = 1;
    let train = Examples::new(&images, [1, 8, 8], &labels)?;
    assert_eq!(losses(&mut learner, &train, Fit { batch_size: 1, ..Fit::default() })?.len(), 64);
    // What whitens does, whether the network or a layer says so.
    let alone = || Fit { batch_size: 1, ..Fit::default() };
    let mut own = Network::new([1, 8, 8]).norm(Norm::None);
    own.conv(Conv::new(4, 3).norm(Norm::Deconv)).relu().flatten().linear(2);
    for net in [small(Norm::Deconv), small(Norm::Iterative), own] {
        let mut whitened = Learner::new(&GPU, net, Sgd::new(0.1))?;
        let error = refused(whitened.fit(&train, alone()).map(|_| ()));
        assert!(error.contains("one image has no covariance") && error.contains("at least 2"), "{error}");
    }
    let other = Examples::new(&images, [1, 4, 16], &labels)?;
    assert!(refused(learner.fit(&other, Fit::default()).map(|_| ())).contains("[1, 4, 16]"));
    Ok(())
}

/// What was trained on can be asked about, and images of as many values but another shape are not taken for those.
#[test]
fn examples_and_data_sets_are_predicted_by_their_shape() -> Result<()> {
    let (images, labels) = halves(6);
    let mut learner = Learner::new(&GPU, small(Norm::Batch), Sgd::new(0.1))?;
    let examples = Examples::new(&images, [1, 8, 8], &labels)?;
    assert_eq!(learner.predict(&examples)?.values, learner.predict(&images)?.values);

    let wide = Examples::new(&images, [1, 4, 16], &labels)?;
    let rows = data::Dataset::new("rows", 2, [1, 2, 32], vec![0; 6 * 64], labels.clone())?;
    for error in [refused(learner.predict(&wide)), refused(learner.classes(&rows)), refused(learner.outputs(&wide))] {
        assert!(error.contains("expected images of [1, 8, 8]") && error.contains("found images of"), "{error}");
    }
    Ok(())
}

/// The README's program is the one that is compiled and run as the crate's first example.
///
/// How much the library shows:
/// `cargo doc --no-deps -p mexhat && grep -o '<li><a href' target/doc/mexhat/all.html | wc -l`
#[test]
fn the_readme_has_the_program_of_the_crates_documentation() {
    let read = |name: &str| std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name));
    let (readme, library) = (read("README.md").expect("a README"), read("src/lib.rs").expect("the crate"));
    let shown = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a program");
    let documented: Vec<&str> = library.lines().skip_while(|line| *line != "//! ```").skip(1).collect();
    let documented = documented.iter().take_while(|line| **line != "//! ```");
    let documented: Vec<&str> = documented.map(|line| line.trim_start_matches("//!").trim_start()).collect();
    assert_eq!(shown.lines().map(str::trim_start).collect::<Vec<_>>(), documented);
}
