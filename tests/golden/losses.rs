//! Losses and softmax.

use super::case::Run;
use mexhat::ops;
use mexhat::tape::{Tape, Var};
use mexhat::{Error, Result};

type Runner = fn(&mut Run) -> Result<()>;

pub fn runner(op: &str) -> Option<Runner> {
    Some(match op {
        "mse" => |run| against_target(run, ops::mse_loss),
        "l2_onehot" => least_squares,
        "bce_with_logits" => |run| against_target(run, ops::binary_cross_entropy_with_logits),
        "softmax" => |run| over_channels(run, ops::softmax),
        "log_softmax" => |run| over_channels(run, ops::log_softmax),
        _ => return None,
    })
}

type Pair = fn(&mut Tape, Var, Var) -> Result<Var>;

fn against_target(run: &mut Run, loss: Pair) -> Result<()> {
    let (leaf, x) = run.activation("x")?;
    let target = run.plain("target")?;
    let loss = loss(&mut run.tape, x, target)?;
    run.out("loss", loss);
    let gradients = run.tape.backward(loss)?;
    run.out_grad("gx", &gradients, leaf)
}

/// From dense targets and from the labels that they stand for.
fn least_squares(run: &mut Run) -> Result<()> {
    against_target(run, ops::least_squares)?;
    let (leaf, x) = run.activation("x")?;
    let dense = run.stored("target")?;
    let classes = dense.shape[1];
    let mut labels = dense.clone();
    labels.shape.pop();
    let place = |row: &[f64]| row.iter().position(|v| *v == 1.0).map(|at| at as f64);
    let found: Option<Vec<f64>> = dense.data.chunks(classes).map(place).collect();
    labels.data = found.ok_or_else(|| Error::Run("a target row without a 1".into()))?;
    let var = run.tape.input("labels", &labels.shape, mexhat::tape::DType::U32);
    run.values.insert(var, labels);
    let loss = ops::least_squares_labels(&mut run.tape, x, var)?;
    run.out("loss", loss);
    let gradients = run.tape.backward(loss)?;
    run.out_grad("gx", &gradients, leaf)
}

fn over_channels(run: &mut Run, f: fn(&mut Tape, Var) -> Result<Var>) -> Result<()> {
    let (leaf, x) = run.activation("x")?;
    let y = f(&mut run.tape, x)?;
    run.out("y", y);
    let gradients = run.pull(y, "gy")?;
    run.out_grad("gx", &gradients, leaf)
}
