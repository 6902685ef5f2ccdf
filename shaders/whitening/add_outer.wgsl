// y = x + a b^T per batch; x and y (m, n), a (m), b (n), all in vectors of four along their last dimension. One vector per invocation.
struct Params {
    vectors: u32,
    m: u32,
    m4: u32,
    n4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let index = flat_index(group, groups, local);
    if index >= params.vectors {
        return;
    }
    let line = index / params.n4;
    let batch = line / params.m;
    let row = line - batch * params.m;
    let vector = index - line * params.n4;
    y[index] = x[index] + a[batch * params.m4 * 4u + row] * b[batch * params.n4 + vector];
}
