// Direction of the derivative and its first step (spec 9.4): with s = ||a||_F,
// dy = (g + g^T) / 2 s^(-1/2) and du = -dy / 2. One vector per invocation.
struct Params {
    vectors: u32,
    d: u32,
    d4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> squared_norm: array<f32>;
@group(0) @binding(3) var<storage, read_write> dy: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> du: array<vec4f>;

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
    let width = params.d4 * 4u;
    let row = (i / params.d4) % params.d;
    let column = (i % params.d4) * 4u;
    let batch = i / (params.d4 * params.d);
    let base = batch * params.d * width;
    var v = vec4f(0.0);
    for (var e = 0u; e < 4u; e++) {
        if column + e < params.d {
            v[e] = 0.5 * (g[base + row * width + column + e] + g[base + (column + e) * width + row]);
        }
    }
    v *= inverseSqrt(sqrt(squared_norm[batch]));
    dy[i] = v;
    du[i] = -0.5 * v;
}
