// #import products/shared/matmul_io.wgsl
// #import products/shared/triangle.wgsl
// #import products/shared/matmul_tile.wgsl

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
        if TURNED == 1u {
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

@compute @workgroup_size(LX * LY)
fn main(
    @builtin(workgroup_id) id: vec3u,
    @builtin(num_workgroups) ids: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = select(id, id.yxz, params.by_columns == 1u);
    let groups = select(ids, ids.yxz, params.by_columns == 1u);
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
    place.batch = group.z;
    place.lane_row = local.y;
    for (var i = 0u; i < OWN; i++) {
        place.row[i] = batch_of_a(group.z) * params.m + min(r0 + owned_row(i, local.x), params.m - 1u);
    }
    for (var j = 0u; j < TN; j++) {
        place.column[j] = min(c0 + j * LX, n4 - 1u);
    }
    var sum: Tile;
    first_product(&sum, place, 0u, (params.k + 3u) / 4u);
    if PAIR == 1u {
        second_product(&sum, place);
    }
    for (var j = 0u; j < TN; j++) {
        let row = added_row(c0 + j * LX, group.z);
        for (var i = 0u; i < BLOCKS; i++) {
            let block = mat4x4f(sum[i * 4u][j], sum[i * 4u + 1u][j], sum[i * 4u + 2u][j], sum[i * 4u + 3u][j]);
            store_block(r0 / 4u + i, c0 + j * LX, group.z, scaled(block, row));
        }
    }
}
