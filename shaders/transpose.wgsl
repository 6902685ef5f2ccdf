// y = beta x + gamma x^T per batch of square matrices, or y = x^T of rectangular ones (beta = 0); x (m, n), y (n, m),
// rows in vectors of four. One vector of y per invocation.
struct Params {
    vectors: u32,
    m: u32,
    n: u32,
    beta: f32,
    gamma: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

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
    let m4 = (params.m + 3u) / 4u;
    let width = ((params.n + 3u) / 4u) * 4u;
    let column = (index % m4) * 4u;
    let row = (index / m4) % params.n;
    let base = (index / (m4 * params.n)) * params.m * width;
    var v = vec4f(0.0);
    for (var e = 0u; e < 4u; e++) {
        if column + e < params.m {
            v[e] = params.gamma * x[base + (column + e) * width + row];
            if params.beta != 0.0 {
                v[e] += params.beta * x[base + row * width + column + e];
            }
        }
    }
    y[index] = v;
}
