// Moments of each channel over a chunk of pixels: partial[0][split] = mean over the chunk, partial[1][split] = sum of
// (x - mean)^2 over it. One invocation per (split, vector of channels) reads its chunk twice; the second time it is
// still in the cache, so memory is read once, and the squares are centred, so that a large mean cancels nothing.
struct Params {
    rows: u32,
    columns4: u32,
    splits: u32,
    rows_per_split: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> partial: array<vec4f>;

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
    var sum = vec4f(0.0);
    for (var row = first; row < last; row++) {
        sum += x[row * params.columns4 + column];
    }
    let mean = sum / f32(last - first);
    var squares = vec4f(0.0);
    for (var row = first; row < last; row++) {
        let d = x[row * params.columns4 + column] - mean;
        squares = fma(d, d, squares);
    }
    partial[i] = mean;
    partial[chunks + i] = squares;
}
