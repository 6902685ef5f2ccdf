//! The steady state of training: a replayed step is one submission that creates nothing and waits for nothing, runs in
//! the memory that was planned, and computes what the interpreter computes although its buffers are shared.

mod common;
#[path = "common/polled.rs"]
mod polled;

use common::{gpu, own_gpu};
use mexhat::gpu::Counters;
use mexhat::nn::{
    Activate, BatchNorm, Conv, Conv2d, Delinear, FastDeconv, Flatten, Forward, Linear, MaxPool, Mode, Module,
    Sequential, Whitening,
};
use mexhat::ops::{self, Activation};
use mexhat::optim::Optimizer;
use mexhat::rng::Rng;
use mexhat::tape::{Array, Compiled, DType, SCALARS, Session, State, Tape, Values, Var, interpret, planned_pool_bytes};
use mexhat::{Error, Result};

const BATCH: usize = 6;
const CLASSES: usize = 5;
const SIDE: usize = 9;
const SGD: Optimizer = Optimizer::Sgd { momentum: 0.9, weight_decay: 1e-3, nesterov: false };
/// Its eps keeps the rounding of small gradients small.
const ADAM: Optimizer = Optimizer::AdamW { betas: [0.9, 0.99], eps: 1e-2, weight_decay: 1e-3 };
const RATE: f64 = 0.02;
/// Steps of which the counters are taken.
const STEPS: u64 = 1000;

/// A small network with every kind of joint: deconvolution, batch norm, pooling.
fn network(state: &mut State) -> Result<Sequential> {
    let whitening = Whitening { eps: 1e-2, ..Whitening::default() };
    let rng = Rng::new(1);
    let mut net = Sequential::new();
    net.push(FastDeconv::new(state, "conv1", 2, &Conv::new(6, 3), whitening, rng.fork(1))?);
    net.push(Activate(Activation::Silu));
    net.push(Conv2d::new(state, "conv2", 6, &Conv::new(7, 3).bias(false), rng.fork(2)));
    net.push(BatchNorm::with_relu(state, "norm2", 7, true));
    net.push(MaxPool { kernel: 2, stride: 2, padding: 0 });
    net.push(Flatten);
    let features = 7 * (SIDE / 2) * (SIDE / 2);
    net.push(Delinear::new(state, "fc", features, &Linear::new(CLASSES), whitening, rng.fork(3))?);
    Ok(net)
}

/// A step recorded on a tape: loss and hits are its outputs.
struct Step {
    tape: Tape,
    images: Var,
    labels: Var,
    optimizer: Optimizer,
}

impl Step {
    fn record(state: &mut State, net: &Sequential, mode: Mode, optimizer: Optimizer) -> Result<Self> {
        let mut tape = Tape::new();
        let images = tape.input("images", &[BATCH, 2, SIDE, SIDE], DType::F32);
        let labels = tape.input("labels", &[BATCH], DType::U32);
        let x = ops::to_vec4(&mut tape, images)?;
        let logits = net.forward(&mut Forward { tape: &mut tape, state, mode }, x)?;
        let found = ops::cross_entropy_hits(&mut tape, logits, labels, Default::default())?;
        tape.output(found.loss);
        tape.output(found.hits);
        if mode.training() {
            let gradients = tape.backward(found.loss)?;
            optimizer.apply(&mut tape, state, &state.parameters(), &gradients)?;
        }
        Ok(Self { tape, images, labels, optimizer })
    }

    /// Values of the tape's inputs in step `n`, in the order of upload: images, labels, scalars.
    fn batch(&self, n: u64) -> Vec<(Var, Array)> {
        let mut rng = Rng::new(7).fork(n);
        let labels: Vec<usize> = (0..BATCH).map(|_| rng.below(CLASSES)).collect();
        let pixels = 2 * SIDE * SIDE;
        let pixel =
            |i: usize| f64::from(0.3 * rng.normal() + if i % CLASSES == labels[i / pixels] { 1.0 } else { 0.0 });
        let images = (0..BATCH * pixels).map(pixel).map(|v| f64::from(v as f32)).collect();
        let labels = labels.iter().map(|label| *label as f64).collect();
        let array = |shape: &[usize], data| Array { shape: shape.to_vec(), data };
        let mut inputs =
            vec![(self.images, array(&[BATCH, 2, SIDE, SIDE], images)), (self.labels, array(&[BATCH], labels))];
        let scalars = self.optimizer.scalars(RATE, n + 1, 0).0;
        inputs.extend(self.tape.scalars_input().map(|var| (var, Array::from_f32(&[SCALARS], &scalars))));
        inputs
    }

    /// The same as bytes.
    fn bytes(&self, n: u64) -> Vec<Vec<u8>> {
        let word = |dtype: DType, v: f64| match dtype {
            DType::F32 => (v as f32).to_le_bytes(),
            DType::U32 => (v as u32).to_le_bytes(),
        };
        let bytes = |(var, value): (Var, Array)| {
            let dtype = self.tape.ty(var).dtype;
            value.data.iter().flat_map(|v| word(dtype, *v)).collect()
        };
        self.batch(n).into_iter().map(bytes).collect()
    }
}

fn submit(compiled: &mut Compiled, step: &Step, n: u64) -> Result<()> {
    let inputs = step.bytes(n);
    pollster::block_on(compiled.submit(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>()))?;
    Ok(())
}

/// The results of the oldest step.
fn poll(compiled: &mut Compiled) -> Result<Vec<Vec<f32>>> {
    polled::polled(|| Ok(compiled.try_take()?.map(|(_, outputs)| outputs)))
}

fn wait(compiled: &mut Compiled) -> Result<Vec<Vec<f32>>> {
    let taken = pollster::block_on(compiled.take())?;
    taken.map(|(_, outputs)| outputs).ok_or_else(|| Error::Run("no step was in flight".into()))
}

#[test]
fn a_replayed_step_is_one_submission_and_creates_nothing() -> Result<()> {
    let gpu = &own_gpu();
    let mut state = State::new();
    let net = network(&mut state)?;
    let train = Step::record(&mut state, &net, Mode::Train, SGD)?;
    let eval = Step::record(&mut state, &net, Mode::Eval, SGD)?;
    let tapes = [&train.tape, &eval.tape];
    let mut session = Session::new(gpu, &state)?;

    let before = gpu.counters();
    let mut compiled = session.compile(&tapes)?;
    let planned = planned_pool_bytes(&tapes, gpu.profile())?;
    assert_eq!(session.memory().pool, planned, "the pool against the plan");
    let allocated = gpu.counters().buffer_bytes - before.buffer_bytes;
    assert_eq!(allocated, planned + session.memory().rings, "bytes of all new buffers against what is accounted for");

    let [training, evaluating] = &mut compiled[..] else { panic!("two tapes, two programs") };
    for n in 0..3 {
        submit(training, &train, n)?;
        poll(training)?;
        submit(evaluating, &eval, n)?;
        poll(evaluating)?;
    }
    let warm = gpu.counters();
    let (mut first, mut last) = (0.0, 0.0);
    for n in 0..STEPS {
        submit(training, &train, n)?;
        let loss = poll(training)?[0][0];
        *(if n < STEPS / 2 { &mut first } else { &mut last }) += loss;
        if n % 50 == 0 {
            submit(evaluating, &eval, n)?;
            poll(evaluating)?;
        }
    }
    let expected = Counters {
        submissions: warm.submissions + STEPS + STEPS / 50,
        dispatches: warm.dispatches
            + STEPS * training.executable().dispatches() as u64
            + STEPS / 50 * evaluating.executable().dispatches() as u64,
        ..warm
    };
    assert_eq!(gpu.counters(), expected, "the steady state creates and waits for nothing");
    assert!(last < 0.95 * first, "the network does not learn: loss {first} in the first half, {last} in the second");
    Ok(())
}

#[test]
fn a_step_in_shared_memory_computes_what_the_interpreter_computes() -> Result<()> {
    [SGD, ADAM].into_iter().try_for_each(compare_with_the_interpreter)
}

fn compare_with_the_interpreter(optimizer: Optimizer) -> Result<()> {
    let mut state = State::new();
    let net = network(&mut state)?;
    let train = Step::record(&mut state, &net, Mode::Train, optimizer)?;
    let eval = Step::record(&mut state, &net, Mode::Eval, optimizer)?;
    let mut session = Session::new(gpu(), &state)?;
    let mut compiled = session.compile(&[&train.tape, &eval.tape])?;
    let mut reference = state.clone();
    for n in 0..4 {
        for (which, step) in [&train, &eval].into_iter().enumerate() {
            submit(&mut compiled[which], step, n)?;
            let found = wait(&mut compiled[which])?;
            let expected = interpreted(step, &mut reference, n);
            for (found, expected) in found.iter().flatten().zip(&expected) {
                let error = (f64::from(*found) - expected).abs();
                assert!(
                    error <= 1e-4 * expected.abs().max(1.0),
                    "step {n}.{which}: {expected} expected, found {found}"
                );
            }
        }
    }
    pollster::block_on(session.download(&mut state))?;
    for (id, tensor) in state.iter() {
        let expected = &reference.get(id).values;
        let scale = expected.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        for (found, expected) in tensor.values.iter().zip(expected) {
            let error = (found - expected).abs();
            assert!(error <= 1e-3 * scale + 1e-6, "{}: {expected} expected, found {found}", tensor.name);
        }
    }
    Ok(())
}

/// Outputs of one step through the references, which leaves its updates in `state`.
fn interpreted(step: &Step, state: &mut State, n: u64) -> Vec<f64> {
    let mut values = Values::default();
    for (var, value) in step.batch(n) {
        values.set(var, value);
    }
    interpret(&step.tape, state, &mut values);
    for (index, info) in step.tape.vars().iter().enumerate() {
        if let mexhat::tape::Source::State(id) = info.source {
            let updated = values.get(&step.tape, Var(index));
            state.get_mut(id).values = updated.data.iter().map(|v| *v as f32).collect();
        }
    }
    step.tape.outputs().iter().flat_map(|var| values.get(&step.tape, *var).data).collect()
}

#[test]
fn a_full_ring_waits_and_loses_nothing() -> Result<()> {
    let mut state = State::new();
    let net = network(&mut state)?;
    let eval = Step::record(&mut state, &net, Mode::Eval, SGD)?;
    let mut session = Session::new(gpu(), &state)?;
    let mut compiled = session.compile(&[&eval.tape])?;
    let compiled = &mut compiled[0];
    let mut alone = Vec::new();
    for n in 0..12 {
        submit(compiled, &eval, n)?;
        alone.push(wait(compiled)?);
    }
    for n in 0..12 {
        submit(compiled, &eval, n)?;
    }
    for (n, expected) in alone.iter().enumerate() {
        assert_eq!(&wait(compiled)?, expected, "step {n} of twelve in flight");
    }
    Ok(())
}

/// Tensors come back in order and whole, in copies of 16 MiB at a time: what is read is not held twice on the device.
#[test]
fn large_states_are_read_in_parts() -> Result<()> {
    const MIB: usize = 1 << 18;
    let gpu = own_gpu();
    let mut state = State::new();
    for (i, mib) in [7, 8, 20, 1, 15, 2, 1].into_iter().enumerate() {
        let values = (0..mib * MIB).map(|at| (at % 1009 + 2000 * i) as f32).collect();
        state.parameter(&format!("t{i}"), &[mib * MIB], values);
    }
    let session = Session::new(&gpu, &state)?;
    let mut found = state.clone();
    found.iter().map(|(id, _)| id).collect::<Vec<_>>().into_iter().for_each(|id| found.get_mut(id).values.fill(-1.0));
    let before = gpu.counters().submissions;
    pollster::block_on(session.download(&mut found))?;
    assert_eq!(gpu.counters().submissions - before, 4, "7 + 8; 20; 1 + 15; 2 + 1");
    for ((_, sent), (_, read)) in state.iter().zip(found.iter()) {
        assert!(sent.values == read.values, "{}", sent.name);
    }
    Ok(())
}
