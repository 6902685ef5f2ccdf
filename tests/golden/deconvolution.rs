//! Covariances, Newton-Schulz and the deconvolution layers.

use super::case::{Run, on_gpu};
use mexhat::ops::{self, BlockLayout, BlockMode, Sampling};
use mexhat::tape::{Tape, Var};
use mexhat::{Error, Result};

type Runner = fn(&mut Run) -> Result<()>;

pub fn runner(op: &str) -> Option<Runner> {
    Some(match op {
        "covariance" => covariance,
        "ns_coupled" => ns_coupled,
        "ns_uncoupled" => ns_uncoupled,
        "ns_residual" => ns_residual,
        _ => return None,
    })
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
    let rows = ops::sample_rows(&mut run.tape, x, whole, sampling)?;
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
fn ns_residual(run: &mut Run) -> Result<()> {
    let matrix = run.stored("A")?;
    let d = matrix.shape[1];
    let mut tape = Tape::new();
    let leaf = tape.leaf("A", &matrix.shape);
    let a = ops::to_vec4(&mut tape, leaf)?;
    let all = ops::newton_schulz_all(&mut tape, a, run.size("iterations"))?;
    let outputs: Vec<(String, Var)> = all.z.iter().map(|z| (String::new(), *z)).collect();
    let values = [(leaf, matrix.clone())].into();
    let iterates = on_gpu(run.gpu, &run.state, &mut tape, &values, &outputs)?;
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
