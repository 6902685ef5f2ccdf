// Adds the chunks of batch_norm_sums.wgsl to gw = sum of g n and gb = sum of g, and prepares what batch_norm_grad.wgsl
// reads per vector of channels: mean, weight / deviation, bias, and, unless the statistics are constants (FROZEN is 1),
// gb / M and gw / (M deviation) for M pixels. One workgroup per vector of channels reads 2 splits vectors.
const FROZEN: u32 = 0u;

struct Params {
    rows: u32,
    columns4: u32,
    splits: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read> mean: array<vec4f>;
@group(0) @binding(5) var<storage, read> variance: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> coefficients: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> gw: array<vec4f>;
@group(0) @binding(8) var<storage, read_write> gb: array<vec4f>;

// #import shared/group_sum.wgsl

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
    var own_weighted = vec4f(0.0);
    var own_sum = vec4f(0.0);
    for (var s = local.x; s < params.splits; s += 64u) {
        own_weighted += partial[s * params.columns4 + i];
        own_sum += partial[(params.splits + s) * params.columns4 + i];
    }
    let weighted = group_sum(local.x, own_weighted);
    let sum = group_sum(local.x, own_sum);
    if local.x > 0u {
        return;
    }
    gw[i] = weighted;
    gb[i] = sum;
    let deviation = sqrt(variance[i] + params.eps);
    let part = select(1.0 / f32(params.rows), 0.0, FROZEN == 1u);
    coefficients[i * 5u] = mean[i];
    coefficients[i * 5u + 1u] = weight[i] / deviation;
    coefficients[i * 5u + 2u] = bias[i];
    coefficients[i * 5u + 3u] = sum * part;
    coefficients[i * 5u + 4u] = weighted * part / deviation;
}
