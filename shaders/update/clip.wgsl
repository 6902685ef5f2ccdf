// y = x min(1, max_norm / (sqrt(total) + 1e-6)). One vector per invocation: one read, one write.
struct Params {
    vectors: u32,
    max_norm: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> total: array<f32>;
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
    y[i] = min(1.0, params.max_norm / (sqrt(total[0]) + 1e-6)) * x[i];
}
