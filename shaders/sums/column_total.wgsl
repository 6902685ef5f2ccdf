// y[s][column] = scale * sum over rows of x[s][row][column], columns in vectors of four: partial sums, and few rows.
// One workgroup per (s, column): each invocation adds every 64th row, then a tree over the workgroup.
struct Params {
    batches: u32,
    rows: u32,
    columns4: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

// #import shared/group_sum.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let own = group.y * groups.x + group.x;
    if own >= params.batches * params.columns4 {
        return;
    }
    let batch = own / params.columns4;
    let column = own - batch * params.columns4;
    var sum = vec4f(0.0);
    for (var row = local.x; row < params.rows; row += 64u) {
        sum += x[(batch * params.rows + row) * params.columns4 + column];
    }
    let total = group_sum(local.x, sum);
    if local.x == 0u {
        y[own] = params.scale * total;
    }
}
