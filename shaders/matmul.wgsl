// Batched matrix product with epilogue: c = alpha (a b [+ a2 b2]) + diagonal I, per batch; a (m, k), b (k, n), c (m, n),
// rows in vectors of four with zero padding.
//
// Register tile: an invocation owns TM rows x TN vectors of four columns; LX lanes along the columns share the rows, LY
// lanes along the rows share the columns. Per four inner steps: TM + 4 TN vector loads for 16 TM TN vector multiply-adds.
// SYMMETRIC = 1 (c known to be symmetric): only tiles that reach the upper triangle are computed and their upper
// elements are written twice. PAIR = 1 adds the second product, which costs no second pass over c.
const TM: u32 = 8u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 1u;
const SYMMETRIC: u32 = 0u;
const PAIR: u32 = 0u;

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
@group(0) @binding(5) var<storage, read_write> c: array<f32>;

// #import shared/vec4.wgsl

alias Tile = array<array<vec4f, TN>, TM>;

// Where an invocation's rows of a and columns of b begin; rows of b beyond k are clamped, a's padding is zero there.
struct Place {
    row: array<u32, TM>,
    column: array<u32, TN>,
    batch: u32,
}

fn first_product(sum: ptr<function, Tile>, place: Place) {
    let k4 = (params.k + 3u) / 4u;
    let n4 = (params.n + 3u) / 4u;
    for (var k = 0u; k < k4; k++) {
        var x: array<vec4f, TM>;
        for (var i = 0u; i < TM; i++) {
            x[i] = a[place.row[i] * k4 + k];
        }
        var y: array<array<vec4f, TN>, 4>;
        for (var e = 0u; e < 4u; e++) {
            let row = (place.batch * params.k + min(k * 4u + e, params.k - 1u)) * n4;
            for (var j = 0u; j < TN; j++) {
                y[e][j] = b[row + place.column[j]];
            }
        }
        for (var i = 0u; i < TM; i++) {
            for (var j = 0u; j < TN; j++) {
                (*sum)[i][j] = multiply_add((*sum)[i][j], x[i], y[0][j], y[1][j], y[2][j], y[3][j]);
            }
        }
    }
}

fn second_product(sum: ptr<function, Tile>, place: Place) {
    let k4 = (params.k + 3u) / 4u;
    let n4 = (params.n + 3u) / 4u;
    for (var k = 0u; k < k4; k++) {
        var x: array<vec4f, TM>;
        for (var i = 0u; i < TM; i++) {
            x[i] = a2[place.row[i] * k4 + k];
        }
        var y: array<array<vec4f, TN>, 4>;
        for (var e = 0u; e < 4u; e++) {
            let row = (place.batch * params.k + min(k * 4u + e, params.k - 1u)) * n4;
            for (var j = 0u; j < TN; j++) {
                y[e][j] = b2[row + place.column[j]];
            }
        }
        for (var i = 0u; i < TM; i++) {
            for (var j = 0u; j < TN; j++) {
                (*sum)[i][j] = multiply_add((*sum)[i][j], x[i], y[0][j], y[1][j], y[2][j], y[3][j]);
            }
        }
    }
}

@compute @workgroup_size(LX, LY)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let n4 = (params.n + 3u) / 4u;
    let r0 = (group.y * LY + local.y) * TM;
    let c0 = group.x * LX * TN + local.x;
    let below = SYMMETRIC == 1u && (group.x + 1u) * LX * TN * 4u <= group.y * LY * TM;
    if below || r0 >= params.m || c0 >= n4 {
        return;
    }
    var place: Place;
    place.batch = group.z;
    for (var i = 0u; i < TM; i++) {
        place.row[i] = group.z * params.m + min(r0 + i, params.m - 1u);
    }
    for (var j = 0u; j < TN; j++) {
        place.column[j] = min(c0 + j * LX, n4 - 1u);
    }
    var sum: Tile;
    first_product(&sum, place);
    if PAIR == 1u {
        second_product(&sum, place);
    }
    for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < TN; j++) {
            let row = r0 + i;
            let vector = c0 + j * LX;
            if row >= params.m || vector >= n4 {
                continue;
            }
            let base = group.z * params.m * n4 * 4u;
            let value = params.alpha * sum[i][j];
            for (var e = 0u; e < 4u; e++) {
                let column = vector * 4u + e;
                let v = value[e] + select(0.0, params.diagonal, column == row);
                if column >= params.n {
                    if SYMMETRIC == 0u || column >= row {
                        c[base + row * n4 * 4u + column] = 0.0;
                    }
                } else if SYMMETRIC == 0u {
                    c[base + row * n4 * 4u + column] = v;
                } else if column >= row {
                    c[base + row * n4 * 4u + column] = v;
                    c[base + column * n4 * 4u + row] = v;
                }
            }
        }
    }
}
