// gram.wgsl for real GPUs: tiles staged in workgroup memory; k runs over the rows of a split.
const TM: u32 = 2u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 8u;
const SYMMETRIC: u32 = 0u;
const ROWS4: u32 = TM;

// #import products/shared/gram_io.wgsl
// #import shared/staged_body.wgsl
// #import shared/staged_direct.wgsl

// `layer` numbers the splits of all batches.
fn place_of(group: vec3u, groups: vec3u) -> Place {
    let row = group.y * ROWS * 4u;
    let column = group.x * COLUMNS;
    let first = (group.z % params.splits) * params.rows_per_split;
    let last = min(first + params.rows_per_split, params.rows);
    // A symmetric result needs no tile that lies below the diagonal.
    let below = SYMMETRIC == 1u && (column + COLUMNS) * 4u <= row;
    return Place(select(row, params.da4 * 4u, below), column, group.z, first, select(last, first, below));
}

// First row of the batch of a place.
fn base_of(place: Place) -> u32 {
    return place.layer / params.splits * params.rows;
}

fn left_vector(place: Place, row4: u32, k: u32) -> vec4f {
    if k >= place.last || row4 >= params.da4 {
        return vec4f(0.0);
    }
    return a[(base_of(place) + k) * params.da4 + row4];
}

fn right_vector(place: Place, k: u32, column: u32) -> vec4f {
    if k >= place.last || column >= params.db4 {
        return vec4f(0.0);
    }
    return b[(base_of(place) + k) * params.db4 + column];
}

fn finish(place: Place, block: u32, column: u32, values: mat4x4f) {
    if block < params.da4 && column < params.db4 {
        for (var e = 0u; e < 4u; e++) {
            partial[((place.layer * params.da4 + block) * 4u + e) * params.db4 + column] = values[e];
        }
    }
}
