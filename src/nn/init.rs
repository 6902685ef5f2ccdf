//! Initial values.

use crate::rng::Rng;
use crate::tape::{State, StateId};

/// Uniform in `+-1/sqrt(fan_in)`: PyTorch's default for convolutions and linear layers (kaiming-uniform with a = sqrt
/// 5), which the published networks keep (method, section 10.1).
pub(super) fn uniform(state: &mut State, name: &str, shape: &[usize], fan_in: usize, rng: Rng) -> StateId {
    // Each tensor draws from the stream of its own name, so that two networks of one seed share what they have in
    // common.
    let key = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut rng = rng.fork(key);
    let bound = 1.0 / (fan_in.max(1) as f32).sqrt();
    let values = (0..shape.iter().product()).map(|_| rng.range(-bound, bound)).collect();
    state.parameter(name, shape, values)
}

/// Weight and, if wanted, bias of a layer called `name`.
pub(super) fn weight_and_bias(
    state: &mut State,
    name: &str,
    shape: &[usize],
    bias: bool,
    rng: Rng,
) -> (StateId, Option<StateId>) {
    let fan_in = shape[1..].iter().product();
    let weight = uniform(state, &format!("{name}.weight"), shape, fan_in, rng);
    let bias = bias.then(|| uniform(state, &format!("{name}.bias"), &shape[..1], fan_in, rng));
    (weight, bias)
}
