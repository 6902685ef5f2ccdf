// First step of the coupled iteration, which needs no product (spec 5): with s = ||a||_F, y = a / s and u = (3 I - y) / 2.
// One vector per invocation: one read, two writes.
struct Params {
    items: u32,
    d: u32,
    d4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> squared_norm: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> u: array<vec4f>;

// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let i = flat_index(group, groups, local);
    if i >= params.items {
        return;
    }
    let row = (i / params.d4) % params.d;
    let column = (i % params.d4) * 4u;
    let scaled = a[i] / sqrt(squared_norm[i / (params.d4 * params.d)]);
    let identity = select(vec4f(0.0), vec4f(1.5), vec4u(row) == column + vec4u(0u, 1u, 2u, 3u));
    y[i] = scaled;
    u[i] = identity - 0.5 * scaled;
}
