//! What an update may do beside its rule: gradients added up over batches, averages of weights, weights of classes.

#[path = "common/polled.rs"]
mod polled;

use mexhat::gpu::Counters;
use mexhat::nn::{Conv, Network, Norm};
use mexhat::ops::{self, CrossEntropyOptions};
use mexhat::rng::Rng;
use mexhat::tape::{Array, DType, State, Tape, Values, interpret};
use mexhat::train::{Adam, Batch, Event, Examples, Fit, Learner, Loss, Sgd, Targets, Update};
use mexhat::{Error, Gpu, Result};
use polled::polled;
use std::sync::LazyLock;

static GPU: LazyLock<Gpu> = LazyLock::new(own_gpu);

fn own_gpu() -> Gpu {
    Gpu::open_by(|name| std::env::var(name).ok()).unwrap_or_else(|e| panic!("{e}"))
}

const SHAPE: [usize; 3] = [2, 8, 8];
const PIXELS: usize = 128;

/// Noise around the grey of each image's class.
fn images(count: usize, seed: u64) -> (Vec<f32>, Vec<u32>) {
    let mut rng = Rng::new(seed);
    let labels: Vec<u32> = (0..count).map(|_| rng.below(3) as u32).collect();
    let images = labels.iter().flat_map(|label| (0..PIXELS).map(|_| *label as f32 + rng.normal()).collect::<Vec<_>>());
    (images.collect(), labels)
}

fn network(norm: Norm) -> Network {
    let mut net = Network::new(SHAPE).norm(norm).seed(5);
    net.conv(Conv::new(6, 3)).relu().max_pool(2).flatten().linear(7).relu().linear(3);
    net
}

/// Losses of the steps of two epochs, and all weights behind them.
fn train(update: Update, norm: Norm, batch_size: usize, count: usize) -> Result<(Vec<f32>, Vec<f32>)> {
    let (images, labels) = images(count, 1);
    let data = Examples::new(&images, SHAPE, &labels)?;
    let mut learner = Learner::new(&GPU, network(norm), update)?;
    let mut losses = Vec::new();
    for event in learner.fit(&data, Fit { epochs: 2, batch_size, ..Fit::default() })? {
        if let Event::Step { loss, .. } = event? {
            losses.push(loss);
        }
    }
    Ok((losses, weights(&mut learner)?))
}

/// Every trained value.
fn weights(learner: &mut Learner) -> Result<Vec<f32>> {
    let names: Vec<String> = learner.tensors().into_iter().map(String::from).collect();
    let values = names.iter().filter(|name| name.ends_with("weight") || name.ends_with("bias"));
    Ok(values.map(|name| learner.tensor(name).map(|t| t.values)).collect::<Result<Vec<_>>>()?.concat())
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()))
}

#[test]
fn four_batches_added_up_are_one_four_times_as_large() -> Result<()> {
    let sgd = Update::from(Sgd::new(0.05).momentum(0.9).weight_decay(1e-3));
    // 96 images are whole steps; of 118 the last step has 22, in parts of 6, 6, 5 and 5.
    for count in [96, 118] {
        for update in [sgd, sgd.clip_grad_norm(0.5), Adam::new(1e-3).into()] {
            let (whole, of_whole) = train(update, Norm::None, 32, count)?;
            let (parts, of_parts) = train(update.accumulate(4), Norm::None, 8, count)?;
            assert_eq!(whole.len(), if count == 96 { 6 } else { 8 });
            assert!(furthest(&whole, &parts) < 1e-5, "{update:?}: {whole:?} {parts:?}");
            let apart = furthest(&of_whole, &of_parts);
            assert!(apart < 1e-5, "{update:?}: weights are {apart} apart");
        }
    }
    // Without the addition, the last batch alone decides.
    let (_, alone) = train(sgd, Norm::None, 8, 96)?;
    assert!(furthest(&alone, &train(sgd, Norm::None, 32, 96)?.1) > 1e-2);
    Ok(())
}

#[test]
fn statistics_are_of_each_batch() -> Result<()> {
    for norm in [Norm::Deconv, Norm::Batch] {
        let (losses, _) = train(Update::from(Sgd::new(0.05)).accumulate(4), norm, 8, 96)?;
        assert!(losses.iter().all(|loss| loss.is_finite()) && losses[5] < losses[0], "{norm}: {losses:?}");
    }
    Ok(())
}

fn batch(n: u64) -> Batch {
    let (images, labels) = images(16, n);
    Batch { images, targets: Targets::Labels(labels) }
}

#[test]
fn steps_of_parts_with_averages_create_nothing_and_wait_for_nothing() -> Result<()> {
    const STEPS: u64 = 200;
    let gpu = own_gpu();
    let update = Update::from(Sgd::new(0.01).momentum(0.9)).clip_grad_norm(1.0).accumulate(4).average(0.99);
    let mut learner = Learner::new(&gpu, network(Norm::Deconv), update)?;
    let mut step = |n| {
        pollster::block_on(learner.submit(&batch(n), 0.01, 0))?;
        polled(|| learner.try_take())
    };
    (0..3).try_for_each(|n| step(n).map(|_| ()))?;
    let warm = gpu.counters();
    for n in 0..STEPS {
        assert_eq!(step(n)?.step, n + 4);
    }
    let now = gpu.counters();
    assert_eq!(now, Counters { submissions: warm.submissions + 4 * STEPS, dispatches: now.dispatches, ..warm });
    Ok(())
}

#[test]
fn averages_are_those_of_the_weights_and_are_what_is_judged_and_saved() -> Result<()> {
    const DECAY: f64 = 0.8;
    let update = Update::from(Sgd::new(0.1).momentum(0.9)).average(DECAY);
    let mut learner = Learner::new(&GPU, network(Norm::Batch), update)?;
    let saved = |learner: &mut Learner| {
        let bytes = pollster::block_on(learner.to_bytes())?;
        Learner::from_bytes(&GPU, "x.safetensors".as_ref(), &bytes, |_| Ok(()))
    };
    assert_eq!(weights(&mut saved(&mut learner)?)?, weights(&mut learner)?, "before the first step");
    let mut expected: Vec<f64> = Vec::new();
    for n in 0..6 {
        pollster::block_on(async {
            learner.submit(&batch(n), 0.1, 0).await?;
            learner.take().await
        })?;
        // The weights of step i have the share decay^(t-i) (1 - decay) / (1 - decay^t).
        let now = weights(&mut learner)?;
        let total = 1.0 - DECAY.powi(n as i32 + 1);
        let before = (total - (1.0 - DECAY)) / total;
        expected.resize(now.len(), 0.0);
        expected.iter_mut().zip(&now).for_each(|(e, v)| *e = before * *e + (1.0 - before) * f64::from(*v));
    }
    let mut loaded = saved(&mut learner)?;
    let found = weights(&mut loaded)?;
    let apart = found.iter().zip(&expected).fold(0.0, |most: f64, (f, e)| most.max((f64::from(*f) - e).abs()));
    assert!(apart < 1e-6, "averages are {apart} away from those in f64");
    assert!(furthest(&found, &weights(&mut learner)?) > 1e-3, "the averages are the weights themselves");
    let (images, labels) = images(20, 9);
    assert_eq!(learner.predict(&images)?, loaded.predict(&images)?);
    let data = Examples::new(&images, SHAPE, &labels)?;
    assert_eq!(learner.evaluate(&data, 8)?.loss, loaded.evaluate(&data, 8)?.loss);
    // Statistics are averaged, too.
    assert!(learner.tensor("conv1_bn.running_mean")? != loaded.tensor("conv1_bn.running_mean")?);
    Ok(())
}

#[test]
fn a_frozen_layer_is_its_own_average_to_the_bit() -> Result<()> {
    let update = Update::from(Sgd::new(0.1)).average(0.9);
    let mut learner = Learner::new(&GPU, network(Norm::None), update)?;
    let before = learner.tensor("conv1.weight")?;
    learner.freeze(&["conv1"])?;
    for n in 0..8 {
        pollster::block_on(async {
            learner.submit(&batch(n), 0.1, 0).await?;
            learner.take().await
        })?;
    }
    let bytes = pollster::block_on(learner.to_bytes())?;
    let mut saved = Learner::from_bytes(&GPU, "x.safetensors".as_ref(), &bytes, |_| Ok(()))?;
    assert_eq!(saved.tensor("conv1.weight")?, before);
    Ok(())
}

#[test]
fn a_network_that_has_diverged_has_no_answers_and_no_accuracy() -> Result<()> {
    let mut learner = Learner::new(&GPU, network(Norm::None), Sgd::new(0.1))?;
    let name = learner.tensors().into_iter().rfind(|name| name.ends_with("bias")).unwrap_or_default().to_owned();
    let bias = learner.tensor(&name)?.values.len();
    learner.set_tensor(&name, &vec![f32::NAN; bias])?;
    let (images, labels) = images(20, 9);
    let error = learner.predict(&images).unwrap_err().to_string();
    assert!(error.contains("no number; it has diverged"), "{error}");
    assert!(learner.outputs(&images)?.values.iter().all(|value| value.is_nan()));
    let found = learner.evaluate(&Examples::new(&images, SHAPE, &labels)?, 8)?;
    assert!(found.loss.is_nan() && found.accuracy.is_nan(), "{found:?}");
    Ok(())
}

#[test]
fn weights_of_classes_are_those_of_pytorch() -> Result<()> {
    // torch.nn.functional.cross_entropy(x, y, weight=w, label_smoothing=a) in float64, and its gradient.
    let expected = [
        (
            0.0,
            1.2238721160356187,
            [-0.0396251104, 0.0030058888, 0.0366192216, 0.0942718587, 0.1210474626, -0.2153193213],
        ),
        (0.2, 1.2945305188169733, [-0.0081793102, -0.0227590113, 0.0309383214, 0.087605192, 0.094380796, -0.181985988]),
    ];
    let x = [1.0, -2.0, 0.5, 0.0, 0.25, -1.0, 2.0, 1.0, -0.5, -1.5, 0.5, 1.0];
    for (label_smoothing, loss, gradient) in expected {
        let mut tape = Tape::new();
        let logits = tape.leaf("logits", &[4, 3]);
        let labels = tape.input("labels", &[4], DType::U32);
        let weights = tape.input("weights", &[3], DType::F32);
        let x4 = ops::to_vec4(&mut tape, logits)?;
        let options = CrossEntropyOptions { label_smoothing, ..Default::default() };
        let found = ops::cross_entropy_weighted(&mut tape, x4, labels, weights, options)?;
        let gradients = tape.backward(found.loss)?;
        let array = |shape: &[usize], data: &[f64]| Array { shape: shape.to_vec(), data: data.to_vec() };
        let mut values = Values::default();
        values.set(logits, array(&[4, 3], &x));
        values.set(labels, array(&[4], &[0.0, 2.0, 1.0, 2.0]));
        values.set(weights, array(&[3], &[0.5, 2.0, 1.25]));
        interpret(&tape, &State::new(), &mut values);
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-8, "{expected}: {found}");
        near(values.get(&tape, found.loss).data[0], loss);
        let var = gradients.get(logits).ok_or_else(|| Error::Run("no gradient".into()))?;
        let slopes = values.get(&tape, var).data;
        slopes.iter().zip(gradient).for_each(|(found, expected)| near(*found, expected));
    }
    Ok(())
}

#[test]
fn a_class_of_weight_zero_is_not_learnt_and_equal_weights_change_nothing() -> Result<()> {
    let (images, labels) = images(96, 1);
    let data = Examples::new(&images, SHAPE, &labels)?;
    let fit = Fit { epochs: 4, batch_size: 32, ..Fit::default() };
    let trained = |weights: Option<Vec<f32>>| {
        let learner = Learner::new(&GPU, network(Norm::None), Sgd::new(0.05).momentum(0.9))?;
        let loss =
            weights.map_or(Loss::CrossEntropy, |w| Loss::ClassWeights { weights: w.into(), label_smoothing: 0.0 });
        let mut learner = learner.with_loss(loss);
        learner.fit(&data, fit)?.try_for_each(|event| event.map(|_| ()))?;
        Ok::<_, Error>((weights_and_guesses(&mut learner, &images)?, learner.evaluate(&data, 32)?.loss))
    };
    let ((plain, _), loss) = trained(None)?;
    let ((equal, _), same) = trained(Some(vec![2.0; 3]))?;
    assert!(furthest(&plain, &equal) < 1e-5 && (loss - same).abs() < 1e-5, "{loss} {same}");
    let ((_, guesses), _) = trained(Some(vec![1.0, 1.0, 0.0]))?;
    assert!(!guesses.contains(&2), "{guesses:?}");
    let error = trained(Some(vec![1.0; 2])).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("a weight for each of 3 classes"), "{error}");
    Ok(())
}

fn weights_and_guesses(learner: &mut Learner, images: &[f32]) -> Result<(Vec<f32>, Vec<usize>)> {
    Ok((weights(learner)?, learner.predict(images)?.argmax()))
}
