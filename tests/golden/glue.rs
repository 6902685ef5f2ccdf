//! Convolution, linear and element-wise operations.

use super::case::Run;
use mexhat::Result;
use mexhat::ops::{self, Activation, ConvOptions};

type Runner = fn(&mut Run) -> Result<()>;

pub fn runner(op: &str) -> Option<Runner> {
    Some(match op {
        "conv2d" | "linear" => conv2d,
        "relu" => |run| activation(run, Activation::Relu),
        "relu6" => |run| activation(run, Activation::Relu6),
        "sigmoid" => |run| activation(run, Activation::Sigmoid),
        "tanh" => |run| activation(run, Activation::Tanh),
        "swish" => |run| activation(run, Activation::Silu),
        "leaky_relu" => |run| {
            let slope = run.number("slope") as f32;
            activation(run, Activation::LeakyRelu { slope })
        },
        "cross_entropy" | "cross_entropy_weighted" => cross_entropy,
        _ => return None,
    })
}

fn activation(run: &mut Run, f: Activation) -> Result<()> {
    let (leaf, x) = run.activation("x")?;
    let y = ops::activation(&mut run.tape, x, f)?;
    run.out("y", y);
    let gradients = run.pull(y, "gy")?;
    run.out_grad("gx", &gradients, leaf)
}

fn conv2d(run: &mut Run) -> Result<()> {
    let (leaf, x) = run.activation("x")?;
    let w = run.plain("w")?;
    let b = run.plain_if("b")?;
    let y = if run.case.op == "linear" {
        ops::linear(&mut run.tape, x, w, b)?
    } else {
        let options = ConvOptions {
            stride: run.size("stride"),
            padding: run.size("padding"),
            dilation: run.size("dilation"),
            groups: run.size("groups"),
            relu: false,
        };
        ops::conv2d(&mut run.tape, x, w, b, options)?
    };
    run.out("y", y);
    let gradients = run.pull(y, "gy")?;
    run.out_grad("gx", &gradients, leaf)?;
    run.out_grad("gw", &gradients, w)?;
    if let Some(b) = b {
        run.out_grad("gb", &gradients, b)?;
    }
    Ok(())
}

fn cross_entropy(run: &mut Run) -> Result<()> {
    let (leaf, logits) = run.activation("x")?;
    let labels = run.labels("target")?;
    let options = ops::CrossEntropyOptions {
        ignore_index: run.case.params["ignore_index"].as_u64().map(|v| v as u32),
        label_smoothing: run.case.params["label_smoothing"].as_f64().unwrap_or(0.0) as f32,
    };
    let loss = match run.plain_if("weight")? {
        Some(weights) => ops::cross_entropy_weighted(&mut run.tape, logits, labels, weights, options)?.loss,
        None => ops::cross_entropy(&mut run.tape, logits, labels, options)?,
    };
    run.out("loss", loss);
    let gradients = run.tape.backward(loss)?;
    run.out_grad("gx", &gradients, leaf)
}
