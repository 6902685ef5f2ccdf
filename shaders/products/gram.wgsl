// Partial sums of c = a^T b per batch: partial[batch][split][i][j / 4] = sum over the rows r of the split of a[r, i]
// b[r, j]; a (rows, da), b (rows, db), rows in vectors of four.
//
// Tiles staged in workgroup memory; k runs over the rows of a split. Splitting the rows is faster (more invocations)
// and more accurate (shorter sums). SYMMETRIC = 1 (a = b): only tiles that reach the upper triangle are computed.
const TM: u32 = 2u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 8u;
const SYMMETRIC: u32 = 0u;
const ROWS4: u32 = TM;
const B_TRANSPOSED: u32 = 0u;

// #import products/shared/gram_io.wgsl
// #import shared/staged_body.wgsl
// #import shared/staged_direct.wgsl
// #import shared/staged_right.wgsl

fn stages() -> u32 {
    return (params.rows_per_split + DEPTH - 1u) / DEPTH;
}

// `layer` numbers the splits of all batches.
fn place_of(group: vec3u, groups: vec3u) -> Place {
    let row = group.y * ROWS * 4u;
    let column = group.x * COLUMNS;
    let first = (group.z % params.splits) * params.rows_per_split;
    let last = min(first + params.rows_per_split, params.rows);
    // A symmetric result needs no tile that lies below the diagonal.
    let below = SYMMETRIC == 1u && (column + COLUMNS) * 4u <= row;
    return Place(row, column, group.z, first, select(last, first, below));
}

// First row of the batch of a place.
fn base_of(place: Place) -> u32 {
    return place.layer / params.splits * params.rows;
}

// Where an invocation's vectors of a begin, or of b, and the last there is; and the first of its steps in a stage.
struct Left {
    at: u32,
    last: u32,
    step: u32,
}

struct Right {
    at: u32,
    last: u32,
}

fn start_left(place: Place, lane: u32) -> Left {
    let base = base_of(place) * params.da4 + min(place.row / 4u + lane % ROWS, params.da4 - 1u);
    let step = lane / ROWS;
    return Left(base + (place.first + step) * params.da4, base + (params.rows - 1u) * params.da4, step);
}

fn load_left(place: Place, rows: ptr<function, Left>, k: u32) -> HeldLeft {
    var held: HeldLeft;
    for (var n = 0u; n < LEFT; n++) {
        let found = a[min((*rows).at + n * LEFT_STEP * params.da4, (*rows).last)];
        held[n] = select(vec4f(0.0), found, k + n * LEFT_STEP + (*rows).step < place.last);
    }
    (*rows).at += DEPTH * params.da4;
    return held;
}

fn start_right(place: Place, lane: u32) -> Right {
    let base = base_of(place) * params.db4 + min(place.column + right_column(lane), params.db4 - 1u);
    return Right(base + (place.first + right_step(lane)) * params.db4, base + (params.rows - 1u) * params.db4);
}

fn load_right(place: Place, columns: ptr<function, Right>, k: u32) -> HeldRight {
    var held: HeldRight;
    for (var n = 0u; n < 4u; n++) {
        if n < RIGHT {
            held[n] = b[min((*columns).at + n * params.db4, (*columns).last)];
        }
    }
    (*columns).at += DEPTH * params.db4;
    return held;
}

fn finish(place: Place, block: u32, column: u32, values: mat4x4f) {
    if block < params.da4 && column < params.db4 {
        for (var e = 0u; e < 4u; e++) {
            partial[((place.layer * params.da4 + block) * 4u + e) * params.db4 + column] = values[e];
        }
    }
}
