// Tiles of small_blocks.wgsl, of matrices of at most nine blocks of 4 on an edge, by a subgroup of 8 lanes. Of step k, lane l
// loads block l of the left column of blocks and of the right row of blocks, and lanes take from each other what their tiles
// need: 8 vector loads for all tiles of a pass. The ninth blocks are one load more: lanes 0 to 3 have the left vectors, lanes
// 4 to 7 the right ones.

// Vectors of step k that this lane holds.
struct Held {
    left: array<vec4f, 4>,
    right: array<vec4f, 4>,
    ninth_left: array<vec4f, 4>,
    ninth_right: array<vec4f, 4>,
}

fn hold(second: bool, left: u32, right: u32, k: u32, lane: u32) -> Held {
    var held: Held;
    // Rows and columns beyond the last are clamped; the padding of the left matrix is zero there.
    let last = params.d - 1u;
    let own = min(lane, params.d4 - 1u);
    for (var e = 0u; e < 4u; e++) {
        held.left[e] = left_vector(second, left + min(own * 4u + e, last) * params.d4 + k);
        held.right[e] = right_vector(second, right + min(k * 4u + e, last) * params.d4 + own);
    }
    if params.d4 > 8u {
        var v: vec4f;
        if lane < 4u {
            v = left_vector(second, left + min(32u + lane, last) * params.d4 + k);
        } else {
            v = right_vector(second, right + min(k * 4u + lane - 4u, last) * params.d4 + 8u);
        }
        for (var e = 0u; e < 4u; e++) {
            held.ninth_left[e] = subgroupShuffle(v, e);
            held.ninth_right[e] = subgroupShuffle(v, e + 4u);
        }
    }
    return held;
}

alias Tiles = array<Tile, ROUNDS>;
alias Places = array<vec2u, ROUNDS>;

fn add_product(sum: ptr<function, Tiles>, second: bool, left: u32, right: u32, places: Places, lane: u32) {
    var at = places;
    for (var k = 0u; k < params.d4; k++) {
        var held = hold(second, left, right, k, lane);
        for (var r = 0u; r < ROUNDS; r++) {
            var y: array<array<vec4f, BLOCKS>, 4>;
            for (var j = 0u; j < BLOCKS; j++) {
                let block = at[r].x * BLOCKS + j;
                for (var e = 0u; e < 4u; e++) {
                    y[e][j] = select(subgroupShuffle(held.right[e], block % 8u), held.ninth_right[e], block == 8u);
                }
            }
            for (var i = 0u; i < EDGE; i++) {
                let block = at[r].y * BLOCKS + i / 4u;
                let e = i % 4u;
                let x = select(subgroupShuffle(held.left[e], block % 8u), held.ninth_left[e], block == 8u);
                for (var j = 0u; j < BLOCKS; j++) {
                    (*sum)[r][i][j] = multiply_add((*sum)[r][i][j], x, y[0][j], y[1][j], y[2][j], y[3][j]);
                }
            }
        }
    }
}

fn multiply(factors: Factors, result: Result, lane: u32) {
    let count = tiles();
    // The same for all lanes, as shuffles need; tiles beyond the last are computed and dropped.
    for (var first = 0u; first < count; first += LANES * ROUNDS) {
        var at: Places;
        for (var r = 0u; r < ROUNDS; r++) {
            at[r] = tile_at(min(first + r * LANES + lane, count - 1u));
        }
        var sum: Tiles;
        add_product(&sum, false, factors.left, factors.right, at, lane);
        if PAIR == 1u {
            add_product(&sum, true, factors.left2, factors.right2, at, lane);
        }
        for (var r = 0u; r < ROUNDS; r++) {
            if first + r * LANES + lane < count {
                var tile = sum[r];
                put(&tile, result, at[r]);
            }
        }
    }
}

// All lanes work on each product, one product after the other.
fn other_end(lane: u32) -> u32 {
    return lane;
}
