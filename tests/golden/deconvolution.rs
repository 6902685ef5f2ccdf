//! Covariances, Newton-Schulz and the deconvolution layers.

use super::case::{self, Run, on_gpu};
use mexhat::nn::{Conv, Delinear, FastDeconv, Folded, Forward, Linear, Mode, Whitening};
use mexhat::ops::{self, BlockLayout, BlockMode, Sampling};
use mexhat::rng::Rng;
use mexhat::tape::{StateId, Tape, Var};
use mexhat::{Error, Result};

type Runner = fn(&mut Run) -> Result<()>;

pub fn runner(op: &str) -> Option<Runner> {
    Some(match op {
        "covariance" => covariance,
        "ns_coupled" => ns_coupled,
        "ns_uncoupled" => ns_uncoupled,
        "nd_conv" => nd_conv,
        "nd_linear" => nd_linear,
        _ => return None,
    })
}

pub fn steps(op: &str) -> Option<case::Runner> {
    (op == "ns_residual").then_some(case::Runner::Steps(|run| Box::pin(ns_residual(run))))
}

fn mode(run: &Run) -> Result<BlockMode> {
    match run.case.params["mode"].as_str() {
        Some("paper") => Ok(BlockMode::Paper),
        Some("reference") => Ok(BlockMode::Reference),
        other => Err(Error::Run(format!("unknown mode {other:?}"))),
    }
}

fn covariance(run: &mut Run) -> Result<()> {
    let (leaf, x) = run.activation("x")?;
    let channels = run.tape.shape(x)[1];
    let (kernel, step) = (run.size("k"), run.size("sampling"));
    let layout = BlockLayout::conv(mode(run)?, channels, kernel, run.size("groups"), run.size("block"))?;
    let sampling = if kernel == 1 {
        Sampling::Pixels { step: step * step }
    } else {
        Sampling::Grid { step, padding: run.size("padding"), dilation: run.size("dilation") }
    };
    let whole = BlockLayout::conv(BlockMode::Paper, channels, kernel, 1, channels)?;
    let rows = ops::im2col_blocks(&mut run.tape, x, whole, sampling)?;
    let eps = run.number("eps") as f32;
    let statistics = ops::covariance(&mut run.tape, x, layout, sampling, eps)?;
    run.out("rows", rows);
    run.out("mean", statistics.mean);
    run.out("cov", statistics.covariance);
    let (_, gcov) = run.activation("gcov")?;
    let (_, gmean) = run.activation("gmean")?;
    let gradients = run.tape.backward_from(&[(statistics.covariance, gcov), (statistics.mean, gmean)])?;
    run.out_grad("gx", &gradients, leaf)
}

fn ns_coupled(run: &mut Run) -> Result<()> {
    let (leaf, a) = run.activation("A")?;
    let iterations = run.size("n_iter");
    let deconv = ops::newton_schulz(&mut run.tape, a, iterations)?;
    run.out("D", deconv);
    let gradients = run.pull(deconv, "g")?;
    run.out_grad("gA", &gradients, leaf)
}

fn ns_uncoupled(run: &mut Run) -> Result<()> {
    let (_, a) = run.activation("A")?;
    let iterations = run.size("n_iter");
    let iterates = ops::newton_schulz_uncoupled(&mut run.tape, a, iterations)?;
    if let Some(last) = iterates.last() {
        run.out("D", *last);
    }
    Ok(())
}

/// `||D_k A D_k - I||_F` for each iterate, the products in f64.
async fn ns_residual(run: &mut Run<'_>) -> Result<()> {
    let matrix = run.stored("A")?;
    let d = matrix.shape[1];
    let mut tape = Tape::new();
    let leaf = tape.leaf("A", &matrix.shape);
    let a = ops::to_vec4(&mut tape, leaf)?;
    let all = ops::newton_schulz_all(&mut tape, a, run.size("iterations"))?;
    let outputs: Vec<(String, Var)> = all.z.iter().map(|z| (String::new(), *z)).collect();
    let values = [(leaf, matrix.clone())].into();
    let iterates = on_gpu(run.gpu, &run.state, &mut tape, &values, &outputs).await?;
    let s = matrix.data.iter().map(|v| v * v).sum::<f64>().sqrt();
    let residual = |z: &Vec<f64>| {
        let half = multiply(z, &matrix.data, d);
        let whole = multiply(&half, z, d);
        let square = |(i, v): (usize, &f64)| (v / s - f64::from(u8::from(i / d == i % d))).powi(2);
        whole.iter().enumerate().map(square).sum::<f64>().sqrt()
    };
    run.direct.push(("coupled_f64".into(), iterates.iter().map(residual).collect()));
    Ok(())
}

fn multiply(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let entry = |i: usize| (0..d).map(|k| a[i / d * d + k] * b[k * d + i % d]).sum();
    (0..d * d).map(entry).collect()
}

/// Appends a layer's forward pass and says what it folded.
type FoldingForward<'a> = &'a dyn Fn(&mut Forward<'_>, Var) -> Result<(Var, Folded)>;

/// Training step and evaluation of one layer.
struct Layer<'a> {
    forward: FoldingForward<'a>,
    running: (StateId, StateId),
    weight: StateId,
    bias: Option<StateId>,
}

fn layer(run: &mut Run, layer: &Layer<'_>, leaf: Var, x: Var) -> Result<()> {
    let state = run.state.clone();
    let (y, folded) = (layer.forward)(&mut Forward { tape: &mut run.tape, state: &state, mode: Mode::Train }, x)?;
    run.out("y", y);
    run.out("mean", folded.mean);
    run.out("deconv", folded.deconv);
    run.out("w_eff", folded.weight);
    run.out("b_eff", folded.bias);
    if let Some(covariance) = folded.covariance {
        run.out("cov", covariance);
    }
    let gradients = run.pull(y, "gy")?;
    run.out_grad("gx", &gradients, leaf)?;
    if let Some(grad) = gradients.get(folded.deconv) {
        run.out("g_deconv", grad);
    }
    let weight = run.tape.state(&state, layer.weight);
    run.out_grad("gw", &gradients, weight)?;
    let bias = layer.bias.map(|id| run.tape.state(&state, id));
    if let Some(bias) = bias {
        run.out_grad("gb", &gradients, bias)?;
    }
    let running = [layer.running.0, layer.running.1].map(|id| run.tape.state(&state, id));
    run.out("running_mean", running[0]);
    run.out("running_deconv", running[1]);
    let (y, _) = (layer.forward)(&mut Forward { tape: &mut run.tape, state: &state, mode: Mode::Eval }, x)?;
    run.out("y_eval", y);
    if run.case.outputs.contains_key("gx_eval") {
        let gradients = run.pull(y, "gy")?;
        run.out_grad("gx_eval", &gradients, leaf)?;
        run.out_grad("gw_eval", &gradients, weight)?;
        if let Some(bias) = bias {
            run.out_grad("gb_eval", &gradients, bias)?;
        }
    }
    Ok(())
}

fn whitening(run: &Run) -> Result<Whitening> {
    Ok(Whitening {
        mode: mode(run)?,
        block: run.size("block"),
        iterations: run.size("n_iter"),
        eps: run.number("eps") as f32,
        sampling_stride: run.case.params["sampling"].as_u64().unwrap_or(1) as usize,
        momentum: run.number("momentum") as f32,
        freeze: false,
    })
}

/// Puts the stored weight and bias into the state under the layer's names.
fn set_parameters(run: &mut Run) -> Result<(StateId, Option<StateId>)> {
    let has_bias = run.has("b");
    let mut put = |name: &str, input: &str| -> Result<StateId> {
        let value = run.stored(input)?;
        let id = run.state.find(name).ok_or_else(|| Error::Run(format!("no tensor {name}")))?;
        run.state.get_mut(id).values = value.data.iter().map(|v| *v as f32).collect();
        Ok(id)
    };
    let weight = put("layer.weight", "w")?;
    let bias = if has_bias { Some(put("layer.bias", "b")?) } else { None };
    Ok((weight, bias))
}

fn nd_conv(run: &mut Run) -> Result<()> {
    let (leaf, x) = run.activation("x")?;
    let (channels, outputs) = (run.tape.shape(x)[1], run.stored("w")?.shape[0]);
    let conv = Conv {
        stride: run.size("stride"),
        padding: Some(run.size("padding")),
        dilation: run.size("dilation"),
        groups: run.size("groups"),
        bias: Some(run.has("b")),
        ..Conv::new(outputs, run.size("kernel"))
    };
    let whitening = whitening(run)?;
    let fast = FastDeconv::new(&mut run.state, "layer", channels, &conv, whitening, Rng::new(0))?;
    let (weight, bias) = set_parameters(run)?;
    let forward = |ctx: &mut Forward<'_>, x| fast.forward_folded(ctx, x);
    layer(run, &Layer { forward: &forward, running: fast.running(), weight, bias }, leaf, x)
}

fn nd_linear(run: &mut Run) -> Result<()> {
    let (leaf, x) = run.activation("x")?;
    let (features, outputs) = (run.tape.shape(x)[1], run.stored("w")?.shape[0]);
    let whitening = whitening(run)?;
    let linear = Linear::new(outputs).bias(run.has("b"));
    let linear = Delinear::new(&mut run.state, "layer", features, &linear, whitening, Rng::new(0))?;
    let (weight, bias) = set_parameters(run)?;
    let forward = |ctx: &mut Forward<'_>, x| linear.forward_folded(ctx, x);
    layer(run, &Layer { forward: &forward, running: linear.running(), weight, bias }, leaf, x)
}
