//! Normalisation.

use super::case::Run;
use mexhat::Result;
use mexhat::ops::{self, NormOptions};
use mexhat::tape::{Type, Var};

type Runner = fn(&mut Run) -> Result<()>;

pub fn runner(op: &str) -> Option<Runner> {
    Some(match op {
        "batchnorm" => batch_norm,
        _ => return None,
    })
}

fn buffer(run: &mut Run, name: &str) -> Result<Var> {
    let stored = run.stored(name)?;
    let values = stored.data.iter().map(|v| *v as f32).collect();
    let id = run.state.buffer(name, Type::plain(&stored.shape), values);
    Ok(run.tape.state(&run.state, id))
}

fn batch_norm(run: &mut Run) -> Result<()> {
    let options = NormOptions { eps: run.number("eps") as f32, relu: false };
    let momentum = run.number("momentum") as f32;
    let (leaf, x) = run.activation("x")?;
    let (w, b) = (run.plain("w")?, run.plain("b")?);
    let (mean, variance) = (buffer(run, "running_mean")?, buffer(run, "running_var")?);

    let norm = ops::batch_norm(&mut run.tape, x, w, b, options)?;
    run.out("y", norm.y);
    let gradients = run.pull(norm.y, "gy")?;
    for (name, of) in [("gx", leaf), ("gw", w), ("gb", b)] {
        run.out_grad(name, &gradients, of)?;
    }

    let count = run.tape.ty(x).rows() as f32;
    ops::running_average(&mut run.tape, mean, norm.mean, momentum, 1.0)?;
    ops::running_average(&mut run.tape, variance, norm.variance, momentum, count / (count - 1.0))?;
    run.out("running_mean", mean);
    run.out("running_var", variance);
    let y = ops::batch_norm_eval(&mut run.tape, x, w, b, [mean, variance], options)?;
    run.out("y_eval", y);
    let gradients = run.pull(y, "gy")?;
    run.out_grad("gx_eval", &gradients, leaf)
}
