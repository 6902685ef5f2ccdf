// #import products/shared/gram_io.wgsl
// #import software/shared/triangle.wgsl
// #import shared/vec4.wgsl

alias Tile = array<array<array<vec4f, TN>, 4>, TM>;

// The columns of a that this lane loads and those of b that it owns, in vectors.
struct Place {
    left: array<u32, OWN>,
    right: array<u32, TN>,
    lane_row: u32,
}

fn place_at(i0: u32, j0: u32, local: vec2u) -> Place {
    var place: Place;
    for (var i = 0u; i < OWN; i++) {
        place.left[i] = min(i0 + owned_row(i, local.x), params.da4 - 1u);
    }
    for (var j = 0u; j < TN; j++) {
        place.right[j] = min(j0 + j * LX, params.db4 - 1u);
    }
    place.lane_row = local.y;
    return place;
}

// Adds the products of rows first .. last - 1, four rows at a time, so that each partial sum is fetched once for four
// multiply-adds; rows beyond the last count as zero.
fn add_rows(sum: ptr<function, Tile>, place: Place, first: u32, last: u32) {
    for (var r = first; r < last; r += 4u) {
        var x: array<array<vec4f, OWN>, 4>;
        var y: array<array<vec4f, TN>, 4>;
        for (var q = 0u; q < 4u; q++) {
            let row = min(r + q, last - 1u);
            for (var i = 0u; i < OWN; i++) {
                x[q][i] = select(vec4f(0.0), a[row * params.da4 + place.left[i]], r + q < last);
            }
            for (var j = 0u; j < TN; j++) {
                y[q][j] = b[row * params.db4 + place.right[j]];
            }
        }
        for (var i = 0u; i < TM; i++) {
            let v0 = row_vector(x[0][i % OWN], i, place.lane_row);
            let v1 = row_vector(x[1][i % OWN], i, place.lane_row);
            let v2 = row_vector(x[2][i % OWN], i, place.lane_row);
            let v3 = row_vector(x[3][i % OWN], i, place.lane_row);
            for (var j = 0u; j < TN; j++) {
                let y0 = y[0][j];
                let y1 = y[1][j];
                let y2 = y[2][j];
                let y3 = y[3][j];
                (*sum)[i][0][j] = multiply_add((*sum)[i][0][j], vec4f(v0.x, v1.x, v2.x, v3.x), y0, y1, y2, y3);
                (*sum)[i][1][j] = multiply_add((*sum)[i][1][j], vec4f(v0.y, v1.y, v2.y, v3.y), y0, y1, y2, y3);
                (*sum)[i][2][j] = multiply_add((*sum)[i][2][j], vec4f(v0.z, v1.z, v2.z, v3.z), y0, y1, y2, y3);
                (*sum)[i][3][j] = multiply_add((*sum)[i][3][j], vec4f(v0.w, v1.w, v2.w, v3.w), y0, y1, y2, y3);
            }
        }
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
    let i0 = (tile_row * LY + local.y) * TM;
    let j0 = group.x * LX * TN + local.x;
    let below = (SYMMETRIC == 1u) & ((group.x + 1u) * LX * TN <= tile_row * LY * TM);
    if below {
        return;
    }
    let batch = group.z / params.splits;
    let split = group.z % params.splits;
    let first = split * params.rows_per_split;
    let last = min(first + params.rows_per_split, params.rows);
    var sum: Tile;
    add_rows(&sum, place_at(i0, j0, local), batch * params.rows + first, batch * params.rows + last);
    for (var i = 0u; i < TM; i++) {
        for (var e = 0u; e < 4u; e++) {
            for (var j = 0u; j < TN; j++) {
                if (i0 + i < params.da4) & (j0 + j * LX < params.db4) {
                    let row = (group.z * params.da4 + i0 + i) * 4u + e;
                    partial[row * params.db4 + j0 + j * LX] = sum[i][e][j];
                }
            }
        }
    }
}
