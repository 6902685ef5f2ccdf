// y = beta x + diagonal I, per batch: a step of the iteration that needs no product. One vector per invocation.
struct Params {
    vectors: u32,
    d: u32,
    d4: u32,
    beta: f32,
    diagonal: f32,
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
    let row = (i / params.d4) % params.d;
    let column = (i % params.d4) * 4u;
    let identity = select(vec4f(0.0), vec4f(params.diagonal), vec4u(row) == column + vec4u(0u, 1u, 2u, 3u));
    y[i] = params.beta * x[i] + identity;
}
