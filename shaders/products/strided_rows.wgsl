// y[s][k] = x[s][k step] (SCATTER = 0), or its adjoint y[s][k step] = x[s][k] and 0 in the other rows (SCATTER = 1).
// One vector of y per invocation: at most one read, one write.
const SCATTER: u32 = 0u;

struct Params {
    vectors: u32,
    columns4: u32,
    rows: u32,
    kept: u32,
    step: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

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
    let column = i % params.columns4;
    let line = i / params.columns4;
    if SCATTER == 0u {
        let batch = line / params.kept;
        y[i] = x[(batch * params.rows + (line % params.kept) * params.step) * params.columns4 + column];
        return;
    }
    let batch = line / params.rows;
    let row = line % params.rows;
    var v = vec4f(0.0);
    if row % params.step == 0u {
        v = x[(batch * params.kept + row / params.step) * params.columns4 + column];
    }
    y[i] = v;
}
