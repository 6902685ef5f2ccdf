// y = beta x + gamma x^T per batch of square matrices, or y = x^T of rectangular ones (beta = 0); x (m, n), y (n, m),
// rows in vectors of four. One invocation per block of four rows and four columns of y.
struct Params {
    items: u32,
    m: u32,
    n: u32,
    beta: f32,
    gamma: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

// #import shared/divide.wgsl
// #import shared/index.wgsl

// Vector `vector` of row `row` of x, zero beyond the last row.
fn row_of(batch: u32, row: u32, vector: u32) -> vec4f {
    let at = (batch * params.m + min(row, params.m - 1u)) * ((params.n + 3u) / 4u) + vector;
    return select(vec4f(0.0), x[at], row < params.m);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let index = flat_index(group, groups, local);
    if index >= params.items {
        return;
    }
    let m4 = (params.m + 3u) / 4u;
    let n4 = (params.n + 3u) / 4u;
    let line = quotient(index, m4);
    let vector = index - line * m4;
    let batch = quotient(line, n4);
    let block = line - batch * n4;
    var v: mat4x4f;
    for (var e = 0u; e < 4u; e++) {
        v[e] = row_of(batch, vector * 4u + e, block);
    }
    v = params.gamma * transpose(v);
    if params.beta != 0.0 {
        for (var e = 0u; e < 4u; e++) {
            v[e] += params.beta * row_of(batch, block * 4u + e, vector);
        }
    }
    for (var e = 0u; e < 4u; e++) {
        let row = block * 4u + e;
        if row < params.n {
            y[(batch * params.n + row) * m4 + vector] = v[e];
        }
    }
}
