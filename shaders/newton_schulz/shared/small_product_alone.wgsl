// Tiles of small_blocks.wgsl by lanes that share nothing: 8 BLOCKS vector loads for 4 BLOCKS^2 multiply-adds of 4 x 4.

fn add_product(sum: ptr<function, Tile>, second: bool, left: u32, right: u32, at: vec2u) {
    var rows: array<u32, EDGE>;
    for (var i = 0u; i < EDGE; i++) {
        rows[i] = left + min(at.y * EDGE + i, params.d - 1u) * params.d4;
    }
    var columns: array<u32, BLOCKS>;
    for (var j = 0u; j < BLOCKS; j++) {
        columns[j] = right + min(at.x * BLOCKS + j, params.d4 - 1u);
    }
    for (var k = 0u; k < params.d4; k++) {
        var y: array<array<vec4f, BLOCKS>, 4>;
        for (var e = 0u; e < 4u; e++) {
            // Rows beyond the last are clamped; the padding of the left matrix is zero there.
            let row = min(k * 4u + e, params.d - 1u) * params.d4;
            for (var j = 0u; j < BLOCKS; j++) {
                y[e][j] = right_vector(second, row + columns[j]);
            }
        }
        for (var i = 0u; i < EDGE; i++) {
            let x = left_vector(second, rows[i] + k);
            for (var j = 0u; j < BLOCKS; j++) {
                (*sum)[i][j] = multiply_add((*sum)[i][j], x, y[0][j], y[1][j], y[2][j], y[3][j]);
            }
        }
    }
}

fn multiply(factors: Factors, result: Result, lane: u32) {
    let count = tiles();
    for (var index = lane; index < count; index += LANES) {
        let at = tile_at(index);
        var sum: Tile;
        add_product(&sum, false, factors.left, factors.right, at);
        if PAIR == 1u {
            add_product(&sum, true, factors.left2, factors.right2, at);
        }
        put(&sum, result, at);
    }
}

// A lane's place counted from the other end, so that of two products without a barrier between them each finds lanes of its own.
fn other_end(lane: u32) -> u32 {
    return LANES - 1u - lane;
}
