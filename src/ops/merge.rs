//! Where paths of a network meet: small compositions of other operations.

use crate::ops::{ConvOptions, add, concat, conv2d, global_avg_pool, mul_channels, relu, sigmoid, slice};
use crate::tape::{Tape, Var};
use crate::{Error, Result};

/// The merge of a dual-path network: `relu([x[..d] + o[..d], x[d..], o[d..]])` along the channels.
/// Source: Chen et al., "Dual Path Networks", 2017.
///
/// # Errors
/// `d` is 0 or more than the channels of `x` or `o`, or the maps differ.
pub fn dual_path_merge(tape: &mut Tape, x: Var, o: Var, d: usize) -> Result<Var> {
    let [x_channels, o_channels] = [x, o].map(|var| tape.ty(var).inner());
    if d == 0 || d > x_channels.min(o_channels) {
        let (x, o) = (tape.ty(x), tape.ty(o));
        return Err(Error::shape("dual_path_merge", format!("{d} channels cannot be shared by {x} and {o}")));
    }
    let (first_x, first_o) = (slice(tape, x, 0..d)?, slice(tape, o, 0..d)?);
    let mut parts = vec![add(tape, first_x, first_o)?];
    for (var, channels) in [(x, x_channels), (o, o_channels)] {
        if d < channels {
            parts.push(slice(tape, var, d..channels)?);
        }
    }
    let merged = concat(tape, &parts)?;
    relu(tape, merged)
}

/// Squeeze and excitation: `x * sigmoid(w2 relu(w1 mean(x) + b1) + b2)`, the mean over the pixels, 1x1 convolutions
/// `w1` (M,C,1,1) with `b1` (M) and `w2` (C,M,1,1) with `b2` (C). Source: Hu et al., "Squeeze-and-Excitation Networks",
/// 2018.
///
/// # Errors
/// The weights do not fit the channels of `x`.
pub fn se_block(tape: &mut Tape, x: Var, [w1, b1]: [Var; 2], [w2, b2]: [Var; 2]) -> Result<Var> {
    let mean = global_avg_pool(tape, x)?;
    let hidden = conv2d(tape, mean, w1, Some(b1), ConvOptions { relu: true, ..Default::default() })?;
    let scale = conv2d(tape, hidden, w2, Some(b2), ConvOptions::default())?;
    let scale = sigmoid(tape, scale)?;
    mul_channels(tape, x, scale)
}
