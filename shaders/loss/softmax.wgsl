// y[row] = softmax(x[row]) or, with LOG = 1, its logarithm. One invocation per row: reads it three times, writes it once.
const LOG: u32 = 0u;

struct Params {
    rows: u32,
    channels: u32,
    channels4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

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
    let most = row_max(row);
    let sum = row_exp_sum(row, most);
    let log_sum = log(sum);
    for (var k = 0u; k < params.channels4; k++) {
        var v = x[row * params.channels4 + k] - most;
        if LOG == 1u {
            v -= log_sum;
        } else {
            v = exp(v) / sum;
        }
        y[row * params.channels4 + k] = select(vec4f(0.0), v, row_lanes(k));
    }
}
