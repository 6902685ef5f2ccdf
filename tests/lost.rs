//! Devices that go away: training goes on with another one, and ends with the same bytes.

use mexhat::gpu::Gpu;
use mexhat::models::Norm;
use mexhat::nn::{Conv, Network};
use mexhat::train::{CheckpointEvery, Event, Examples, Fit, Learner, NetOptions, Options, RunFolder, Sgd, Trainer};
use mexhat::{Error, Result, data};

fn gpu() -> Gpu {
    Gpu::open_by(|name| std::env::var(name).ok()).expect("an adapter")
}

/// 100 images in batches of 16: two epochs of six whole ones and one of 4.
fn small() -> Options {
    Options {
        net: NetOptions { norm: Norm::Deconv, block: 4, block_fc: 16, iterations: 3, ..Default::default() },
        epochs: Some(2),
        batch_size: Some(16),
        lr: Some(0.05),
        limit_train: Some(100),
        limit_test: Some(40),
        checkpoint_every: CheckpointEvery::Steps(4),
        ..Default::default()
    }
}

/// What a run told and left.
#[derive(Default)]
struct Seen {
    told: Vec<Event>,
    lost: Vec<(u64, Option<u64>)>,
    model: Vec<u8>,
}

/// A run whose device goes away after each of these steps, at which `rate` is also set.
fn run(lost_after: &[u64], rate: Option<f64>) -> Result<Seen> {
    let options = small();
    let mut trainer = Trainer::new(&gpu(), &options, data::load(&options.data, &options.load())?)?;
    // Otherwise a rate that is set would hold from another step on.
    trainer.set_ahead(1);
    let mut seen = Seen::default();
    pollster::block_on(async {
        while let Some(event) = trainer.next().await? {
            match &event {
                Event::Step { step, .. } => {
                    if *step == 6
                        && let Some(rate) = rate
                    {
                        trainer.set_lr(rate)?;
                    }
                    if lost_after.contains(step) {
                        trainer.gpu().destroy();
                    }
                }
                Event::Save { .. } => seen.model = trainer.snapshot().await?.model,
                Event::DeviceLost { step, from, reason } => {
                    assert!(!reason.is_empty());
                    seen.lost.push((*step, *from));
                }
                _ => {}
            }
            if matches!(event, Event::Step { .. } | Event::Eval { .. }) {
                seen.told.push(event);
            }
        }
        Ok(seen)
    })
}

#[test]
fn a_run_whose_device_goes_away_ends_with_the_same_bytes() -> Result<()> {
    // In the first steps, behind a checkpoint, at the end of an epoch, in the second one, and at the end.
    let moments: [&[(u64, u64)]; 2] = [&[(2, 0), (6, 4), (7, 4), (11, 8), (14, 12)], &[(6, 4)]];
    for (rate, moments) in [None, Some(0.01)].into_iter().zip(moments) {
        let undisturbed = run(&[], rate)?;
        assert_eq!((undisturbed.told.len(), undisturbed.lost.len()), (14 + 2, 0));
        for (step, from) in moments {
            let seen = run(&[*step], rate)?;
            assert_eq!(seen.lost, [(*step, Some(*from))]);
            assert_eq!(seen.told, undisturbed.told, "lost after step {step}");
            assert!(seen.model == undisturbed.model, "lost after step {step}: other weights");
        }
    }
    Ok(())
}

#[test]
fn a_run_is_moved_to_a_device_that_others_share() -> Result<()> {
    let options = small();
    let run = |kept_at: &[u64], lost_after: &[u64]| -> Result<(Vec<Event>, Vec<u64>, Vec<u8>)> {
        let mut trainer = Trainer::new(&gpu(), &options, data::load(&options.data, &options.load())?)?;
        let (mut told, mut from, mut model) = (Vec::new(), Vec::new(), Vec::new());
        pollster::block_on(async {
            while let Some(event) = trainer.next().await? {
                if let Event::Step { step, .. } = event {
                    if kept_at.contains(&step) {
                        trainer.keep().await?;
                    }
                    if lost_after.contains(&step) {
                        trainer.gpu().destroy();
                        from.push(trainer.move_to(&gpu())?);
                        trainer.catch_up().await?;
                    }
                }
                match event {
                    Event::Save { .. } => model = trainer.snapshot().await?.model,
                    Event::Step { .. } | Event::Eval { .. } => told.push(event),
                    _ => {}
                }
            }
            Ok((told, from, model))
        })
    };
    let undisturbed = run(&[], &[])?;
    // In the first epoch and in the second, from where they began and from a step that was kept, and twice.
    for (kept_at, lost_after, least) in
        [(&[][..], &[3][..], &[0][..]), (&[5], &[6], &[5]), (&[7], &[10], &[8]), (&[2], &[7, 9], &[4, 8])]
    {
        let (told, from, model) = run(kept_at, lost_after)?;
        assert!(from.iter().zip(least).all(|(from, least)| from >= least), "{from:?}, at least {least:?}");
        assert_eq!(told, undisturbed.0, "lost after {lost_after:?}");
        assert!(model == undisturbed.2, "lost after {lost_after:?}: other weights");
    }
    Ok(())
}

#[test]
fn a_second_loss_within_seconds_ends_with_a_checkpoint_and_a_reason() -> Result<()> {
    let options = small();
    let mut trainer = Trainer::new(&gpu(), &options, data::load(&options.data, &options.load())?)?;
    let mut lost = Vec::new();
    let error = loop {
        match pollster::block_on(trainer.next()) {
            Ok(Some(Event::Step { step: 6 | 10, .. })) => trainer.gpu().destroy(),
            Ok(Some(Event::DeviceLost { step, from, .. })) => lost.push((step, from.is_some())),
            Ok(Some(_)) => {}
            Ok(None) => panic!("the run ended as if nothing had happened"),
            Err(error) => break error,
        }
    };
    assert_eq!(lost.iter().map(|(_, goes_on)| *goes_on).collect::<Vec<_>>(), [true, false], "{lost:?}");
    assert!(
        matches!(&error, Error::DeviceLost(text) if text.contains("soon after it had been opened anew")),
        "{error}"
    );
    let snapshot = pollster::block_on(trainer.snapshot())?;
    assert_eq!((snapshot.step, trainer.summary().steps), (8, 8));
    assert!(pollster::block_on(trainer.next())?.is_none(), "nothing follows an error");
    Ok(())
}

#[test]
fn a_loss_stands_in_the_metrics_and_nothing_else_changes() -> Result<()> {
    let metrics = |lost_after: Option<u64>| -> Result<Vec<String>> {
        let dir = tempfile::tempdir().map_err(|e| Error::Run(e.to_string()))?;
        let options = small();
        let mut folder = RunFolder::create(Some(&dir.path().join("run")), &options)?;
        let mut trainer = Trainer::new(&gpu(), &options, data::load(&options.data, &options.load())?)?;
        while let Some(event) = pollster::block_on(trainer.next())? {
            folder.record(&event)?;
            if matches!(event, Event::Step { step, .. } if Some(step) == lost_after) {
                trainer.gpu().destroy();
            }
            if let Event::Done(summary) = &event {
                folder.finish(&trainer, summary)?;
            }
        }
        let text =
            std::fs::read_to_string(folder.path().join("metrics.jsonl")).map_err(|e| Error::Run(e.to_string()))?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    let (undisturbed, mut lines) = (metrics(None)?, metrics(Some(9))?);
    let at = lines.iter().position(|line| line.contains("device_lost")).expect("the loss is in the metrics");
    let line = lines.remove(at);
    assert!(line.contains(r#""from":8"#) && line.contains(r#""reason":""#), "{line}");
    assert_eq!(lines, undisturbed);
    Ok(())
}

#[test]
fn a_learner_goes_on_too() -> Result<()> {
    let images: Vec<f32> = (0..96 * 64).map(|i| (i * i % 97) as f32 / 97.0).collect();
    let labels: Vec<u32> = (0..96).map(|i| i % 3).collect();
    let train = Examples::new(&images, [1, 8, 8], &labels)?;
    let run = |lost_after: &[u64]| -> Result<(Vec<Event>, Vec<u8>, usize)> {
        let mut net = Network::new([1, 8, 8]);
        net.conv(Conv::new(4, 3)).relu().max_pool(2).flatten().linear(3);
        let mut learner = Learner::new(&gpu(), net, Sgd::new(0.1).momentum(0.9))?;
        let fit = Fit { epochs: 3, batch_size: 16, test: Some(&train), ..Fit::default() };
        let (mut told, mut lost) = (Vec::new(), 0);
        let mut fitting = learner.fit(&train, fit)?;
        while let Some(event) = fitting.next() {
            match event? {
                Event::DeviceLost { from, .. } => lost += usize::from(from.is_some()),
                event => {
                    if matches!(event, Event::Step { step, .. } if lost_after.contains(&step)) {
                        fitting.learner().gpu().destroy();
                    }
                    told.push(event);
                }
            }
        }
        drop(fitting);
        Ok((told, pollster::block_on(learner.to_bytes())?, lost))
    };
    let undisturbed = run(&[])?;
    assert_eq!((undisturbed.0.len(), undisturbed.2), (18 + 3, 0));
    for step in [1, 6, 10, 13] {
        let (told, bytes, lost) = run(&[step])?;
        assert_eq!((lost, told), (1, undisturbed.0.clone()), "lost after step {step}");
        assert!(bytes == undisturbed.1, "lost after step {step}: other weights");
    }
    let error = run(&[3, 9]).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("lost"), "'{error}'");
    Ok(())
}
