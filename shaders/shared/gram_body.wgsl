struct Params {
    rows: u32,
    da4: u32,
    db4: u32,
    splits: u32,
    rows_per_split: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4f>;

@compute @workgroup_size(LX * LY)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    // One dimension, because some drivers fill their vectors along x alone.
    let local = vec2u(lane % LX, lane / LX);
    let i0 = (group.y * LY + local.y) * TM;
    let j0 = group.x * LX * TN + local.x;
    let below = SYMMETRIC == 1u && (group.x + 1u) * LX * TN <= group.y * LY * TM;
    if below {
        return;
    }
    let batch = group.z / params.splits;
    let split = group.z % params.splits;
    var left: array<u32, OWN>;
    for (var i = 0u; i < OWN; i++) {
        left[i] = min(i0 + owned_row(i, local.x), params.da4 - 1u);
    }
    var right: array<u32, TN>;
    for (var j = 0u; j < TN; j++) {
        right[j] = min(j0 + j * LX, params.db4 - 1u);
    }
    var sum: array<array<array<vec4f, TN>, 4>, TM>;
    let first = split * params.rows_per_split;
    let last = min(first + params.rows_per_split, params.rows);
    for (var r = first; r < last; r++) {
        let row = batch * params.rows + r;
        var x: array<vec4f, OWN>;
        for (var i = 0u; i < OWN; i++) {
            x[i] = a[row * params.da4 + left[i]];
        }
        var y: array<vec4f, TN>;
        for (var j = 0u; j < TN; j++) {
            y[j] = b[row * params.db4 + right[j]];
        }
        for (var i = 0u; i < TM; i++) {
            let v = row_vector(x[i % OWN], i, local.y);
            for (var j = 0u; j < TN; j++) {
                sum[i][0][j] = fma(vec4f(v.x), y[j], sum[i][0][j]);
                sum[i][1][j] = fma(vec4f(v.y), y[j], sum[i][1][j]);
                sum[i][2][j] = fma(vec4f(v.z), y[j], sum[i][2][j]);
                sum[i][3][j] = fma(vec4f(v.w), y[j], sum[i][3][j]);
            }
        }
    }
    for (var i = 0u; i < TM; i++) {
        for (var e = 0u; e < 4u; e++) {
            for (var j = 0u; j < TN; j++) {
                if i0 + i < params.da4 && j0 + j * LX < params.db4 {
                    let row = (group.z * params.da4 + i0 + i) * 4u + e;
                    partial[row * params.db4 + j0 + j * LX] = sum[i][e][j];
                }
            }
        }
    }
}
