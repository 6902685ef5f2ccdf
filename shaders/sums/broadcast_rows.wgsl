// y[s][r] = scale v[s], or with ADD = 1 y[s][r] = x[s][r] + scale v[s]. One vector per invocation: at most two reads,
// one write.
const ADD: u32 = 0u;

struct Params {
    vectors: u32,
    columns4: u32,
    rows: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> v: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

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
    let batch = i / (params.columns4 * params.rows);
    var sum = params.scale * v[batch * params.columns4 + i % params.columns4];
    if ADD == 1u {
        sum += x[i];
    }
    y[i] = sum;
}
