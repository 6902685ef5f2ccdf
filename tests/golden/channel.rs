//! Whitening as a layer of its own: two training steps, then evaluation, on one tape.

use super::case::Run;
use mexhat::nn::{ChannelDeconv, ChannelWhitening, Forward, Mode};
use mexhat::tape::Array;
use mexhat::{Result, ops};

type Runner = fn(&mut Run) -> Result<()>;

pub fn runner(op: &str) -> Option<Runner> {
    Some(match op {
        "channel_deconv" => channel_deconv,
        _ => return None,
    })
}

fn channel_deconv(run: &mut Run) -> Result<()> {
    let (leaf, x) = run.activation("x")?;
    let first = run.stored("x")?;
    let second = Array { shape: first.shape.clone(), data: first.data.iter().map(|v| v * 0.5 + 0.1).collect() };
    let leaf2 = run.tape.leaf("x2", &second.shape);
    run.values.insert(leaf2, second);
    let x2 = ops::to_vec4(&mut run.tape, leaf2)?;

    let options = ChannelWhitening {
        block: run.size("block"),
        eps: run.number("eps") as f32,
        iterations: run.size("n_iter"),
        sampling_stride: run.size("sampling"),
        momentum: run.number("momentum") as f32,
    };
    let channels = run.tape.shape(x)[1];
    let layer = ChannelDeconv::new(&mut run.state, "layer", channels, options)?;
    let Run { tape, state, .. } = run;
    let (y, deconv) = layer.forward_with_deconv(&mut Forward { tape, state, mode: Mode::Train }, x)?;
    layer.forward_with_deconv(&mut Forward { tape, state, mode: Mode::Train }, x2)?;
    let (y_eval, _) = layer.forward_with_deconv(&mut Forward { tape, state, mode: Mode::Eval }, x)?;
    let buffers = ["running_mean1", "running_deconv", "running_mean2", "running_var"];
    for name in buffers {
        if let Some(id) = run.state.find(&format!("layer.{name}")) {
            let var = run.tape.state(&run.state, id);
            run.out(name, var);
        }
    }
    run.out("y", y);
    run.out("deconv", deconv);
    run.out("y_eval", y_eval);
    let gradients = run.pull(y, "gy")?;
    run.out_grad("gx", &gradients, leaf)
}
