//! Several processes that train as one, here as threads with a device each: losses and networks are those of one
//! process with a batch as large as all of theirs together.

use mexhat::gpu::{Gpu, Processes};
use mexhat::models::{ModelOptions, Norm, network};
use mexhat::nn::{Conv, Network};
use mexhat::rng::Rng;
use mexhat::train::{Batch, Event, Learner, NetOptions, Options, Sgd, Started, Summary, Targets, Trainer};
use mexhat::{Error, Result, data};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

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

/// One of two, the other of which has nothing but zeros. It notes how much the device has been given at each call.
#[derive(Default)]
struct Half {
    gpu: OnceLock<Gpu>,
    submissions: Mutex<Vec<u64>>,
}

impl Half {
    fn submitted(&self) -> u64 {
        self.gpu.get().expect("a device").counters().submissions
    }
}

impl Processes for Half {
    fn count(&self) -> usize {
        2
    }

    fn rank(&self) -> usize {
        0
    }

    fn average(&self, values: &mut [f32]) -> Result<()> {
        self.submissions.lock().unwrap().push(self.submitted());
        values.iter_mut().for_each(|value| *value *= 0.5);
        Ok(())
    }
}

/// One of two on a slow network; both have the same.
#[derive(Default)]
struct Slow {
    /// Seconds for each value.
    pace: Mutex<f64>,
    values: Mutex<usize>,
}

impl Processes for Slow {
    fn count(&self) -> usize {
        2
    }

    fn rank(&self) -> usize {
        0
    }

    fn average(&self, values: &mut [f32]) -> Result<()> {
        *self.values.lock().unwrap() += values.len();
        let pace = *self.pace.lock().unwrap();
        thread::sleep(Duration::from_secs_f64(pace * values.len() as f64));
        Ok(())
    }
}

/// An eps that whitening amplifies little rounding with: with the paper's, losses come as far apart within some steps
/// as those of two adapters do (1e-3 after ten), which shows nothing.
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

/// What each of `count` threads that train as one makes of `task`, which is told its rank.
fn by_threads<T: Send + 'static>(
    count: usize,
    options: &Options,
    task: impl Fn(&Gpu, &Options, usize) -> Result<T> + Copy + Send + 'static,
) -> Result<Vec<T>> {
    let table = Arc::new(Table { values: Mutex::new(vec![Vec::new(); count]), meet: Barrier::new(count) });
    let threads: Vec<_> = (0..count)
        .map(|rank| {
            let (table, options) = (table.clone(), options.clone());
            thread::spawn(move || {
                let gpu = gpu();
                gpu.join(Arc::new(Member { table, rank }))?;
                task(&gpu, &options, rank)
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
}

/// As [`run`], by `count` threads; `stop` is what the last of them does alone.
fn run_by(count: usize, options: &Options, stop: Option<u64>) -> Result<Vec<Ended>> {
    by_threads(count, options, move |gpu, options, rank| run(gpu, options, stop.filter(|_| rank + 1 == count)))
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

/// What is told of a run before its first step and at its end, and the seconds between its first and last step.
fn told(gpu: &Gpu, options: &Options) -> Result<(Started, Summary, f64)> {
    let mut trainer = Trainer::new(gpu, options, data::load(&options.data, &options.load())?)?;
    trainer.set_ahead(1);
    let (mut begun, mut times) = (None, Vec::new());
    pollster::block_on(async {
        while let Some(event) = trainer.next().await? {
            match event {
                Event::Started(started) => begun = Some(started),
                Event::Step { .. } => times.push(Instant::now()),
                _ => {}
            }
        }
        let seconds = times[times.len() - 1].duration_since(times[0]).as_secs_f64();
        Ok((begun.expect("a beginning"), trainer.summary(), seconds))
    })
}

#[test]
fn images_are_counted_over_all_processes() -> Result<()> {
    let options = Options { epochs: Some(1), mixup: Some(0.2), ..options(Norm::Batch, 26, 2) };
    for (started, summary, seconds) in by_threads(2, &options, |gpu, options, _| told(gpu, options))? {
        assert_eq!((started.train_images, started.batch_size, started.steps), (260, 52, 5));
        let images = summary.images_per_second * seconds;
        assert!((0.75..1.5).contains(&(images / (4.0 * 52.0))), "{images} images in four steps of 52");
        let mixed = |line: &&String| line.contains("each process mixes images of its own share");
        assert_eq!(started.decided.iter().filter(mixed).count(), 1, "{:?}", started.decided);
    }
    Ok(())
}

#[test]
fn three_processes_without_normalisation() -> Result<()> {
    train_as_one(Norm::None, 3, 21)
}

/// Steps of a ResNet-18 of half the width alternate between no network and one that takes six tenths of their time.
#[test]
#[ignore = "measures for some minutes: LP_NUM_THREADS=1 leaves a core to the rest"]
fn how_much_of_a_slow_network_is_hidden() -> Result<()> {
    let mut rng = Rng::new(1);
    let images = (0..8 * 3072).map(|_| rng.normal()).collect();
    let batch = Batch { images, targets: Targets::Labels((0..8).collect()) };
    for norm in [Norm::None, Norm::Batch, Norm::Deconv] {
        let mut options = ModelOptions { norm, width: 0.5, input: [3, 32, 32], ..Default::default() };
        options.whitening.block = 16;
        let (device, slow) = (gpu(), Arc::new(Slow::default()));
        device.join(slow.clone())?;
        let mut learner = Learner::new(&device, network("resnet18", &options)?, Sgd::new(1e-3))?;
        let mut step = || -> Result<f64> {
            let begun = Instant::now();
            step(&mut learner, &batch, 1e-3)?;
            Ok(begun.elapsed().as_secs_f64())
        };
        step()?;
        let fastest = |a: f64, b: f64| a.min(b);
        let first = fastest(step()?, step()?);
        *slow.values.lock().unwrap() = 0;
        let (mut without, mut with) = (step()?, f64::INFINITY);
        let values = *slow.values.lock().unwrap() as f64;
        let network = 0.6 * fastest(first, without);
        for _ in 0..8 {
            *slow.pace.lock().unwrap() = network / values;
            with = fastest(with, step()?);
            *slow.pace.lock().unwrap() = 0.0;
            without = fastest(without, step()?);
        }
        let hidden = 1.0 - (with - without) / network;
        let [with, without, network] = [with, without, network].map(|seconds| seconds * 1e3);
        println!(
            "{norm}: {:.1} MB and {without:.0} ms a step; a network that takes {network:.0} ms makes it {with:.0}, {:.0} % are hidden",
            values * 4e-6,
            100.0 * hidden
        );
        assert!(hidden > 0.1, "{norm}: {hidden}");
    }
    Ok(())
}

/// Four linear layers, whose gradients are large enough to be averaged in parts.
fn linears() -> Network {
    let mut net = Network::new([1, 16, 16]).norm(Norm::None).seed(3);
    net.flatten().linear(512).relu().linear(512).relu().linear(256).relu().linear(3);
    net
}

/// Eight images for them.
fn eight(rng: &mut Rng) -> Batch {
    let images = (0..8 * 256).map(|_| rng.normal()).collect();
    Batch { images, targets: Targets::Labels((0..8).map(|_| rng.below(3) as u32).collect()) }
}

/// The loss of a step that is waited for.
fn step(learner: &mut Learner, batch: &Batch, lr: f64) -> Result<f32> {
    pollster::block_on(async {
        learner.submit(batch, lr, 0).await?;
        Ok(learner.take().await?.expect("a step").loss)
    })
}

/// Twice the rate makes of halves of gradients what the rate makes of gradients, bit for bit: each is averaged exactly
/// once.
#[test]
fn gradients_are_averaged_while_the_device_computes() -> Result<()> {
    let half = Arc::new(Half::default());
    let shared = half.gpu.get_or_init(gpu);
    shared.join(half.clone())?;
    let mut together = Learner::new(shared, linears(), Sgd::new(0.1))?;
    let mut alone = Learner::new(&gpu(), linears(), Sgd::new(0.05))?;
    let mut rng = Rng::new(1);
    let mut created = Vec::new();
    for n in 0..4 {
        let batch = eight(&mut rng);
        let before = half.submitted();
        let losses = [step(&mut together, &batch, 0.1)?, step(&mut alone, &batch, 0.05)?];
        assert_eq!(losses[0], 0.5 * losses[1], "the mean of the loss and 0");
        let calls: Vec<u64> = half.submissions.lock().unwrap().drain(..).map(|at| at - before).collect();
        if n == 0 {
            // Kernels were compiled within this step.
            continue;
        }
        // Each is averaged when one more submission has been made than the one that computed it; only the last is
        // waited for.
        assert!(calls.len() > 2, "{calls:?}");
        for (call, submissions) in (1..).zip(&calls) {
            assert_eq!(*submissions, (call + 1).min(calls.len() as u64), "{calls:?}");
        }
        let counters = half.gpu.get().expect("a device").counters();
        created.push([counters.buffers, counters.bind_groups, counters.pipelines]);
    }
    assert!(created.windows(2).all(|pair| pair[0] == pair[1]), "a step creates nothing: {created:?}");
    for name in together.tensors().into_iter().map(String::from).collect::<Vec<_>>() {
        assert_eq!(together.tensor(&name)?.values, alone.tensor(&name)?.values, "{name}");
    }
    Ok(())
}

/// One of two that has the same, whose connection fails at one call.
#[derive(Default)]
struct Broken {
    calls: Mutex<usize>,
    /// The call that fails, counted from 0.
    fails: Mutex<Option<usize>>,
}

impl Processes for Broken {
    fn count(&self) -> usize {
        2
    }

    fn rank(&self) -> usize {
        0
    }

    fn average(&self, _values: &mut [f32]) -> Result<()> {
        let (mut calls, mut fails) = (self.calls.lock().unwrap(), self.fails.lock().unwrap());
        *calls += 1;
        if fails.take_if(|call| *call == *calls - 1).is_some() {
            return Err(Error::Run("the cable is out".into()));
        }
        Ok(())
    }
}

/// A step that fails leaves nothing to the next one, wherever it fails: neither what was on its way nor its buffers.
#[test]
fn a_step_after_one_that_failed_is_whole() -> Result<()> {
    let device = gpu();
    let broken = Arc::new(Broken::default());
    device.join(broken.clone())?;
    let mut learner = Learner::new(&device, linears(), Sgd::new(0.1))?;
    let mut alone = Learner::new(&gpu(), linears(), Sgd::new(0.1))?;
    let batch = eight(&mut Rng::new(1));
    let step = |learner: &mut Learner| step(learner, &batch, 0.1);
    assert_eq!(step(&mut learner)?, step(&mut alone)?);
    let calls = *broken.calls.lock().unwrap();
    assert!(calls > 2, "{calls} calls a step");
    for call in (0..calls).chain([0, 0, 0]) {
        *broken.calls.lock().unwrap() = 0;
        *broken.fails.lock().unwrap() = Some(call);
        let error = step(&mut learner).expect_err("a failure").to_string();
        assert!(error.contains("the cable is out"), "call {call}: {error}");
        *broken.calls.lock().unwrap() = 0;
        assert_eq!(step(&mut learner)?, step(&mut alone)?, "call {call}");
        assert_eq!(*broken.calls.lock().unwrap(), calls, "call {call}: each is averaged once, and nothing else");
    }
    for name in alone.tensors().into_iter().map(String::from).collect::<Vec<_>>() {
        assert_eq!(learner.tensor(&name)?.values, alone.tensor(&name)?.values, "{name}");
    }
    Ok(())
}

/// Counts what this thread asks for in pieces of at least [`LARGE`] bytes.
struct Counting;

const LARGE: usize = 96 * 1024;

thread_local! {
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is left to the system's allocator; a counter that needs no memory and no destructor is beside it.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= LARGE {
            ASKED.set(ASKED.get() + 1);
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Means, variances, covariances and gradients go back and forth in memory that is there before the first step.
#[test]
fn averaging_asks_for_no_memory() -> Result<()> {
    for norm in [Norm::Batch, Norm::Deconv] {
        let mut net = Network::new([1, 2, 2]).norm(norm);
        net.conv(Conv::new(32_768, 1)).relu().conv(Conv::new(64, 1)).relu().flatten().linear(2);
        let device = gpu();
        device.join(Arc::new(Broken::default()))?;
        let mut learner = Learner::new(&device, net, Sgd::new(1e-3))?;
        let mut rng = Rng::new(1);
        let images = (0..8 * 4).map(|_| rng.normal()).collect();
        let batch = Batch { images, targets: Targets::Labels(vec![0, 1, 0, 1, 0, 1, 0, 1]) };
        let mut asked = Vec::new();
        for _ in 0..4 {
            let before = ASKED.get();
            step(&mut learner, &batch, 1e-3)?;
            asked.push(ASKED.get() - before);
        }
        assert_eq!(asked[1..], [0; 3], "{norm}: pieces of {LARGE} bytes and more in each step");
        assert!(asked[0] > 0, "{norm}: the first step compiles, and what counts counts");
    }
    Ok(())
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
