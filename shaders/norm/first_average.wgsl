// average = value while count is 0, afterwards (1 - momentum) average + momentum value. One vector per invocation.
struct Params {
    vectors: u32,
    momentum: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> value: array<vec4f>;
@group(0) @binding(2) var<storage, read> count: array<f32>;
@group(0) @binding(3) var<storage, read_write> average: array<vec4f>;

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
    let v = value[i];
    if count[0] == 0.0 {
        average[i] = v;
    } else {
        average[i] = fma(vec4f(params.momentum), v - average[i], average[i]);
    }
}
