//! What a network is made of and what training it takes, known before anything is allocated.

use super::{ModelSpec, Options, RunPlan, memory};
use crate::Result;
use crate::data::{Dataset, Splits};
use crate::gpu::{Gpu, RING_DEPTH};
use crate::nn::{self, Forward, Mode};
use crate::tape::{State, StateTensor, Tape, planned_pool, planned_pool_bytes};
use serde::Serialize;

/// One layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerSummary {
    /// Its name, within the names of all blocks around it.
    pub name: String,
    /// Shape of its result without N: (C,H,W) or (F).
    pub output: Vec<usize>,
    /// Trainable values of its own, those of layers inside it not counted.
    pub parameters: usize,
    /// Two for each multiply-add of its weights, for one image in the forward pass; whitening comes on top in training.
    pub flops: u64,
}

/// GPU memory of a run by kind, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemorySummary {
    /// Weights and biases.
    pub parameters: u64,
    /// Running statistics, D among them.
    pub buffers: u64,
    /// What the update rule keeps of each parameter.
    pub moments: u64,
    /// Activations and gradients, which share their room.
    pub activations: u64,
    /// Images and results on their way.
    pub transfers: u64,
}

impl MemorySummary {
    /// All bytes.
    pub fn total(&self) -> u64 {
        self.parameters + self.buffers + self.moments + self.activations + self.transfers
    }
}

/// A network and what training it takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NetworkSummary {
    /// Name of the network.
    pub model: String,
    /// Name of its [`Norm`](crate::nn::Norm).
    pub norm: String,
    /// (C,H,W) of one image.
    pub input: [usize; 3],
    /// The layers in the order in which they finish: those inside a block stand before it.
    pub layers: Vec<LayerSummary>,
    /// Trainable values of all layers.
    pub parameters: usize,
    /// Of all layers, as [`LayerSummary::flops`].
    pub flops: u64,
    /// Images per step.
    pub batch_size: usize,
    /// GPU memory of the run.
    pub memory: MemorySummary,
}

/// Describes the network of `options` for this data, as training on `gpu` would build it. Allocates nothing there.
///
/// # Errors
/// The network does not fit the data, or cannot be trained on the adapter.
pub fn summarize(gpu: &Gpu, options: &Options, splits: &Splits) -> Result<NetworkSummary> {
    let Recorded { model, state, plan, tapes, norm } = Recorded::of(gpu, options, splits)?;
    let layers = layers(&model, &state)?;
    let parameters = bytes(&state, |tensor| tensor.parameter);
    let buffers = bytes(&state, |tensor| tensor.model && !tensor.parameter);
    let moments = state.bytes() - parameters - buffers;
    let moved = |tape: &Tape| {
        let values = tape.inputs().into_iter().chain(tape.outputs().iter().copied());
        values.map(|var| tape.ty(var).bytes()).sum::<u64>()
    };
    let transfers = RING_DEPTH * tapes.iter().map(moved).sum::<u64>();
    let activations = planned_pool_bytes(&tapes.iter().collect::<Vec<_>>(), gpu.profile())?;
    Ok(NetworkSummary {
        model: model.name.clone(),
        norm,
        input: model.input,
        parameters: state.parameter_count(),
        flops: layers.iter().map(|layer| layer.flops).sum(),
        layers,
        batch_size: plan.batch_size,
        memory: MemorySummary { parameters, buffers, moments, activations, transfers },
    })
}

/// Refuses what training on `gpu` would refuse once it had built the network of `options`. Allocates nothing there.
///
/// # Errors
/// As [`summarize`], and where a buffer is larger than the adapter binds, or all are larger than its memory.
pub(crate) fn check_fits(gpu: &Gpu, options: &Options, splits: &Splits) -> Result<()> {
    let Recorded { state, tapes, .. } = Recorded::of(gpu, options, splits)?;
    let pool = planned_pool(&tapes.iter().collect::<Vec<_>>(), gpu.profile())?;
    state.iter().try_for_each(|(_, tensor)| gpu.check_buffer(&tensor.name, tensor.ty.bytes()))?;
    gpu.check_pool(&pool)?;
    gpu.check_room(state.bytes() + pool.bytes())
}

/// A run before it takes anything of an adapter.
struct Recorded {
    model: nn::Model,
    state: State,
    plan: RunPlan,
    tapes: Vec<Tape>,
    norm: String,
}

impl Recorded {
    fn of(gpu: &Gpu, options: &Options, splits: &Splits) -> Result<Self> {
        options.validate()?;
        let spec = ModelSpec::new(options, splits);
        let mut state = State::on(gpu);
        let own = options.network.is_some();
        let model = spec.build(options.seed, &mut state).map_err(|error| match own {
            true => error,
            false => memory::cannot_be_built(&spec, error),
        })?;
        spec.check(&model)?;
        let update = options.update();
        update.reserve(&mut state);
        let plan = RunPlan::new(options, splits.train.len())?;
        let judged = [splits.validation.as_ref(), Some(&splits.test)];
        let judged: Vec<usize> = judged.into_iter().flatten().map(Dataset::len).collect();
        let tapes = memory::tapes(gpu, &plan, (&model, &mut state), &judged, &update)?;
        Ok(Self { model, state, plan, tapes, norm: spec.net.norm.to_string() })
    }
}

fn bytes(state: &State, wanted: impl Fn(&StateTensor) -> bool) -> u64 {
    state.iter().filter(|(_, tensor)| wanted(tensor)).map(|(_, tensor)| tensor.ty.bytes()).sum()
}

fn layers(model: &nn::Model, state: &State) -> Result<Vec<LayerSummary>> {
    let mut tape = Tape::new();
    let images = nn::images(&mut tape, 2, model.input);
    let mut found = Vec::new();
    let mut ctx = Forward { tape: &mut tape, state, mode: Mode::Eval };
    model.forward_watched(&mut ctx, images, &mut |name, value| found.push((name.to_owned(), value)))?;
    let mut layers: Vec<LayerSummary> = found
        .into_iter()
        .map(|(name, value)| LayerSummary { name, output: tape.shape(value)[1..].to_vec(), parameters: 0, flops: 0 })
        .collect();
    for (_, tensor) in state.iter().filter(|(_, tensor)| tensor.parameter) {
        let Some(layer) = owner(&mut layers, &tensor.name) else { continue };
        layer.parameters += tensor.ty.len();
        if tensor.ty.shape.len() > 1 {
            let positions: usize = layer.output.iter().skip(1).product();
            layer.flops += 2 * (tensor.ty.len() * positions) as u64;
        }
    }
    Ok(layers)
}

/// The innermost layer that the tensor `name` belongs to: itself, or the norm behind it.
fn owner<'a>(layers: &'a mut [LayerSummary], name: &str) -> Option<&'a mut LayerSummary> {
    let own = |rest: &str, ending: &str| rest.strip_prefix(ending).is_some_and(|rest| rest.starts_with('.'));
    let of = |layer: &LayerSummary| {
        let rest = name.strip_prefix(&layer.name);
        rest.is_some_and(|rest| ["", "_bn", "_gn", "_ln", "_iter"].iter().any(|ending| own(rest, ending)))
    };
    layers.iter_mut().filter(|layer| of(layer)).max_by_key(|layer| layer.name.len())
}
