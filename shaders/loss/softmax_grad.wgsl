// gx = x (gy - sum_c x gy) for x = softmax, or gx = gy - exp(x) sum_c gy for LOG = 1 and x = log softmax.
// One invocation per row: reads it twice, writes it once.
const LOG: u32 = 0u;

struct Params {
    rows: u32,
    channels: u32,
    channels4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> gy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> gx: array<vec4f>;

// #import shared/index.wgsl
// #import loss/shared/rows.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let row = flat_index(group, groups, local);
    if row >= params.rows {
        return;
    }
    var sums = vec4f(0.0);
    for (var k = 0u; k < params.channels4; k++) {
        var v = gy[row * params.channels4 + k];
        if LOG == 0u {
            v *= x[row * params.channels4 + k];
        }
        sums += v;
    }
    let sum = sums.x + sums.y + sums.z + sums.w;
    for (var k = 0u; k < params.channels4; k++) {
        let i = row * params.channels4 + k;
        var v = x[i] * (gy[i] - sum);
        if LOG == 1u {
            v = gy[i] - exp(x[i]) * sum;
        }
        gx[i] = select(vec4f(0.0), v, row_lanes(k));
    }
}
