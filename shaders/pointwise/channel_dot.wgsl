// partial[n][split][c] = sum over the pixels of the split of a[n, p, c] b[n, p, c]. One invocation per vector of
// `partial`; `column_sum.wgsl` adds the splits.
struct Params {
    vectors: u32,
    channels4: u32,
    pixels: u32,
    splits: u32,
    pixels_per_split: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4f>;

// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let i = flat_index(group, groups, local);
    if i >= params.vectors {
        return;
    }
    let column = i % params.channels4;
    let split = (i / params.channels4) % params.splits;
    let image = i / (params.channels4 * params.splits);
    let first = split * params.pixels_per_split;
    let last = min(first + params.pixels_per_split, params.pixels);
    var sum = vec4f(0.0);
    for (var p = first; p < last; p++) {
        let at = (image * params.pixels + p) * params.channels4 + column;
        sum += a[at] * b[at];
    }
    partial[i] = sum;
}
