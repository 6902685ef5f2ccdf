//! Pooling and resampling.

use super::case::Run;
use mexhat::Result;
use mexhat::ops;
use mexhat::tape::{Tape, Var};

type Runner = fn(&mut Run) -> Result<()>;

pub fn runner(op: &str) -> Option<Runner> {
    Some(match op {
        "maxpool2d" => |run| {
            let [kernel, stride, padding] = ["kernel", "stride", "padding"].map(|name| run.size(name));
            check(run, |tape, x| ops::max_pool2d(tape, x, kernel, stride, padding))
        },
        "avgpool2d" => |run| {
            let [kernel, stride, padding] = ["kernel", "stride", "padding"].map(|name| run.size(name));
            check(run, |tape, x| ops::avg_pool2d(tape, x, kernel, stride, padding))
        },
        "adaptive_avgpool2d" => |run| {
            let out = run.size("output");
            check(run, |tape, x| ops::adaptive_avg_pool2d(tape, x, [out, out]))
        },
        "global_avgpool" => |run| check(run, ops::global_avg_pool),
        "bilinear" => |run| {
            let size = [0, 1].map(|i| run.case.params["size"][i].as_u64().unwrap_or(0) as usize);
            check(run, |tape, x| ops::interpolate(tape, x, size))
        },
        _ => return None,
    })
}

/// `y` and its gradient with respect to `x`.
fn check(run: &mut Run, op: impl Fn(&mut Tape, Var) -> Result<Var>) -> Result<()> {
    let (leaf, x) = run.activation("x")?;
    let y = op(&mut run.tape, x)?;
    run.out("y", y);
    let gradients = run.pull(y, "gy")?;
    run.out_grad("gx", &gradients, leaf)
}
