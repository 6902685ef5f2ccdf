struct Params {
    m: u32,
    n: u32,
    k: u32,
    alpha: f32,
    beta: f32,
    diagonal: f32,
    shared_a: u32,
    // A row, for each batch, is added rather than a matrix.
    row_added: u32,
    relu: u32,
    // The sum is taken in so many parts of so many stages each.
    parts: u32,
    stages: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read> a2: array<vec4f>;
@group(0) @binding(4) var<storage, read> b2: array<vec4f>;
@group(0) @binding(5) var<storage, read> added: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> c: array<vec4f>;

// #import products/shared/epilogue.wgsl
// #import shared/vec4.wgsl

// Matrix of a for batch `batch`.
fn batch_of_a(batch: u32) -> u32 {
    return select(batch, 0u, params.shared_a == 1u);
}

// Stores sums of four rows and four columns that are one part's, where `sum_parts.wgsl` finds them; `layer` numbers the
// parts of all batches.
fn store_part(block: u32, column: u32, layer: u32, values: mat4x4f) {
    let m4 = (params.m + 3u) / 4u;
    let n4 = (params.n + 3u) / 4u;
    if (block < m4) & (column < n4) {
        for (var e = 0u; e < 4u; e++) {
            c[((layer * m4 + block) * 4u + e) * n4 + column] = values[e];
        }
    }
}
