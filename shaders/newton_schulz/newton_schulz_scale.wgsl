// y = x / s, or x s^(-1/2) with ROOT = 1; s = ||a||_F (method, section 5). One vector per invocation.
const ROOT: u32 = 0u;

struct Params {
    vectors: u32,
    per_batch: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> squared_norm: array<f32>;
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
    let s = sqrt(squared_norm[i / params.per_batch]);
    if ROOT == 1u {
        y[i] = x[i] * inverseSqrt(s);
    } else {
        y[i] = x[i] / s;
    }
}
