// Products of small matrices by one workgroup each. A tile is BLOCKS x BLOCKS blocks of 4 x 4, owned by one invocation; of a
// symmetric result only the tiles that reach the upper triangle are computed, and mirrored block by block.
//
// The file that imports this has `params` with d, d4, batches and symmetric, LANES, PAIR, and
//   left_vector(second, at), right_vector(second, at)     a vector of a factor of the first or second product of a pair
//   store_vector(at, value)                               writes a vector of a result
// and one of small_product_*.wgsl, which has multiply(factors, result, lane) and other_end(lane).

// #import shared/divide.wgsl
// #import shared/vec4.wgsl

const EDGE: u32 = 4u * BLOCKS;

alias Tile = array<array<vec4f, BLOCKS>, EDGE>;

// First vectors of the matrices of a product, or of a pair, left right + left2 right2.
struct Factors {
    left: u32,
    right: u32,
    left2: u32,
    right2: u32,
}

// First vector of the result: alpha times the product plus diagonal I.
struct Result {
    to: u32,
    alpha: f32,
    diagonal: f32,
}

// First vector of matrix `index` of a stack for this workgroup's block.
fn matrix_at(index: u32, block: u32) -> u32 {
    return (index * params.batches + block) * params.d * params.d4;
}

// Tiles along an edge.
fn tiles_across() -> u32 {
    return (params.d4 + BLOCKS - 1u) / BLOCKS;
}

// Tiles of a result.
fn tiles() -> u32 {
    let n = tiles_across();
    return select(n * n, n * (n + 1u) / 2u, params.symmetric == 1u);
}

// Column and row of tile `index`. A triangle is folded into a rectangle of odd width: rows r and n - r share a line.
fn tile_at(index: u32) -> vec2u {
    let n = tiles_across();
    let even = 1u - n % 2u;
    let width = select(n, n + even, params.symmetric == 1u);
    let row = quotient(index, width);
    let column = index - row * width;
    if params.symmetric == 0u {
        return vec2u(column, row);
    }
    if column >= row + even {
        return vec2u(column - even, row);
    }
    return vec2u(n - 1u - column, n - even - row);
}

// Row `row` of a block in vector `column`: alpha times the sum plus the diagonal, zeros where there is no element.
fn finished(sum: vec4f, row: u32, column: u32, alpha: f32, diagonal: f32) -> vec4f {
    let columns = vec4u(column * 4u) + vec4u(0u, 1u, 2u, 3u);
    let value = alpha * sum + select(vec4f(0.0), vec4f(diagonal), columns == vec4u(row));
    return select(vec4f(0.0), value, (columns < vec4u(params.d)) & vec4<bool>(row < params.d));
}

// Writes a tile, and its mirror image where the result is symmetric.
fn put(sum: ptr<function, Tile>, result: Result, at: vec2u) {
    for (var i = 0u; i < BLOCKS; i++) {
        for (var j = 0u; j < BLOCKS; j++) {
            let row = (at.y * BLOCKS + i) * 4u;
            let column = at.x * BLOCKS + j;
            var v: array<vec4f, 4>;
            for (var e = 0u; e < 4u; e++) {
                v[e] = finished((*sum)[i * 4u + e][j], row + e, column, result.alpha, result.diagonal);
            }
            let above = params.symmetric == 0u || column * 4u >= row;
            for (var e = 0u; e < 4u; e++) {
                if above && row + e < params.d && column < params.d4 {
                    store_vector(result.to + (row + e) * params.d4 + column, v[e]);
                }
            }
            for (var e = 0u; e < 4u; e++) {
                if params.symmetric == 1u && column * 4u > row && column * 4u + e < params.d {
                    store_vector(result.to + (column * 4u + e) * params.d4 + row / 4u, vec4f(v[0][e], v[1][e], v[2][e], v[3][e]));
                }
            }
        }
    }
}
