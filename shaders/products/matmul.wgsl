// Batched matrix product with epilogue: c = alpha (a b [+ a2 b2]) + beta added + diagonal I, per batch, with ReLU where
// wanted; added is (m, n) where c is symmetric, else a row for each batch; a (m, k), b (k, n), c (m, n), rows in
// vectors of four with zero padding.
//
// Tiles staged in workgroup memory. SYMMETRIC = 1 (c known to be symmetric): only tiles that reach the upper triangle
// are computed and their upper elements are written twice. PAIR = 1 adds the second product, which follows the first
// along k. B_TRANSPOSED = 1: b is given by its columns, (n, k).
//
// Where a product has too few tiles to fill a GPU, `parts` workgroups share the k of each. Then c is their partial
// sums, (m, n) for each part of each batch with m rounded up to whole blocks, and `sum_parts.wgsl` does the rest.
const TM: u32 = 8u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 8u;
const SYMMETRIC: u32 = 0u;
const PAIR: u32 = 0u;
const B_TRANSPOSED: u32 = 0u;
const ROWS4: u32 = TM / 4u;

// #import products/shared/matmul_io.wgsl
// #import shared/staged_body.wgsl
// #import shared/staged_transposed.wgsl
// #import shared/staged_right.wgsl

// Steps of one product, a multiple of DEPTH so that no stage holds parts of both.
fn steps() -> u32 {
    return (params.k + DEPTH - 1u) / DEPTH * DEPTH;
}

fn stages() -> u32 {
    return params.stages;
}

fn place_of(group: vec3u, groups: vec3u) -> Place {
    let row = group.y * ROWS * 4u;
    let column = group.x * COLUMNS;
    // A symmetric result needs no tile that lies below the diagonal.
    let below = SYMMETRIC == 1u && (column + COLUMNS) * 4u <= row;
    let first = group.z % params.parts * params.stages * DEPTH;
    return Place(row, column, group.z, first, select(steps() * (PAIR + 1u), 0u, below));
}

// `layer` numbers the parts of all batches.
fn batch_of(place: Place) -> u32 {
    return place.layer / params.parts;
}

// Step k of both products as one of the product that it belongs to.
fn own_step(k: u32) -> u32 {
    return select(k, k - steps(), PAIR == 1u && k >= steps());
}

// Where rows of a begin, among those of all batches.
struct Left {
    at: array<u32, LEFT>,
    k4: u32,
}

fn start_left(place: Place, lane: u32) -> Left {
    var rows: Left;
    for (var n = 0u; n < LEFT; n++) {
        let row = min(place.row + row_in_tile(lane, n), params.m - 1u);
        rows.at[n] = (batch_of_a(batch_of(place)) * params.m + row) * ((params.k + 3u) / 4u);
    }
    rows.k4 = lane % STEPS4;
    return rows;
}

fn load_left(place: Place, rows: ptr<function, Left>, k: u32) -> HeldLeft {
    let size4 = (params.k + 3u) / 4u;
    let at = min(own_step(k) / 4u + (*rows).k4, size4 - 1u);
    var held: HeldLeft;
    if PAIR == 1u && k >= steps() {
        for (var n = 0u; n < LEFT; n++) {
            held[n] = a2[(*rows).at[n] + at];
        }
    } else {
        for (var n = 0u; n < LEFT; n++) {
            held[n] = a[(*rows).at[n] + at];
        }
    }
    return held;
}

// Where an invocation's column begins, or its four where b is given by those.
struct Right {
    at: array<u32, 4>,
    step: u32,
}

fn start_right(place: Place, lane: u32) -> Right {
    let n4 = (params.n + 3u) / 4u;
    var columns: Right;
    columns.step = right_step(lane);
    let column = place.column + right_column(lane);
    columns.at[0] = batch_of(place) * params.k * n4 + min(column, n4 - 1u);
    if B_TRANSPOSED == 1u {
        for (var n = 0u; n < 4u; n++) {
            columns.at[n] = (batch_of(place) * params.n + min(column * 4u + n, params.n - 1u)) * ((params.k + 3u) / 4u);
        }
    }
    return columns;
}

fn load_right(place: Place, columns: ptr<function, Right>, k: u32) -> HeldRight {
    let n4 = (params.n + 3u) / 4u;
    let step = own_step(k) + (*columns).step;
    let last = (*columns).at[0] + (params.k - 1u) * n4;
    let first = (*columns).at[0] + step * n4;
    var held: HeldRight;
    if B_TRANSPOSED == 1u {
        // No pair is transposed.
        let size4 = (params.k + 3u) / 4u;
        let at = min(step / 4u, size4 - 1u);
        for (var n = 0u; n < 4u; n++) {
            held[n] = select(vec4f(0.0), b[(*columns).at[n] + at], step / 4u < size4);
        }
    } else if PAIR == 1u && k >= steps() {
        for (var n = 0u; n < 4u; n++) {
            if n < RIGHT {
                held[n] = select(vec4f(0.0), b2[min(first + n * n4, last)], step + n < params.k);
            }
        }
    } else {
        for (var n = 0u; n < 4u; n++) {
            if n < RIGHT {
                held[n] = select(vec4f(0.0), b[min(first + n * n4, last)], step + n < params.k);
            }
        }
    }
    return held;
}

fn finish(place: Place, block: u32, column: u32, values: mat4x4f) {
    if params.parts == 1u {
        store_block(block, column, place.layer, scaled(values, added_row(column, place.layer)));
    } else {
        store_part(block, column, place.layer, values);
    }
}
