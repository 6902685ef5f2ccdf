// Partial sums of c = a^T b per batch: partial[batch][split][i][j / 4] = sum over the rows r of the split of a[r, i] b[r, j];
// a (rows, da), b (rows, db), rows in vectors of four.
//
// Register tile: an invocation owns TA vectors of columns of a x TB vectors of columns of b, 4 TA x 4 TB values. Per row:
// TA + TB vector loads for 4 TA TB vector multiply-adds. Splitting the rows is faster (more invocations) and more
// accurate (shorter sums). SYMMETRIC = 1 (a = b): only tiles that reach the upper triangle are computed.
const TA: u32 = 4u;
const TB: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 1u;
const SYMMETRIC: u32 = 0u;

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

@compute @workgroup_size(LX, LY)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let i0 = (group.y * LY + local.y) * TA;
    let j0 = group.x * LX * TB + local.x;
    let below = SYMMETRIC == 1u && (group.x + 1u) * LX * TB <= group.y * LY * TA;
    if below || i0 >= params.da4 || j0 >= params.db4 {
        return;
    }
    let batch = group.z / params.splits;
    let split = group.z % params.splits;
    var left: array<u32, TA>;
    for (var i = 0u; i < TA; i++) {
        left[i] = min(i0 + i, params.da4 - 1u);
    }
    var right: array<u32, TB>;
    for (var j = 0u; j < TB; j++) {
        right[j] = min(j0 + j * LX, params.db4 - 1u);
    }
    var sum: array<array<array<vec4f, TB>, 4>, TA>;
    let first = split * params.rows_per_split;
    let last = min(first + params.rows_per_split, params.rows);
    for (var r = first; r < last; r++) {
        let row = batch * params.rows + r;
        var x: array<vec4f, TA>;
        for (var i = 0u; i < TA; i++) {
            x[i] = a[row * params.da4 + left[i]];
        }
        var y: array<vec4f, TB>;
        for (var j = 0u; j < TB; j++) {
            y[j] = b[row * params.db4 + right[j]];
        }
        for (var i = 0u; i < TA; i++) {
            for (var j = 0u; j < TB; j++) {
                sum[i][0][j] = fma(vec4f(x[i].x), y[j], sum[i][0][j]);
                sum[i][1][j] = fma(vec4f(x[i].y), y[j], sum[i][1][j]);
                sum[i][2][j] = fma(vec4f(x[i].z), y[j], sum[i][2][j]);
                sum[i][3][j] = fma(vec4f(x[i].w), y[j], sum[i][3][j]);
            }
        }
    }
    for (var i = 0u; i < TA; i++) {
        for (var e = 0u; e < 4u; e++) {
            for (var j = 0u; j < TB; j++) {
                if i0 + i < params.da4 && j0 + j * LX < params.db4 {
                    let row = (group.z * params.da4 + i0 + i) * 4u + e;
                    partial[row * params.db4 + j0 + j * LX] = sum[i][e][j];
                }
            }
        }
    }
}
