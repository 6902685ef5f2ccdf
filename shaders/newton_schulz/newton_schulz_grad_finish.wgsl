// The normalisation's share (method, section 9.4): with s = ||a||_F, gs = -1/2 s^(-3/2) <g, z> - <gb, a> / s^2 and
// ga = gb / s + gs a / s. One vector per invocation: two reads, one write.
struct Params {
    vectors: u32,
    per_batch: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gb: array<vec4f>;
@group(0) @binding(2) var<storage, read> a: array<vec4f>;
@group(0) @binding(3) var<storage, read> squared_norm: array<f32>;
@group(0) @binding(4) var<storage, read> g_dot_z: array<f32>;
@group(0) @binding(5) var<storage, read> gb_dot_a: array<f32>;
@group(0) @binding(6) var<storage, read_write> ga: array<vec4f>;

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
    let batch = i / params.per_batch;
    let s = sqrt(squared_norm[batch]);
    let gs = -0.5 * g_dot_z[batch] / (s * sqrt(s)) - gb_dot_a[batch] / (s * s);
    ga[i] = (gb[i] + gs * a[i]) / s;
}
