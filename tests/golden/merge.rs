//! Where paths meet, and the explicit patch matrix: products, concatenation, merges, dropout, unfold and fold.

use super::case::Run;
use mexhat::ops::{self, PatchOptions};
use mexhat::tape::{Tape, Var};
use mexhat::{Error, Result};

type Runner = fn(&mut Run) -> Result<()>;

pub fn runner(op: &str) -> Option<Runner> {
    Some(match op {
        "mul_broadcast" => |run| pair(run, ["a", "s"], ops::mul_channels),
        "concat_channels" => |run| pair(run, ["a", "b"], |tape, a, b| ops::concat(tape, &[a, b])),
        "add_relu" => |run| pair(run, ["a", "b"], ops::add_relu),
        "dual_path_merge" => |run| {
            let d = run.size("d");
            pair(run, ["x", "o"], |tape, x, o| ops::dual_path_merge(tape, x, o, d))
        },
        "dropout" => dropout,
        "se_block" => se_block,
        "unfold_fold" => unfold_fold,
        _ => return None,
    })
}

fn pair(run: &mut Run, names: [&str; 2], f: impl Fn(&mut Tape, Var, Var) -> Result<Var>) -> Result<()> {
    let (a_leaf, a) = run.activation(names[0])?;
    let (b_leaf, b) = run.activation(names[1])?;
    let y = f(&mut run.tape, a, b)?;
    run.out("y", y);
    let gradients = run.pull(y, "gy")?;
    run.out_grad(&format!("g{}", names[0]), &gradients, a_leaf)?;
    run.out_grad(&format!("g{}", names[1]), &gradients, b_leaf)
}

fn dropout(run: &mut Run) -> Result<()> {
    let (leaf, x) = run.activation("x")?;
    let (_, mask) = run.activation("mask")?;
    let p = run.number("p") as f32;
    let y = ops::dropout_with_mask(&mut run.tape, x, mask, p)?;
    run.out("y", y);
    let gradients = run.pull(y, "gy")?;
    run.out_grad("gx", &gradients, leaf)
}

fn se_block(run: &mut Run) -> Result<()> {
    let (leaf, x) = run.activation("x")?;
    let (w1, b1) = (run.plain("w1")?, run.plain("b1")?);
    let (w2, b2) = (run.plain("w2")?, run.plain("b2")?);
    let y = ops::se_block(&mut run.tape, x, [w1, b1], [w2, b2])?;
    run.out("y", y);
    let gradients = run.pull(y, "gy")?;
    for (name, var) in [("gx", leaf), ("gw1", w1), ("gb1", b1), ("gw2", w2), ("gb2", b2)] {
        run.out_grad(name, &gradients, var)?;
    }
    Ok(())
}

/// Both directions, and each again as the other's gradient.
fn unfold_fold(run: &mut Run) -> Result<()> {
    let kernel: Vec<usize> = serde_json::from_value(run.case.params["kernel"].clone())
        .map_err(|e| Error::Run(format!("the case's kernel: {e}")))?;
    let options = PatchOptions {
        kernel: [kernel[0], kernel[1]],
        stride: run.size("stride"),
        padding: run.size("padding"),
        dilation: run.size("dilation"),
    };
    let (leaf, x) = run.activation("x")?;
    let columns = run.plain("cols")?;
    let y = ops::im2col(&mut run.tape, x, options)?;
    run.out("y", y);
    let [_, _, h, w] = run.tape.ty(x).nchw();
    let folded = ops::col2im(&mut run.tape, columns, [h, w], options)?;
    run.out("folded", folded);
    let gradients = run.tape.backward_from(&[(y, columns), (folded, x)])?;
    run.out_grad("folded", &gradients, leaf)?;
    run.out_grad("y", &gradients, columns)
}
