// rows[s][r] -= mean[s] + rest[s], in place; the rest is what rounding the mean has left. One vector per invocation.
struct Params {
    vectors: u32,
    columns4: u32,
    rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> mean: array<vec4f>;
@group(0) @binding(2) var<storage, read> rest: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> rows: array<vec4f>;

// #import shared/index.wgsl
// #import shared/divide.wgsl

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
    let row = quotient(i, params.columns4);
    let at = (quotient(row, params.rows) - row) * params.columns4 + i;
    rows[i] = (rows[i] - mean[at]) - rest[at];
}
