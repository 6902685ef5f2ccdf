struct Params {
    m: u32,
    n: u32,
    k: u32,
    alpha: f32,
    diagonal: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read> a2: array<vec4f>;
@group(0) @binding(4) var<storage, read> b2: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> c: array<vec4f>;

// #import shared/vec4.wgsl

// Writes elements (row, 4 vector .. 4 vector + 3) of matrix `batch`, those that exist and that this tile is for; `lane` is
// row % 4, which a caller that unrolls its rows knows. The four rows of a mirrored vector belong to one invocation.
fn store(row: u32, lane: u32, vector: u32, batch: u32, sum: vec4f) {
    let n4 = (params.n + 3u) / 4u;
    if (row >= params.m) | (vector >= n4) {
        return;
    }
    let base = batch * params.m;
    let columns = vec4u(vector * 4u) + vec4u(0u, 1u, 2u, 3u);
    let diagonal = select(vec4f(0.0), vec4f(params.diagonal), columns == vec4u(row));
    let value = select(vec4f(0.0), sum + diagonal, columns < vec4u(params.n));
    if (SYMMETRIC == 0u) | (columns.w >= row) {
        c[(base + row) * n4 + vector] = value;
    }
    if (SYMMETRIC == 1u) & (columns.x > row) {
        for (var e = 0u; e < 4u; e++) {
            if columns[e] < params.n {
                c[(base + columns[e]) * n4 + row / 4u][lane] = value[e];
            }
        }
    }
}
