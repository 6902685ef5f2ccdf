// Moments of chunks to moments of the whole (Chan, Golub & LeVeque 1979), with n_s pixels in chunk s, M in all:
//   mean = sum_s n_s mean_s / M,   variance = sum_s (squares_s + n_s (mean_s - mean)^2) / M.
// One workgroup per vector of channels reads its 2 splits vectors, the means twice.
struct Params {
    rows: u32,
    columns4: u32,
    splits: u32,
    rows_per_split: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> mean: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> variance: array<vec4f>;

// #import shared/group_sum.wgsl

// Pixels in chunk s over all pixels.
fn share(s: u32) -> f32 {
    return f32(min(params.rows_per_split, params.rows - s * params.rows_per_split)) / f32(params.rows);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let i = group.y * groups.x + group.x;
    if i >= params.columns4 {
        return;
    }
    var own = vec4f(0.0);
    for (var s = local.x; s < params.splits; s += 64u) {
        own += share(s) * partial[s * params.columns4 + i];
    }
    let m = group_sum(local.x, own);
    own = vec4f(0.0);
    for (var s = local.x; s < params.splits; s += 64u) {
        let d = partial[s * params.columns4 + i] - m;
        own += share(s) * d * d + partial[(params.splits + s) * params.columns4 + i] / f32(params.rows);
    }
    let v = group_sum(local.x, own);
    if local.x == 0u {
        mean[i] = m;
        variance[i] = v;
    }
}
