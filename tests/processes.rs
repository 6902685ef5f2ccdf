//! Several processes that train as one, here as threads with a device each: losses and networks are those of one process with a batch
//! as large as all of theirs together.

use mexhat::gpu::{Gpu, Processes};
use mexhat::models::Norm;
use mexhat::train::{Event, NetOptions, Options, Trainer};
use mexhat::{Error, Result, data};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

/// What the threads share: the values of each, and a meeting point.
struct Table {
    values: Mutex<Vec<Vec<f32>>>,
    meet: Barrier,
}

struct Member {
    table: Arc<Table>,
    rank: usize,
}

impl Processes for Member {
    fn count(&self) -> usize {
        self.table.values.lock().unwrap().len()
    }

    fn rank(&self) -> usize {
        self.rank
    }

    fn average(&self, values: &mut [f32]) -> Result<()> {
        self.table.values.lock().unwrap()[self.rank] = values.to_vec();
        self.table.meet.wait();
        {
            let all = self.table.values.lock().unwrap();
            for (i, value) in values.iter_mut().enumerate() {
                assert!(all.iter().all(|one| one.len() > i), "all average the same");
                *value = (all.iter().map(|one| f64::from(one[i])).sum::<f64>() / all.len() as f64) as f32;
            }
        }
        self.table.meet.wait();
        Ok(())
    }
}

/// An eps that whitening amplifies little rounding with: with the paper's, losses come as far apart within some steps as those of two
/// adapters do (1e-3 after ten), which shows nothing.
fn options(norm: Norm, batch_size: usize, processes: usize) -> Options {
    Options {
        net: NetOptions { norm, block: 8, block_fc: 32, iterations: 3, eps: 0.1, ..Default::default() },
        epochs: Some(2),
        batch_size: Some(batch_size),
        processes,
        lr: Some(0.02),
        limit_train: Some(260),
        limit_test: Some(40),
        ..Default::default()
    }
}

/// What a process saw, and what it has in the end.
type Ended = (Vec<[f32; 2]>, Vec<f32>);

/// Losses and accuracies of the steps, and the values of the network at the end; stopped after `stop` steps.
fn run(gpu: &Gpu, options: &Options, stop: Option<u64>) -> Result<Ended> {
    let mut trainer = Trainer::new(gpu, options, data::load(&options.data, &options.load())?)?;
    pollster::block_on(async {
        let mut steps = Vec::new();
        while let Some(event) = trainer.next().await? {
            if let Event::Step { step, loss, accuracy, .. } = event {
                steps.push([loss, accuracy]);
                if Some(step) == stop {
                    trainer.stop();
                }
            }
        }
        trainer.snapshot().await?;
        Ok((steps, trainer.state().iter().flat_map(|(_, tensor)| tensor.values.clone()).collect()))
    })
}

fn gpu() -> Gpu {
    Gpu::open_by(|name| std::env::var(name).ok()).expect("an adapter")
}

/// As [`run`], by `count` threads; `stop` is what the last of them does alone.
fn run_by(count: usize, options: &Options, stop: Option<u64>) -> Result<Vec<Ended>> {
    let table = Arc::new(Table { values: Mutex::new(vec![Vec::new(); count]), meet: Barrier::new(count) });
    let threads: Vec<_> = (0..count)
        .map(|rank| {
            let (table, options) = (table.clone(), options.clone());
            thread::spawn(move || {
                let gpu = gpu();
                gpu.join(Arc::new(Member { table, rank }))?;
                run(&gpu, &options, stop.filter(|_| rank + 1 == count))
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
}

/// The relative distance of two vectors.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let off = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    off / norm(&mut b.iter().map(|b| f64::from(*b)))
}

fn train_as_one(norm: Norm, count: usize, batch: usize) -> Result<()> {
    let (alone, values) = run(&gpu(), &options(norm, batch * count, 1), None)?;
    let together = run_by(count, &options(norm, batch, count), None)?;
    for (steps, theirs) in &together {
        // A run alone keeps a last shorter batch, which processes leave out.
        assert!(steps.len() >= 8, "{} steps", steps.len());
        assert_eq!(steps.len(), alone.len());
        for (step, (found, expected)) in steps.iter().zip(&alone).enumerate() {
            let off = (found[0] - expected[0]).abs();
            assert!(off < 1e-4, "{norm} step {step}: {found:?} of {expected:?}");
            assert!((found[1] - expected[1]).abs() < 0.04, "{norm} step {step}: {found:?} of {expected:?}");
        }
        let off = distance(theirs, &values);
        assert!(off < 1e-3, "{norm}: values {off:.1e} apart");
        assert_eq!(theirs, &together[0].1, "all have the same network, bit for bit");
    }
    // Not because nothing was learnt.
    assert!(alone.last().unwrap()[0] < alone[0][0]);
    Ok(())
}

#[test]
fn deconvolution_is_that_of_the_whole_batch() -> Result<()> {
    train_as_one(Norm::Deconv, 2, 32)
}

#[test]
fn batch_norm_is_that_of_the_whole_batch() -> Result<()> {
    train_as_one(Norm::Batch, 2, 32)
}

#[test]
fn relatives_of_batch_norm_are_those_of_the_whole_batch() -> Result<()> {
    train_as_one(Norm::Iterative, 2, 32)?;
    train_as_one(Norm::Group, 2, 32)
}

#[test]
fn three_processes_without_normalisation() -> Result<()> {
    train_as_one(Norm::None, 3, 21)
}

#[test]
fn one_that_is_stopped_stops_all() -> Result<()> {
    let ended = run_by(2, &options(Norm::None, 32, 2), Some(3))?;
    let steps: Vec<usize> = ended.iter().map(|(steps, _)| steps.len()).collect();
    assert_eq!(steps[0], steps[1]);
    assert!((3..8).contains(&steps[0]), "{steps:?}");
    Ok(())
}

#[test]
fn a_run_of_several_is_none_of_one() -> Result<()> {
    let options = options(Norm::None, 32, 2);
    let refused = run(&gpu(), &options, None).expect_err("one process is not two");
    assert!(matches!(&refused, Error::Usage(text) if text.contains("2 processes, found 1")), "{refused}");
    Ok(())
}
