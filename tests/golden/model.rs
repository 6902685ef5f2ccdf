//! One training step of whole networks as shipped, against a PyTorch network: loss, outputs, every gradient, every
//! parameter after the update, and the running statistics. Eleven million weights need no file: both sides make the
//! same ones up, and of large tensors a summary is compared (`made_weight` in shipped.py, `summary` in models.py).

use super::case::{Run, Runner};
use mexhat::models::{ModelOptions, network};
use mexhat::nn::{Forward, Layer, Layers, Mode, Whitening};
use mexhat::ops::{self, BlockMode};
use mexhat::optim::Optimizer;
use mexhat::tape::{DType, Session, State, Tape, Var};
use mexhat::{Error, Result};
use serde::Deserialize;
use std::collections::HashMap;

pub fn steps(op: &str) -> Option<Runner> {
    (op == "model_step").then_some(Runner::Steps(|run| Box::pin(step(run))))
}

/// A tensor whose values are made up.
#[derive(Deserialize)]
struct Made {
    name: String,
    seed: u64,
    bound: f32,
}

#[derive(Deserialize)]
struct Params {
    model: String,
    norm: String,
    mode: Option<String>,
    lr: f64,
    momentum: f32,
    weight_decay: f32,
    samples: usize,
    projections: u64,
    /// The tensors that are made up; empty where the rule of `ruled` makes all of them.
    made: Vec<Made>,
    /// Times the channels of the network, 1 where it says nothing.
    width: Option<f64>,
    /// What biases are, plus or minus, to keep values from the kinks of ReLUs.
    apart: Option<f32>,
    /// The covariances' share of the identity, the method's where it says nothing.
    eps: Option<f32>,
}

/// Splitmix64 at position `index` of stream `seed`.
fn mixed(seed: u64, index: u64) -> u64 {
    let z = (seed << 32).wrapping_add(index).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn made_weight(made: &Made, count: usize) -> Vec<f32> {
    let unit = |i| (mixed(made.seed, i) >> 40) as f32 / (1 << 23) as f32 - 1.0;
    (0..count as u64).map(|i| unit(i) * made.bound).collect()
}

/// Checksum of a name (CRC-32): the seed of its values.
fn checksum(name: &str) -> u64 {
    let byte = |sum: u32, byte: u8| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { 0xEDB8_8320 } else { 0 })
    };
    u64::from(!name.bytes().fold(u32::MAX, byte))
}

/// What a network of hundreds of tensors begins with, without a list: weights and the classifier's bias within one over
/// the root of the inputs, other biases at `apart` with the sign of their channel. `None`: what the network made
/// itself.
fn ruled(name: &str, shape: &[usize], classifier_inputs: usize, apart: f32) -> Option<Vec<f32>> {
    let inputs = if name == "fc.bias" { classifier_inputs } else { shape[1..].iter().product() };
    if shape.len() > 1 || name == "fc.bias" {
        let made = Made { name: name.into(), seed: checksum(name), bound: (1.0 / (inputs as f64).sqrt()) as f32 };
        return Some(made_weight(&made, shape.iter().product()));
    }
    let sign = |channel: u64| if mixed(7, channel) & 1 == 1 { apart } else { -apart };
    name.ends_with("bias").then(|| (0..shape[0] as u64).map(sign).collect())
}

/// Values at equal steps, and sums with made-up signs over the root of the count.
fn summary(values: &[f32], params: &Params) -> Vec<f64> {
    // The rows of a table are of one length.
    let least = if params.apart.is_some() { usize::MAX } else { values.len() };
    let (n, samples) = (values.len(), params.samples.min(least));
    let sampled = (0..samples).map(|i| f64::from(values[i * n / samples]));
    let projected = (0..params.projections).map(|j| {
        let sign = |i: usize| if mixed(j, i as u64) & 1 == 1 { 1.0 } else { -1.0 };
        values.iter().enumerate().map(|(i, v)| sign(i) * f64::from(*v)).sum::<f64>() / (n as f64).sqrt()
    });
    sampled.chain(projected).collect()
}

fn options(params: &Params, input: [usize; 3]) -> Result<ModelOptions> {
    let mode = if params.mode.as_deref() == Some("paper") { BlockMode::Paper } else { BlockMode::Reference };
    let whitening = Whitening { mode, ..Whitening::default() };
    Ok(ModelOptions {
        norm: params.norm.parse()?,
        whitening: Whitening { eps: params.eps.unwrap_or(whitening.eps), ..whitening },
        input,
        width: params.width.unwrap_or(1.0),
        ..ModelOptions::default()
    })
}

/// Without dropout, which is another for every engine.
fn undropped(layers: &mut Layers) {
    for node in &mut layers.nodes {
        match &mut node.layer {
            Layer::Dropout { probability } => *probability = 0.0,
            Layer::Auxiliary { head, .. } => undropped(head),
            _ => {}
        }
    }
}

async fn step(run: &mut Run<'_>) -> Result<()> {
    let params: Params = serde_json::from_value(run.case.params.clone())
        .map_err(|e| Error::Run(format!("the case's parameters: {e}")))?;
    let (x, y) = (run.stored("images")?, run.stored("labels")?);
    let mut state = State::new();
    let [_, channels, height, width] = x.nchw();
    let mut network = network(&params.model, &options(&params, [channels, height, width])?)?;
    undropped(&mut network.layers);
    let model = network.build(&mut state)?;
    let ids: HashMap<String, _> = state.iter().map(|(id, tensor)| (tensor.name.clone(), id)).collect();
    if let Some(apart) = params.apart {
        let inputs = ids.get("fc.weight").map_or(1, |id| state.get(*id).ty.shape[1]);
        for (name, id) in &ids {
            let tensor = state.get_mut(*id);
            let values = if tensor.trainable { ruled(name, &tensor.ty.shape, inputs, apart) } else { None };
            tensor.values = values.unwrap_or_else(|| std::mem::take(&mut tensor.values));
        }
    }
    for made in &params.made {
        let id = ids.get(&made.name).ok_or_else(|| Error::Run(format!("the network has no tensor '{}'", made.name)))?;
        let tensor = state.get_mut(*id);
        tensor.values = made_weight(made, tensor.values.len());
    }
    let mut tape = Tape::new();
    let images = tape.input("images", &x.shape, DType::F32);
    let labels = tape.input("labels", &y.shape, DType::U32);
    let logits = model.forward(&mut Forward { tape: &mut tape, state: &state, mode: Mode::Train }, images)?;
    let mut loss = ops::cross_entropy(&mut tape, logits, labels, Default::default())?;
    for (head, weight) in tape.take_auxiliary() {
        let own = ops::cross_entropy(&mut tape, head, labels, Default::default())?;
        let like = tape.ty(own).clone();
        let weight = ops::constant(&mut tape, like, weight)?;
        let own = ops::mul(&mut tape, own, weight, 1.0)?;
        loss = ops::add(&mut tape, loss, own)?;
    }
    tape.output(loss);
    tape.output(logits);
    let parameters = state.parameters();
    let gradients = tape.backward(loss)?;
    let optimizer = Optimizer::Sgd { momentum: params.momentum, weight_decay: params.weight_decay, nesterov: false };
    optimizer.apply(&mut tape, &mut state, &parameters, &gradients)?;
    for id in &parameters {
        let var = tape.state(&state, *id);
        let missing = || Error::Run(format!("no gradient for {}", state.get(*id).name));
        tape.output(gradients.get(var).ok_or_else(missing)?);
    }
    let narrow = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
    let mut inputs: HashMap<Var, Vec<f32>> = HashMap::from([(images, narrow(&x.data)), (labels, narrow(&y.data))]);
    if let Some(scalars) = tape.scalars_input() {
        inputs.insert(scalars, optimizer.scalars(params.lr, 1, 0).0.to_vec());
    }
    let mut session = Session::new(run.gpu, &state)?;
    let mut compiled = session.compile(&[&tape])?;
    let read = compiled[0].run(&inputs).await?;
    let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    run.direct.push(("loss".into(), wide(&read[0])));
    run.direct.push(("logits".into(), wide(&read[1])));
    let mut found: Vec<(String, Vec<f64>)> = Vec::new();
    for (id, gradient) in parameters.iter().zip(&read[2..]) {
        found.push((format!("grad.{}", state.get(*id).name), summary(gradient, &params)));
    }
    session.download(&mut state).await?;
    for (_, tensor) in state.iter().filter(|(_, tensor)| tensor.model) {
        let kind = if tensor.trainable { "params" } else { "buffers" };
        found.push((format!("{kind}.{}", tensor.name), summary(&tensor.values, &params)));
    }
    if params.apart.is_none() {
        run.direct.extend(found);
        return Ok(());
    }
    // Tables, with a row for each tensor in the order of names.
    found.sort_by(|a, b| a.0.cmp(&b.0));
    for kind in ["grad", "params", "buffers"] {
        let of_kind = |name: &str| name.split_once('.').is_some_and(|(first, _)| first == kind);
        let rows = || found.iter().filter(|(name, _)| of_kind(name));
        run.rows.insert(kind.into(), rows().map(|(name, _)| name.clone()).collect());
        run.direct.push((kind.into(), rows().flat_map(|(_, values)| values.clone()).collect()));
    }
    Ok(())
}
