// c = alpha (sum of the partial sums of matmul.wgsl or gram.wgsl) + beta added + diagonal I, per batch, with ReLU where
// wanted; added is (m, n) where c is symmetric, else a row for each batch. Parts are added in order, by one invocation
// per block of four rows and four columns: reads 4 `parts` vectors. With SYMMETRIC = 1 blocks above the diagonal are
// written below it, too, transposed.
const SYMMETRIC: u32 = 0u;

struct Params {
    items: u32,
    m: u32,
    n: u32,
    parts: u32,
    alpha: f32,
    beta: f32,
    diagonal: f32,
    // A row, for each batch, is added rather than a matrix.
    row_added: u32,
    relu: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4f>;
@group(0) @binding(2) var<storage, read> added: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

// #import products/shared/epilogue.wgsl
// #import shared/divide.wgsl
// #import shared/index.wgsl

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
    let line = quotient(index, n4);
    let vector = index - line * n4;
    let batch = quotient(line, m4);
    let block = line - batch * m4;
    if (SYMMETRIC == 1u) & (vector < block) {
        return;
    }
    var sum: mat4x4f;
    for (var part = 0u; part < params.parts; part++) {
        let first = ((batch * params.parts + part) * m4 + block) * 4u * n4 + vector;
        sum[0] += partial[first];
        sum[1] += partial[first + n4];
        sum[2] += partial[first + 2u * n4];
        sum[3] += partial[first + 3u * n4];
    }
    store_block(block, vector, batch, scaled(sum, added_row(vector, batch)));
}
