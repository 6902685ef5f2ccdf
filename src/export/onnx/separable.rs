//! Pooling to a size and bilinear resizing as products with matrices, `A x B^T` for each channel: exact for every size,
//! where ONNX's own operators differ from PyTorch or take scales that round.

use super::graph::Builder;

/// Weights of the `from` values of a line in each of its `to` results, row by row.
pub(super) type Weights = fn(from: usize, to: usize) -> Vec<f32>;

/// Appends the product of a map of the shape (C,H,W) with the weights that bring it to `size`.
pub(super) fn write(
    builder: &mut Builder,
    name: &str,
    x: &str,
    (input, [h, w]): (&[usize], [usize; 2]),
    weights: Weights,
) -> String {
    let (height, width) = (input[1], input[2]);
    let rows = builder.floats(&format!("{name}.rows"), &[h, height], &weights(height, h));
    let across = weights(width, w);
    let columns: Vec<f32> = (0..width * w).map(|at| across[at % w * width + at / w]).collect();
    let columns = builder.floats(&format!("{name}.columns"), &[width, w], &columns);
    let narrow = builder.node("MatMul", name, &[x, &columns], &[]);
    builder.node("MatMul", name, &[&rows, &narrow], &[])
}

/// PyTorch's adaptive pooling: result `i` is the mean of `floor(i from / to)` to below `ceil((i + 1) from / to)`.
pub(super) fn mean(from: usize, to: usize) -> Vec<f32> {
    let mut weights = vec![0.0; from * to];
    for i in 0..to {
        let (first, end) = (i * from / to, ((i + 1) * from).div_ceil(to));
        weights[i * from..][first..end].fill(1.0 / (end - first) as f32);
    }
    weights
}

/// PyTorch's `align_corners=False`: result `i` lies at `(i + 1/2) from / to - 1/2`, within the map.
pub(super) fn bilinear(from: usize, to: usize) -> Vec<f32> {
    let mut weights = vec![0.0; from * to];
    for i in 0..to {
        let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
        let low = at.floor() as usize;
        let share = (at - low as f64) as f32;
        weights[i * from + low] += 1.0 - share;
        weights[i * from + (low + 1).min(from - 1)] += share;
    }
    weights
}
