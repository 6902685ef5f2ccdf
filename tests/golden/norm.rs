//! Normalisation.

use super::case::Run;
use mexhat::Result;
use mexhat::nn::{Forward, IterNorm, Mode, Module, Whitening};
use mexhat::ops::{self, NormOptions};
use mexhat::tape::{Type, Var};

type Runner = fn(&mut Run) -> Result<()>;

pub fn runner(op: &str) -> Option<Runner> {
    Some(match op {
        "batchnorm" => batch_norm,
        "group_norm" => group_norm,
        "iter_norm" => iter_norm,
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
    let options = NormOptions { eps: run.number("eps") as f32, ..Default::default() };
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

fn group_norm(run: &mut Run) -> Result<()> {
    let options = NormOptions { eps: run.number("eps") as f32, ..Default::default() };
    let (leaf, x) = run.activation("x")?;
    let (w, b) = (run.plain("w")?, run.plain("b")?);
    let groups = run.size("num_groups");
    let y = ops::group_norm(&mut run.tape, x, groups, [w, b], options)?;
    run.out("y", y);
    let gradients = run.pull(y, "gy")?;
    for (name, of) in [("gx", leaf), ("gw", w), ("gb", b)] {
        run.out_grad(name, &gradients, of)?;
    }
    Ok(())
}

fn iter_norm(run: &mut Run) -> Result<()> {
    let (leaf, x) = run.activation("x")?;
    let whitening = Whitening {
        block: run.size("block"),
        iterations: run.size("n_iter"),
        eps: run.number("eps") as f32,
        momentum: run.number("momentum") as f32,
        ..Default::default()
    };
    let channels = run.tape.shape(x)[1];
    let norm = IterNorm::new(&mut run.state, "norm", channels, whitening)?;
    let id = |run: &Run, key: &str| run.state.find(&format!("norm.{key}")).expect("a tensor");
    for (key, input) in [("weight", "w"), ("bias", "b")] {
        let (id, value) = (id(run, key), run.stored(input)?);
        run.state.get_mut(id).values = value.data.iter().map(|v| *v as f32).collect();
    }
    let state = run.state.clone();
    let y = norm.forward(&mut Forward { tape: &mut run.tape, state: &state, mode: Mode::Train }, x)?;
    run.out("y", y);
    let gradients = run.pull(y, "gy")?;
    run.out_grad("gx", &gradients, leaf)?;
    for (key, name) in [("weight", "gw"), ("bias", "gb")] {
        let var = run.tape.state(&state, id(run, key));
        run.out_grad(name, &gradients, var)?;
    }
    for key in ["running_mean", "running_wm"] {
        let var = run.tape.state(&state, id(run, key));
        run.out(key, var);
    }
    let y = norm.forward(&mut Forward { tape: &mut run.tape, state: &state, mode: Mode::Eval }, x)?;
    run.out("y_eval", y);
    Ok(())
}
