//! Whitening folded into one weight, on the CPU in `f64`.

use crate::ops::BlockLayout;

/// A weight (O, ...) and its bias (O) with D (S,d,d) and mean (S,d) of its input folded in: `W' = W D`, `b' = b - W' mean`.
pub(super) struct Folded {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// What a layer's statistics are.
pub(super) struct Statistics<'a> {
    pub layout: BlockLayout,
    pub mean: &'a [f32],
    pub deconv: &'a [f32],
}

pub(super) fn fold(weight: &[f32], bias: Option<&[f32]>, outputs: usize, statistics: &Statistics<'_>) -> Folded {
    let Statistics { layout, mean, deconv } = statistics;
    let d = layout.d;
    let (per_group, features) = (outputs / layout.groups, layout.features() / layout.groups);
    let mut folded = vec![0.0f32; weight.len()];
    let mut biases: Vec<f64> = (0..outputs).map(|o| bias.map_or(0.0, |bias| f64::from(bias[o]))).collect();
    for j in 0..layout.blocks {
        let s = if layout.pooled { 0 } else { j };
        let (deconv, mean) = (&deconv[s * d * d..][..d * d], &mean[s * d..][..d]);
        let owner = layout.feature(j, 0) / features;
        let places: Vec<usize> = (0..d).map(|i| layout.feature(j, i) % features).collect();
        for o in owner * per_group..(owner + 1) * per_group {
            let row = &weight[o * features..][..features];
            let mut sums = vec![0.0f64; d];
            for (i, at) in places.iter().enumerate() {
                let w = f64::from(row[*at]);
                sums.iter_mut().zip(&deconv[i * d..][..d]).for_each(|(sum, entry)| *sum += w * f64::from(*entry));
            }
            for ((at, sum), mean) in places.iter().zip(&sums).zip(mean) {
                folded[o * features + at] = *sum as f32;
                biases[o] -= sum * f64::from(*mean);
            }
        }
    }
    Folded { weight: folded, bias: biases.into_iter().map(|b| b as f32).collect() }
}
