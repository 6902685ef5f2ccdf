// Direction of the derivative (method, section 9.4): with s = ||a||_F, dy = (g + g^T) / 2 s^(-1/2). One invocation per
// block of four rows and four columns.
struct Params {
    items: u32,
    d: u32,
    d4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<vec4f>;
@group(0) @binding(2) var<storage, read> squared_norm: array<f32>;
@group(0) @binding(3) var<storage, read_write> dy: array<vec4f>;

// #import shared/divide.wgsl
// #import shared/index.wgsl

// Rows 4 block .. 4 block + 3 of g and columns 4 vector .. 4 vector + 3, zero beyond the last row.
fn block_of(batch: u32, block: u32, vector: u32) -> mat4x4f {
    var v: mat4x4f;
    for (var e = 0u; e < 4u; e++) {
        let row = block * 4u + e;
        let at = (batch * params.d + min(row, params.d - 1u)) * params.d4 + vector;
        v[e] = select(vec4f(0.0), g[at], row < params.d);
    }
    return v;
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
    let line = quotient(index, params.d4);
    let vector = index - line * params.d4;
    let batch = quotient(line, params.d4);
    let block = line - batch * params.d4;
    let factor = 0.5 * inverseSqrt(sqrt(squared_norm[batch]));
    let v = factor * (block_of(batch, block, vector) + transpose(block_of(batch, vector, block)));
    for (var e = 0u; e < 4u; e++) {
        let row = block * 4u + e;
        if row < params.d {
            dy[(batch * params.d + row) * params.d4 + vector] = v[e];
        }
    }
}
