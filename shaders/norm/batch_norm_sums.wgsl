// Sums for the gradient of batch norm over a chunk of pixels, with n = (x - mean) / sqrt(variance + eps):
//   partial[0][split] = sum of g n,   partial[1][split] = sum of g,
// where g is gy, or 0 where y <= 0 if a relu follows (RELU is 1): the sign of y is found again from x.
// One invocation per (split, vector of channels); reads x and gy once.
const RELU: u32 = 0u;

struct Params {
    rows: u32,
    columns4: u32,
    splits: u32,
    rows_per_split: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> gy: array<vec4f>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;
@group(0) @binding(5) var<storage, read> mean: array<vec4f>;
@group(0) @binding(6) var<storage, read> variance: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> partial: array<vec4f>;

// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let i = flat_index(group, groups, local);
    let chunks = params.splits * params.columns4;
    if i >= chunks {
        return;
    }
    let column = i % params.columns4;
    let first = (i / params.columns4) * params.rows_per_split;
    let last = min(first + params.rows_per_split, params.rows);
    let deviation = sqrt(variance[column] + params.eps);
    let centre = mean[column];
    let scale = weight[column] / deviation;
    let shift = bias[column];
    var weighted = vec4f(0.0);
    var sum = vec4f(0.0);
    for (var row = first; row < last; row++) {
        let d = x[row * params.columns4 + column] - centre;
        var g = gy[row * params.columns4 + column];
        if RELU == 1u {
            g = select(vec4f(0.0), g, fma(d, scale, shift) > vec4f(0.0));
        }
        weighted = fma(g, d, weighted);
        sum += g;
    }
    partial[i] = weighted / deviation;
    partial[chunks + i] = sum;
}
