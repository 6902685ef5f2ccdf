// #import products/shared/matmul_io.wgsl
// #import software/shared/triangle.wgsl

alias Tile = array<array<vec4f, TN>, TM>;

// Rows of a that this lane loads and its columns of b; rows of b beyond k are clamped, a's padding is zero there.
struct Place {
    row: array<u32, OWN>,
    column: array<u32, TN>,
    // Which part of which batch, and the batch.
    layer: u32,
    batch: u32,
    lane_row: u32,
}

// Rows 4 k .. 4 k + 3 of b in this lane's columns.
alias Block = array<array<vec4f, TN>, 4>;

// Where vector e of such a block is, of the four columns `column`: a row, or a column where b is given by those.
fn index_of_b(place: Place, k: u32, e: u32, column: u32) -> u32 {
    if B_TRANSPOSED == 1u {
        return (place.batch * params.n + min(column * 4u + e, params.n - 1u)) * ((params.k + 3u) / 4u) + k;
    }
    return (place.batch * params.k + min(k * 4u + e, params.k - 1u)) * ((params.n + 3u) / 4u) + column;
}

fn turn(y: ptr<function, Block>) {
    for (var j = 0u; j < TN; j++) {
        let transposed = transpose(mat4x4f((*y)[0][j], (*y)[1][j], (*y)[2][j], (*y)[3][j]));
        (*y)[0][j] = transposed[0];
        (*y)[1][j] = transposed[1];
        (*y)[2][j] = transposed[2];
        (*y)[3][j] = transposed[3];
    }
}

// Adds the products over vectors first .. last - 1 of a's rows.
fn first_product(sum: ptr<function, Tile>, place: Place, first: u32, last: u32) {
    let k4 = (params.k + 3u) / 4u;
    for (var k = first; k < last; k++) {
        var x: array<vec4f, OWN>;
        for (var i = 0u; i < OWN; i++) {
            x[i] = a[place.row[i] * k4 + k];
        }
        var y: Block;
        for (var e = 0u; e < 4u; e++) {
            for (var j = 0u; j < TN; j++) {
                y[e][j] = b[index_of_b(place, k, e, place.column[j])];
            }
        }
        if B_TRANSPOSED == 1u {
            turn(&y);
        }
        for (var i = 0u; i < TM; i++) {
            let v = row_vector(x[i % OWN], i, place.lane_row);
            for (var j = 0u; j < TN; j++) {
                (*sum)[i][j] = multiply_add((*sum)[i][j], v, y[0][j], y[1][j], y[2][j], y[3][j]);
            }
        }
    }
}

const BLOCKS: u32 = TM / 4u;

fn second_product(sum: ptr<function, Tile>, place: Place) {
    let k4 = (params.k + 3u) / 4u;
    for (var k = 0u; k < k4; k++) {
        var x: array<vec4f, OWN>;
        for (var i = 0u; i < OWN; i++) {
            x[i] = a2[place.row[i] * k4 + k];
        }
        var y: Block;
        for (var e = 0u; e < 4u; e++) {
            for (var j = 0u; j < TN; j++) {
                y[e][j] = b2[index_of_b(place, k, e, place.column[j])];
            }
        }
        if B_TRANSPOSED == 1u {
            turn(&y);
        }
        for (var i = 0u; i < TM; i++) {
            let v = row_vector(x[i % OWN], i, place.lane_row);
            for (var j = 0u; j < TN; j++) {
                (*sum)[i][j] = multiply_add((*sum)[i][j], v, y[0][j], y[1][j], y[2][j], y[3][j]);
            }
        }
    }
}

// The sums of four rows and four columns.
fn finish(place: Place, block: u32, column: u32, values: mat4x4f, row: vec4f) {
    if params.parts == 1u {
        store_block(block, column, place.batch, scaled(values, row));
    } else {
        store_part(block, column, place.layer, values);
    }
}

@compute @workgroup_size(LX * LY)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    // One dimension, because some drivers fill their vectors along x alone.
    let local = vec2u(lane % LX, lane / LX);
    let tile_row = select(group.y, row_of_tiles(group.y, groups.y), SYMMETRIC == 1u);
    let n4 = (params.n + 3u) / 4u;
    let r0 = (tile_row * LY + local.y) * TM;
    let c0 = group.x * LX * TN + local.x;
    let below = (SYMMETRIC == 1u) & ((group.x + 1u) * LX * TN * 4u <= tile_row * LY * TM);
    if below {
        return;
    }
    var place: Place;
    place.layer = group.z;
    place.batch = group.z / params.parts;
    place.lane_row = local.y;
    for (var i = 0u; i < OWN; i++) {
        place.row[i] = batch_of_a(place.batch) * params.m + min(r0 + owned_row(i, local.x), params.m - 1u);
    }
    for (var j = 0u; j < TN; j++) {
        place.column[j] = min(c0 + j * LX, n4 - 1u);
    }
    var sum: Tile;
    // A stage is 16 steps; a pair is never in parts.
    let first = group.z % params.parts * params.stages * 4u;
    first_product(&sum, place, first, min(first + params.stages * 4u, (params.k + 3u) / 4u));
    if PAIR == 1u {
        second_product(&sum, place);
    }
    for (var j = 0u; j < TN; j++) {
        let row = added_row(c0 + j * LX, place.batch);
        for (var i = 0u; i < BLOCKS; i++) {
            let block = mat4x4f(sum[i * 4u][j], sum[i * 4u + 1u][j], sum[i * 4u + 2u][j], sum[i * 4u + 3u][j]);
            finish(place, r0 / 4u + i, c0 + j * LX, block, row);
        }
    }
}
