// c = scale * (sum of the partial sums of gram.wgsl) + diagonal I, per batch; with SYMMETRIC = 1 the lower triangle is
// read from the upper one. One invocation per vector of c; reads `splits` vectors (below the diagonal: scalars).
const SYMMETRIC: u32 = 0u;

struct Params {
    vectors: u32,
    da: u32,
    da4: u32,
    db: u32,
    db4: u32,
    splits: u32,
    scale: f32,
    diagonal: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4f>;

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
    let column = (index % params.db4) * 4u;
    let row = (index / params.db4) % params.da;
    let batch = index / (params.db4 * params.da);
    let width = params.db4 * 4u;
    let stride = params.da4 * 4u * width;
    var v = vec4f(0.0);
    for (var s = 0u; s < params.splits; s++) {
        let base = (batch * params.splits + s) * stride;
        for (var e = 0u; e < 4u; e++) {
            let j = column + e;
            if SYMMETRIC == 1u && j < row {
                v[e] += partial[base + j * width + row];
            } else {
                v[e] += partial[base + row * width + j];
            }
        }
    }
    v *= params.scale;
    for (var e = 0u; e < 4u; e++) {
        if column + e >= params.db {
            v[e] = 0.0;
        } else if column + e == row {
            v[e] += params.diagonal;
        }
    }
    c[index] = v;
}
