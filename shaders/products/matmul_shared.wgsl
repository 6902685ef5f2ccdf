// matmul.wgsl for real GPUs: tiles staged in workgroup memory. The second product of a pair follows the first along k.
const TM: u32 = 8u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 8u;
const SYMMETRIC: u32 = 0u;
const PAIR: u32 = 0u;
const TURNED: u32 = 0u;
const ROWS4: u32 = TM / 4u;

// #import products/shared/matmul_io.wgsl
// #import shared/staged_body.wgsl
// #import shared/staged_transposed.wgsl

// Steps of one product, a multiple of DEPTH so that no stage holds parts of both.
fn steps() -> u32 {
    return (params.k + DEPTH - 1u) / DEPTH * DEPTH;
}

fn place_of(group: vec3u, groups: vec3u) -> Place {
    let row = group.y * ROWS * 4u;
    let column = group.x * COLUMNS;
    // A symmetric result needs no tile that lies below the diagonal.
    let below = SYMMETRIC == 1u && (column + COLUMNS) * 4u <= row;
    let last = select(steps() * (PAIR + 1u), 0u, below);
    return Place(select(row, (params.m + 3u) / 4u * 4u, below), column, group.z, 0u, last);
}

// Number of a row of a among all batches, or of none.
fn row_of(place: Place, row: u32) -> u32 {
    return select(0xffffffffu, batch_of_a(place.layer) * params.m + row, row < params.m);
}

fn left_vector(place: Place, row: u32, k4: u32) -> vec4f {
    let size4 = (params.k + 3u) / 4u;
    let second = k4 * 4u >= steps();
    let at = select(k4, k4 - steps() / 4u, second);
    if row == 0xffffffffu || at >= size4 {
        return vec4f(0.0);
    }
    if PAIR == 1u && second {
        return a2[row * size4 + at];
    }
    return a[row * size4 + at];
}

fn right_vector(place: Place, k: u32, column: u32) -> vec4f {
    let n4 = (params.n + 3u) / 4u;
    let second = k >= steps();
    let at = select(k, k - steps(), second);
    if at >= params.k || column >= n4 {
        return vec4f(0.0);
    }
    if TURNED == 1u {
        let k4 = (params.k + 3u) / 4u;
        var v: vec4f;
        for (var e = 0u; e < 4u; e++) {
            v[e] = b[(place.layer * params.n + min(column * 4u + e, params.n - 1u)) * k4 + at / 4u][at % 4u];
        }
        return v;
    }
    let source = (place.layer * params.k + at) * n4 + column;
    if PAIR == 1u && second {
        return b2[source];
    }
    return b[source];
}

fn finish(place: Place, block: u32, column: u32, values: mat4x4f) {
    store_block(block, column, place.layer, scaled(values, added_row(column, place.layer)));
}
