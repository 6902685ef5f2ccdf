// y[row] = softmax(x[row]) or, with LOG = 1, its logarithm. LANES invocations per row read it three times and write it
// once. The greatest element is subtracted first, so the arguments of exp are never above 0 and the sum is at least 1.
const LOG: u32 = 0u;
const LANES: u32 = 4u;

struct Params {
    rows: u32,
    channels: u32,
    channels4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

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
    var mosts = vec4f(x[first].x);
    for (var k = lane; k < params.channels4; k += LANES) {
        mosts = max(mosts, select(mosts, x[first + k], row_lanes(k)));
    }
    let most = row_most(local.x, max(max(mosts.x, mosts.y), max(mosts.z, mosts.w)));
    var sums = vec4f(0.0);
    for (var k = lane; k < params.channels4; k += LANES) {
        sums += select(vec4f(0.0), exp(x[first + k] - most), row_lanes(k));
    }
    let sum = row_sum(local.x, sums.x + sums.y + (sums.z + sums.w));
    if own >= params.rows {
        return;
    }
    let log_sum = log(sum);
    for (var k = lane; k < params.channels4; k += LANES) {
        var v = x[first + k] - most;
        if LOG == 1u {
            v -= log_sum;
        } else {
            v = exp(v) / sum;
        }
        y[first + k] = select(vec4f(0.0), v, row_lanes(k));
    }
}
