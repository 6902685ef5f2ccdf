//! The trainer: it learns, repeats itself bit by bit, and goes on where it stopped.

use mexhat::gpu::Gpu;
use mexhat::models::Norm;
use mexhat::train::{Event, NetOptions, Options, Saved, Snapshot, Summary, Trainer};
use mexhat::{Error, Result, data};
use std::path::Path;

fn gpu() -> Gpu {
    Gpu::open_by(|name| std::env::var(name).ok()).expect("an adapter")
}

/// 100 images in batches of 16: six whole ones and one of 4.
fn small(norm: Norm) -> Options {
    Options {
        net: NetOptions { model: "lenet".into(), norm, block: 4, block_fc: 16, iterations: 3, ..Default::default() },
        epochs: Some(2),
        batch_size: Some(16),
        lr: Some(0.05),
        limit_train: Some(100),
        limit_test: Some(40),
        ..Default::default()
    }
}

#[derive(Default)]
struct Seen {
    losses: Vec<f32>,
    evals: Vec<(u64, f32)>,
    snapshots: Vec<Snapshot>,
    summary: Option<Summary>,
}

fn follow(trainer: &mut Trainer, stop_at: Option<u64>) -> Result<Seen> {
    let mut seen = Seen::default();
    pollster::block_on(async {
        while let Some(event) = trainer.next().await? {
            match event {
                Event::Step { step, loss, .. } => {
                    seen.losses.push(loss);
                    if stop_at == Some(step) {
                        trainer.stop();
                    }
                }
                Event::Eval { step, accuracy, .. } => seen.evals.push((step, accuracy)),
                Event::Save { .. } => seen.snapshots.push(trainer.snapshot().await?),
                Event::Done(summary) => seen.summary = Some(summary),
                _ => {}
            }
        }
        Ok(seen)
    })
}

fn train(gpu: &Gpu, options: &Options, stop_at: Option<u64>) -> Result<Seen> {
    let splits = data::load(&options.data, &options.load())?;
    let mut trainer = Trainer::new(gpu, options, splits)?;
    if stop_at.is_some() {
        // Steps in flight when the wish to stop arrives are finished, which may be all that are left.
        trainer.set_ahead(1);
    }
    follow(&mut trainer, stop_at)
}

fn resume(gpu: &Gpu, checkpoint: &[u8]) -> Result<Seen> {
    let saved = Saved::read(Path::new("checkpoint.safetensors"), checkpoint)?;
    let options = saved.run.as_ref().expect("a run").options.clone();
    let splits = data::load(&options.data, &options.load())?;
    follow(&mut Trainer::resume(gpu, &options, splits, &saved)?, None)
}

fn last_model(seen: &Seen) -> &[u8] {
    &seen.snapshots.last().expect("a snapshot").model
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let gpu = gpu();
    for norm in [Norm::Deconv, Norm::Batch, Norm::Group, Norm::Iterative] {
        let options = small(norm);
        let (first, second) = (train(&gpu, &options, None).unwrap(), train(&gpu, &options, None).unwrap());
        assert_eq!(first.losses, second.losses);
        assert!(last_model(&first) == last_model(&second), "{norm}: two runs differ");
        let other = train(&gpu, &Options { seed: 1, ..options }, None).unwrap();
        assert_ne!(first.losses, other.losses);
    }
}

#[test]
fn a_run_that_goes_on_ends_like_one_that_never_stopped() {
    let gpu = gpu();
    for (norm, optimizer) in
        [(Norm::Deconv, "sgd"), (Norm::None, "adamw"), (Norm::Iterative, "sgd"), (Norm::Layer, "sgd")]
    {
        let options = Options { optimizer: optimizer.parse().unwrap(), lr: None, ..small(norm) };
        let whole = train(&gpu, &options, None).unwrap();
        // In the middle of the first epoch, and just before the short batch of the second.
        for stop_at in [3, 12] {
            let part = train(&gpu, &options, Some(stop_at)).unwrap();
            let done = part.summary.as_ref().unwrap();
            assert!(done.interrupted && done.steps == stop_at, "{done:?}");
            let rest = resume(&gpu, &part.snapshots.last().unwrap().checkpoint).unwrap();
            assert_eq!([part.losses, rest.losses.clone()].concat(), whole.losses);
            assert!(last_model(&rest) == last_model(&whole), "{norm} {optimizer}: stopped after {}", done.steps);
            assert!(!rest.summary.unwrap().interrupted);
        }
    }
}

#[test]
fn a_run_of_parts_with_averages_goes_on_to_the_same_bytes() {
    let gpu = gpu();
    let options = Options { accumulate: 2, ema: Some(0.9), ..small(Norm::Deconv) };
    let whole = train(&gpu, &options, None).unwrap();
    // Three steps of 32 an epoch; four images are too few for one.
    assert_eq!(whole.losses.len(), 6);
    for stop_at in [1, 4] {
        let part = train(&gpu, &options, Some(stop_at)).unwrap();
        let rest = resume(&gpu, &part.snapshots.last().unwrap().checkpoint).unwrap();
        assert_eq!([part.losses, rest.losses.clone()].concat(), whole.losses);
        assert!(last_model(&rest) == last_model(&whole), "stopped after {stop_at}");
        assert!(rest.snapshots.last().unwrap().checkpoint.len() < 4 * last_model(&rest).len(), "sums are not kept");
    }
    let plain = train(&gpu, &Options { ema: None, ..options }, None).unwrap();
    assert_eq!(plain.losses, whole.losses, "averages do not change what is trained");
    assert!(last_model(&plain) != last_model(&whole), "averages are what is saved");
}

#[test]
fn a_run_with_mixup_goes_on_to_the_same_bytes() {
    let gpu = gpu();
    let plain = Options { mixup: None, label_smoothing: 0.1, ..small(Norm::Batch) };
    for accumulate in [1, 2] {
        let options = Options { mixup: Some(0.4), accumulate, ..plain.clone() };
        let whole = train(&gpu, &options, None).unwrap();
        let part = train(&gpu, &options, Some(3)).unwrap();
        let rest = resume(&gpu, &part.snapshots.last().unwrap().checkpoint).unwrap();
        assert_eq!([part.losses, rest.losses.clone()].concat(), whole.losses);
        assert!(last_model(&rest) == last_model(&whole));
        assert!(whole.losses.iter().all(|loss| loss.is_finite()));
        assert_ne!(train(&gpu, &Options { accumulate, ..plain.clone() }, None).unwrap().losses, whole.losses);
    }
}

#[test]
fn patience_ends_a_run_and_a_run_that_goes_on_knows_its_best() {
    let gpu = gpu();
    // A rate that changes no weight: no epoch is better than the first.
    let mut options = Options { lr: Some(1e-30), epochs: Some(9), patience: Some(2), ..small(Norm::None) };
    let refused = train(&gpu, &options, None).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(refused.contains("`patience`") && refused.contains("`validation`"), "{refused}");
    options.prepare.validation = Some(0.2);
    let whole = train(&gpu, &options, None).unwrap();
    let summary = whole.summary.clone().unwrap();
    assert_eq!((summary.epochs, summary.best.map(|best| best.epoch)), (3, Some(1)));
    assert!(summary.stopped_early && !summary.interrupted && summary.accuracy.is_some(), "{summary:?}");
    // In the second epoch, when the best is known.
    let per_epoch = summary.steps / 3;
    let part = train(&gpu, &options, Some(per_epoch + 1)).unwrap();
    let checkpoint = &part.snapshots.last().unwrap().checkpoint;
    let rest = resume(&gpu, checkpoint).unwrap();
    assert_eq!([part.losses, rest.losses.clone()].concat(), whole.losses);
    assert!(last_model(&rest) == last_model(&whole));
    let end = &rest.snapshots.last().unwrap().checkpoint;
    let saved = Saved::read(Path::new("checkpoint.safetensors"), end).unwrap();
    let run = saved.run.as_ref().unwrap();
    assert!(run.stopped_early() && run.go_on(Some(99), None).is_none());
}

#[test]
fn losses_fall_and_come_without_gaps() {
    let options = Options { epochs: Some(2), limit_train: Some(640), ..small(Norm::Deconv) };
    let seen = train(&gpu(), &options, None).unwrap();
    assert_eq!(seen.losses.len(), 80);
    assert_eq!(seen.evals.len(), 2);
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (early, late) = (mean(&seen.losses[..20]), mean(&seen.losses[60..]));
    assert!(late < 0.5 * early, "loss {early} at first, {late} at the end");
    let (_, accuracy) = seen.evals[1];
    assert!(accuracy > 0.5, "accuracy {accuracy}");
    let summary = seen.summary.unwrap();
    assert_eq!((summary.steps, summary.epochs, summary.accuracy), (80, 2, Some(accuracy)));
    assert!(summary.images_per_second > 0.0 && summary.first_step_seconds > 0.0 && summary.gpu_bytes > 0);
}

#[test]
fn a_loss_that_is_no_number_ends_the_run() {
    let options = Options { lr: Some(1e38), weight_decay: 0.0, ..small(Norm::None) };
    let splits = data::load(&options.data, &options.load()).unwrap();
    let mut trainer = Trainer::new(&gpu(), &options, splits).unwrap();
    let error = follow(&mut trainer, None).err().expect("an error");
    assert!(matches!(&error, Error::Run(text) if text.contains("`lr`") && text.contains("step")), "{error}");
    assert_eq!(error.exit_code(), 1);
    assert!(pollster::block_on(trainer.next()).unwrap().is_none(), "nothing follows an error");
}

#[test]
fn steady_steps_create_nothing() {
    let gpu = gpu();
    let options = Options { epochs: Some(1), limit_train: Some(320), ..small(Norm::Deconv) };
    let splits = data::load(&options.data, &options.load()).unwrap();
    let mut trainer = Trainer::new(&gpu, &options, splits).unwrap();
    let mut counters = Vec::new();
    while let Some(event) = pollster::block_on(trainer.next()).unwrap() {
        if let Event::Step { .. } = event {
            let now = gpu.counters();
            counters.push((now.buffers, now.pipelines, now.bind_groups));
        }
    }
    counters.dedup();
    assert_eq!(counters.len(), 1, "buffers, pipelines or bind groups were created while training: {counters:?}");
}

#[test]
fn a_run_can_be_looked_at_and_begun_from_a_saved_network() {
    let gpu = &gpu();
    let options = Options {
        net: NetOptions { block: 4, block_fc: 64, ..Default::default() },
        batch_size: Some(16),
        limit_train: Some(64),
        limit_test: Some(40),
        steps: Some(3),
        ..Default::default()
    };
    let splits = data::load(&options.data, &options.load()).unwrap();
    pollster::block_on(async {
        let mut trainer = Trainer::new(gpu, &options, splits.clone()).unwrap();
        while let Some(event) = trainer.next().await.unwrap() {
            drop(event);
        }
        let layers = trainer.layers().await.unwrap();
        let names: Vec<_> = layers.iter().map(|layer| (layer.name.as_str(), layer.d)).collect();
        // 64 does not divide the 1568 features, so the block is halved.
        assert_eq!(names, [("conv1", 25), ("conv2", 100), ("fc1", 32), ("fc2", 64)]);
        let guesses = trainer.guesses().await.unwrap();
        assert_eq!(guesses.len(), 40);
        let hits = guesses.iter().filter(|guess| guess.guess == guess.label).count();
        assert_eq!(Some(hits as f32 / 40.0), trainer.summary().accuracy);

        let model = trainer.snapshot().await.unwrap().model;
        let saved = Saved::read(Path::new("model"), &model).unwrap();
        let mut again = Trainer::warm(gpu, &options, splits.clone(), &saved).unwrap();
        assert_eq!(again.guesses().await.unwrap(), guesses);
        let other = Options { net: NetOptions { model: "mlp".into(), ..options.net.clone() }, ..options.clone() };
        assert!(Trainer::warm(gpu, &other, splits, &saved).err().unwrap().to_string().contains("holds a lenet"));

        let (images, count) = trainer.samples(32).unwrap();
        let pairs = mexhat::train::covariances(gpu, trainer.model(), trainer.state(), &images, count).await.unwrap();
        assert_eq!(pairs.len(), 4);
        let away = |matrix: &[f32], d: usize| -> f32 {
            (0..d * d).map(|i| (matrix[i] - f32::from(u8::from(i / d == i % d))).powi(2)).sum::<f32>().sqrt()
        };
        let first = &pairs[0];
        assert!(away(&first.after, first.d) < 0.2 * away(&first.before, first.d), "conv1 is not whitened");
    });
}

#[test]
fn what_went_bad_first_is_named() {
    // The first step is fine, and its update is so large that the second one is not.
    let options = Options { lr: Some(1e38), weight_decay: 0.0, check_numbers: true, ..small(Norm::None) };
    let bad = |options: &Options| train(&gpu(), options, None).err().expect("an error").to_string();
    let error = bad(&options);
    assert!(error.contains("First went bad: step 2, ") && error.contains("the largest that went in"), "{error}");
    assert!(["conv1", "conv2", "fc1"].iter().any(|layer| error.contains(layer)), "{error}");
    // A rate that is infinite in f32: nothing of the first step is bad before its update.
    let error = bad(&Options { lr: Some(1e39), check_numbers: true, ..small(Norm::Deconv) });
    assert!(error.contains("First went bad: step 1, sgd, the update of "), "{error}");
}
