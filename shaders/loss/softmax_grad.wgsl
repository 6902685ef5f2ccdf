// gx = x (gy - sum_c x gy) for x = softmax, or gx = gy - exp(x) sum_c gy for LOG = 1 and x = log softmax.
// LANES invocations per row read it twice and write it once.
const LOG: u32 = 0u;
const LANES: u32 = 4u;

struct Params {
    rows: u32,
    channels: u32,
    channels4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> gy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> gx: array<vec4f>;

// #import loss/shared/row_lanes.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let own = row_of(group, groups, local);
    let first = min(own, params.rows - 1u) * params.channels4;
    let lane = local.x % LANES;
    var sums = vec4f(0.0);
    for (var k = lane; k < params.channels4; k += LANES) {
        var v = gy[first + k];
        if LOG == 0u {
            v *= x[first + k];
        }
        sums += v;
    }
    let sum = row_sum(local.x, sums.x + sums.y + (sums.z + sums.w));
    if own >= params.rows {
        return;
    }
    for (var k = lane; k < params.channels4; k += LANES) {
        let i = first + k;
        var v = x[i] * (gy[i] - sum);
        if LOG == 1u {
            v = gy[i] - exp(x[i]) * sum;
        }
        gx[i] = select(vec4f(0.0), v, row_lanes(k));
    }
}
