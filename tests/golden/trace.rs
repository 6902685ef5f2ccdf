//! Ten training steps of whole networks: losses, every gradient of the first step, parameters and buffers after steps 1
//! and 10, evaluation. Runs on the GPU only, through the same session that training uses.

use super::case::{Run, Runner};
use mexhat::nn::{
    Activate, AvgPool, BatchNorm, Conv, Conv2d, Delinear, FastDeconv, Flatten, Forward, Linear, MaxPool, Mode, Module,
    PlainLinear, Sequential, Whitening,
};
use mexhat::ops::{self, Activation, BlockMode};
use mexhat::optim::Optimizer;
use mexhat::rng::Rng;
use mexhat::tape::{DType, Session, State, Tape, Var};
use mexhat::{Error, Result};
use serde_json::Value;
use std::collections::HashMap;

pub fn steps(op: &str) -> Option<Runner> {
    (op == "training_trace").then_some(Runner::Steps(|run| Box::pin(trace(run))))
}

/// A network built from the manifest's list of layers.
struct Net {
    layers: Sequential,
    freeze_iter: u64,
    freezes: bool,
}

fn whitening(layer: &Value, mode: BlockMode) -> Whitening {
    let number = |name: &str| layer[name].as_f64().unwrap_or_default();
    Whitening {
        mode,
        block: number("block") as usize,
        iterations: number("n_iter") as usize,
        eps: number("eps") as f32,
        sampling_stride: number("sampling") as usize,
        momentum: number("momentum") as f32,
        freeze: layer["freeze"].as_bool().unwrap_or_default(),
    }
}

fn build(layers: &[Value], mode: BlockMode, state: &mut State) -> Result<Net> {
    let mut net = Net { layers: Sequential::new(), freeze_iter: u64::MAX, freezes: false };
    let rng = Rng::new(0);
    for layer in layers {
        let size = |name: &str| layer[name].as_u64().unwrap_or_default() as usize;
        let (name, bias) = (layer["name"].as_str().unwrap_or_default(), layer["bias"].as_bool().unwrap_or_default());
        let conv = Conv::new(size("out"), size("k")).stride(size("stride")).padding(size("padding")).bias(bias);
        let linear = Linear::new(size("out")).bias(bias);
        if layer["freeze"].as_bool() == Some(true) {
            net.freezes = true;
            net.freeze_iter = layer["freeze_iter"].as_u64().unwrap_or(u64::MAX);
        }
        let list = &mut net.layers;
        match layer["type"].as_str().unwrap_or_default() {
            "conv" => list.push(Conv2d::new(state, name, size("in"), &conv, rng)),
            "linear" => list.push(PlainLinear::new(state, name, size("in"), &linear, rng)),
            "nd_conv" => list.push(FastDeconv::new(state, name, size("in"), &conv, whitening(layer, mode), rng)?),
            "nd_linear" => list.push(Delinear::new(state, name, size("in"), &linear, whitening(layer, mode), rng)?),
            "batchnorm" => list.push(BatchNorm::new(state, name, size("features"))),
            "relu" => list.push(Activate(Activation::Relu)),
            "sigmoid" => list.push(Activate(Activation::Sigmoid)),
            "swish" => list.push(Activate(Activation::Silu)),
            "maxpool" => list.push(MaxPool { kernel: size("k"), stride: size("stride"), padding: 0 }),
            "avgpool" => list.push(AvgPool { kernel: size("k") }),
            "flatten" => list.push(Flatten),
            other => return Err(Error::Run(format!("unknown layer type '{other}'"))),
        };
    }
    Ok(net)
}

fn optimizer(params: &Value) -> Result<Optimizer> {
    let number = |name: &str| params[name].as_f64().unwrap_or_default() as f32;
    match params["kind"].as_str() {
        Some("sgd") => {
            Ok(Optimizer::Sgd { momentum: number("momentum"), weight_decay: number("weight_decay"), nesterov: false })
        }
        Some("adam") => Ok(Optimizer::Adam {
            betas: [0, 1].map(|i| params["betas"][i].as_f64().unwrap_or_default()),
            eps: number("eps"),
            weight_decay: number("weight_decay"),
        }),
        other => Err(Error::Run(format!("unknown optimizer {other:?}"))),
    }
}

/// A tape of one step: images, labels, and what is read back.
struct Step {
    tape: Tape,
    images: Var,
    labels: Var,
}

fn forward(net: &Net, state: &State, mode: Mode, batch: &[usize]) -> Result<(Step, Var, Var)> {
    let mut tape = Tape::new();
    let images = tape.input("images", batch, DType::F32);
    let labels = tape.input("labels", &batch[..1], DType::U32);
    let x = ops::to_vec4(&mut tape, images)?;
    let logits = net.layers.forward(&mut Forward { tape: &mut tape, state, mode }, x)?;
    let loss = ops::cross_entropy(&mut tape, logits, labels, Default::default())?;
    tape.output(loss);
    Ok((Step { tape, images, labels }, logits, loss))
}

async fn trace(run: &mut Run<'_>) -> Result<()> {
    let params = run.case.params.clone();
    let mode = if params["mode"] == "paper" { BlockMode::Paper } else { BlockMode::Reference };
    let layers = params["layers"].as_array().cloned().unwrap_or_default();
    let mut state = State::new();
    let net = build(&layers, mode, &mut state)?;
    for (id, name) in state.iter().map(|(id, tensor)| (id, tensor.name.clone())).collect::<Vec<_>>() {
        if run.has(&format!("init.{name}")) {
            let value = run.stored(&format!("init.{name}"))?;
            state.get_mut(id).values = value.data.iter().map(|v| *v as f32).collect();
        }
    }
    let (images, labels) = (run.stored("images")?, run.stored("labels")?);
    let (steps, batch) = (images.shape[0], images.shape[1..].to_vec());
    let optimizer = optimizer(&params["optimizer"])?;
    let mut tapes = Vec::new();
    let parameters = state.parameters();
    for mode in [Mode::Train, Mode::Frozen] {
        let (mut step, _, loss) = forward(&net, &state, mode, &batch)?;
        let gradients = step.tape.backward(loss)?;
        optimizer.apply(&mut step.tape, &mut state, &parameters, &gradients)?;
        for id in &parameters {
            let var = step.tape.state(&state, *id);
            let missing = || Error::Run(format!("no gradient for {}", state.get(*id).name));
            step.tape.output(gradients.get(var).ok_or_else(missing)?);
        }
        tapes.push(step);
    }
    let (mut eval, logits, _) = forward(&net, &state, Mode::Eval, &batch)?;
    eval.tape.output(logits);
    tapes.push(eval);
    let mut session = Session::new(run.gpu, &state)?;
    let mut compiled = session.compile(&tapes.iter().map(|step| &step.tape).collect::<Vec<_>>())?;
    let feed = |which: usize, step: usize, lr: f64| {
        let tape = &tapes[which];
        let slice = |data: &[f64], per: usize| data[step * per..(step + 1) * per].iter().map(|v| *v as f32).collect();
        let mut values: HashMap<Var, Vec<f32>> = HashMap::new();
        values.insert(tape.images, slice(&images.data, batch.iter().product()));
        values.insert(tape.labels, slice(&labels.data, batch[0]));
        if let Some(var) = tape.tape.scalars_input() {
            values.insert(var, optimizer.scalars(lr, step as u64 + 1, 0).0.to_vec());
        }
        values
    };
    let mut losses = Vec::new();
    let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
    for step in 0..steps {
        let counter = step as u64 % net.freeze_iter.saturating_mul(10);
        let frozen = net.freezes && counter > net.freeze_iter;
        let lr = params["lrs"][step].as_f64().unwrap_or_default();
        let which = usize::from(frozen);
        let read = compiled[which].run(&feed(which, step, lr)).await?;
        losses.push(f64::from(read[0][0]));
        if step == 0 {
            for (id, grad) in parameters.iter().zip(&read[1..]) {
                run.direct.push((format!("grad1.{}", state.get(*id).name), wide(grad)));
            }
        }
        if step == 0 || step + 1 == steps {
            session.download(&mut state).await?;
            for (_, tensor) in state.iter().filter(|(_, tensor)| tensor.model) {
                let kind = if tensor.trainable { "params" } else { "buffers" };
                run.direct.push((format!("{kind}{}.{}", step + 1, tensor.name), wide(&tensor.values)));
            }
        }
    }
    let read = compiled[2].run(&feed(2, 0, 0.0)).await?;
    run.direct.push(("losses".into(), losses));
    run.direct.push(("eval_loss".into(), wide(&read[0])));
    run.direct.push(("eval_logits".into(), wide(&read[1])));
    Ok(())
}
