//! Group normalisation (Wu & He 2018), made of [`batch_norm`](super::batch_norm::batch_norm()): it has no kernel of its
//! own.
//!
//! `y = (x - mean_ng) / sqrt(variance_ng + eps) weight_c + bias_c`, with the mean and the biased variance of image n's
//! group g of channels, over its (C/G) H W values. In row-major order those values lie one behind the other, so a group
//! is a channel of a single image of N G channels, which batch norm normalises. Two relayouts there, two back, and a
//! pass for weight and bias: 7 reads and 6 writes of an element where batch norm has 2 and 1; no statistics are kept,
//! and evaluation does the same.

use super::batch_norm::{NormOptions, batch_norm, batch_norm_eval};
use crate::ops::{constant, expect_activation, to_plain, to_vec4};
use crate::tape::{Tape, Type, Var};
use crate::{Error, Result};

/// Normalises the `num_groups` groups of channels of each image of `x` (N,C,H,W) or (N,C) by themselves, then scales
/// and shifts each channel by `weight` and `bias` (C); one group is layer norm over (C,H,W).
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (x, weight, bias) = (tape.leaf("x", &[2, 2]), tape.leaf("weight", &[2]), tape.leaf("bias", &[2]));
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = f::group_norm(&mut tape, x, 1, [weight, bias], f::NormOptions { eps: 1e-12, ..Default::default() })?;
/// assert_eq!(tape.compute(y, &[&[1.0, 3.0, 50.0, 10.0], &[1.0, 1.0], &[0.0, 5.0]])?, [-1.0, 6.0, 1.0, 4.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// The groups do not divide the channels, a group has a single value, `weight` or `bias` has another length, or `eps`
/// is not above 0.
pub fn group_norm(
    tape: &mut Tape,
    x: Var,
    num_groups: usize,
    [weight, bias]: [Var; 2],
    options: NormOptions,
) -> Result<Var> {
    let name = "group_norm";
    let shape = tape.shape(x).to_vec();
    expect_activation(name, tape.ty(x))?;
    let [n, c, h, w] = tape.ty(x).nchw();
    if num_groups == 0 || !c.is_multiple_of(num_groups) {
        return Err(Error::shape(name, format!("expected groups that divide {c} channels, found {num_groups}")));
    }
    let values = c / num_groups * h * w;
    if values < 2 {
        let what = format!(
            "{num_groups} groups of {c} channels on maps of {h}x{w} have one value each, whose deviation is 0; choose fewer groups"
        );
        return Err(Error::shape(name, what));
    }
    let groups = n * num_groups;
    let plain = to_plain(tape, x)?;
    let apart = tape.view(plain, &[1, groups, values, 1])?;
    let apart = to_vec4(tape, apart)?;
    let [one, zero] = [1.0, 0.0].map(|value| constant(tape, Type::plain(&[groups]), value));
    let own = NormOptions { relu: false, own: true, ..options };
    let normal = batch_norm(tape, apart, one?, zero?, own)?.y;
    let normal = to_plain(tape, normal)?;
    let normal = tape.view(normal, &shape)?;
    let normal = to_vec4(tape, normal)?;
    let [mean, variance] = [0.0, 1.0].map(|value| constant(tape, Type::plain(&[c]), value));
    // Nothing that is added to 1 and vanishes there: these statistics leave the values as they are.
    let as_it_is = NormOptions { eps: f32::MIN_POSITIVE, ..options };
    batch_norm_eval(tape, normal, weight, bias, [mean?, variance?], as_it_is)
}

/// The groups of `channels` channels where `num_groups` are asked for: the largest divisor that is at most that.
pub fn groups_that_fit(channels: usize, num_groups: usize) -> usize {
    (1..=num_groups.min(channels)).rev().find(|groups| channels.is_multiple_of(*groups)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::tape::{Array, State, Values, interpret};

    /// Straight from the formula.
    fn expected(x: &Array, groups: usize, [weight, bias]: [&[f64]; 2], eps: f64) -> Vec<f64> {
        let [n, c, h, w] = x.nchw();
        let (area, size) = (h * w, c / groups * h * w);
        let mut y = x.data.clone();
        for of_group in y.chunks_mut(size).take(n * groups) {
            let mean = of_group.iter().sum::<f64>() / size as f64;
            let variance = of_group.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / size as f64;
            of_group.iter_mut().for_each(|v| *v = (*v - mean) / (variance + eps).sqrt());
        }
        y.iter().enumerate().map(|(i, v)| v * weight[i / area % c] + bias[i / area % c]).collect()
    }

    #[test]
    fn groups_are_normalised_by_themselves() -> Result<()> {
        let mut rng = Rng::new(5);
        for (shape, groups) in [(&[3, 6, 4, 5][..], 3), (&[2, 6, 1, 3], 6), (&[2, 5, 3, 3], 1), (&[4, 12], 3)] {
            let mut random =
                |shape: &[usize]| (0..shape.iter().product()).map(|_| f64::from(rng.normal()) + 0.5).collect();
            let x = Array { shape: shape.to_vec(), data: random(shape) };
            let (weight, bias): (Vec<f64>, Vec<f64>) = (random(&shape[1..2]), random(&shape[1..2]));
            let mut tape = Tape::new();
            let [x_at, w_at, b_at] = [shape, &shape[1..2], &shape[1..2]].map(|shape| tape.leaf("value", shape));
            let packed = to_vec4(&mut tape, x_at)?;
            let options = NormOptions { eps: 1e-3, ..Default::default() };
            let y = group_norm(&mut tape, packed, groups, [w_at, b_at], options)?;
            let mut values = Values::default();
            let wanted = expected(&x, groups, [&weight, &bias], f64::from(options.eps));
            values.set(x_at, x);
            let of_channels = |data| Array { shape: vec![shape[1]], data };
            values.set(w_at, of_channels(weight));
            values.set(b_at, of_channels(bias));
            interpret(&tape, &State::new(), &mut values);
            let found = &values.get(&tape, y).data;
            let worst = found.iter().zip(&wanted).map(|(f, w)| (f - w).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-12, "{shape:?} in {groups} groups: {worst}");
        }
        Ok(())
    }

    #[test]
    fn groups_that_do_not_fit_are_refused_or_chosen() -> Result<()> {
        assert_eq!([16, 48, 64, 44, 7, 1].map(|channels| groups_that_fit(channels, 32)), [16, 24, 32, 22, 7, 1]);
        let mut tape = Tape::new();
        let [x, w] = [&[2, 6][..], &[6]].map(|shape| tape.leaf("value", shape));
        let x = to_vec4(&mut tape, x)?;
        for (groups, expected) in [(4, "divide 6 channels"), (6, "one value each")] {
            let error = group_norm(&mut tape, x, groups, [w, w], NormOptions::default()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        Ok(())
    }
}
