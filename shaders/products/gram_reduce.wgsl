// c = scale * (sum of the partial sums of gram.wgsl) + diagonal I, per batch. One invocation per block of four rows and four columns:
// reads 4 `splits` vectors. With SYMMETRIC = 1 blocks above the diagonal are written below it, too, transposed around.
const SYMMETRIC: u32 = 0u;

struct Params {
    items: u32,
    da: u32,
    da4: u32,
    db: u32,
    db4: u32,
    splits: u32,
    scale: f32,
    diagonal: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;

// #import shared/divide.wgsl
// #import shared/index.wgsl

fn store(batch: u32, row: u32, vector: u32, sum: vec4f) {
    if row < params.da {
        let columns = vec4u(vector * 4u) + vec4u(0u, 1u, 2u, 3u);
        let diagonal = select(vec4f(0.0), vec4f(params.diagonal), columns == vec4u(row));
        let value = params.scale * sum + diagonal;
        c[(batch * params.da + row) * params.db4 + vector] = select(vec4f(0.0), value, columns < vec4u(params.db));
    }
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
    let line = quotient(index, params.db4);
    let vector = index - line * params.db4;
    let batch = quotient(line, params.da4);
    let block = line - batch * params.da4;
    if (SYMMETRIC == 1u) & (vector < block) {
        return;
    }
    var sum: mat4x4f;
    for (var s = 0u; s < params.splits; s++) {
        let first = ((batch * params.splits + s) * params.da4 + block) * 4u * params.db4 + vector;
        sum[0] += partial[first];
        sum[1] += partial[first + params.db4];
        sum[2] += partial[first + 2u * params.db4];
        sum[3] += partial[first + 3u * params.db4];
    }
    for (var e = 0u; e < 4u; e++) {
        store(batch, block * 4u + e, vector, sum[e]);
    }
    if (SYMMETRIC == 1u) & (vector > block) {
        let transposed = transpose(sum);
        for (var e = 0u; e < 4u; e++) {
            store(batch, vector * 4u + e, block, transposed[e]);
        }
    }
}
