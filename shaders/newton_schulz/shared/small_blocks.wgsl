// Products of small matrices by one workgroup each, in blocks of 4 x 4, each owned by one invocation; of a symmetric
// result only the blocks that reach the upper triangle are computed, and mirrored. Per four steps: 8 vector loads for
// 16 vector multiply-adds.
//
// The file that imports this has `params` with d, d4, batches and symmetric, LANES, PAIR, and
//   left_vector(second, at), right_vector(second, at)     a vector of a factor of the first or second product of a pair
//   store_vector(at, value)                               writes a vector of a result

// #import shared/divide.wgsl
// #import shared/vec4.wgsl

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

// Blocks of a result.
fn blocks() -> u32 {
    let n = params.d4;
    return select(n * n, n * (n + 1u) / 2u, params.symmetric == 1u);
}

// Column and row of block `index`. A triangle is folded into a rectangle of odd width: rows r and n - r share a line.
fn block_at(index: u32) -> vec2u {
    let n = params.d4;
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

// Writes a block, and its mirror image where the result is symmetric.
fn put(sum: ptr<function, mat4x4f>, result: Result, at: vec2u) {
    let row = at.y * 4u;
    var v: array<vec4f, 4>;
    for (var e = 0u; e < 4u; e++) {
        v[e] = finished((*sum)[e], row + e, at.x, result.alpha, result.diagonal);
    }
    for (var e = 0u; e < 4u; e++) {
        if row + e < params.d {
            store_vector(result.to + (row + e) * params.d4 + at.x, v[e]);
        }
    }
    for (var e = 0u; e < 4u; e++) {
        if params.symmetric == 1u && at.x > at.y && at.x * 4u + e < params.d {
            store_vector(result.to + (at.x * 4u + e) * params.d4 + at.y, vec4f(v[0][e], v[1][e], v[2][e], v[3][e]));
        }
    }
}

// Four steps from `step` of a product on: rows from `top` on of the left matrix, vector `column` of the right one.
fn add_steps(
    sum: ptr<function, mat4x4f>,
    second: bool,
    left: u32,
    right: u32,
    rows: ptr<function, array<u32, 4>>,
    column: u32,
    step: u32,
) {
    var y: array<vec4f, 4>;
    for (var e = 0u; e < 4u; e++) {
        // Rows beyond the last are clamped; the padding of the left matrix is zero there.
        y[e] = right_vector(second, right + min((step * 4u + e) * params.d4, (params.d - 1u) * params.d4) + column);
    }
    for (var i = 0u; i < 4u; i++) {
        let x = left_vector(second, left + step + (*rows)[i]);
        (*sum)[i] = multiply_add((*sum)[i], x, y[0], y[1], y[2], y[3]);
    }
}

fn multiply(factors: Factors, result: Result, lane: u32) {
    let count = blocks();
    for (var index = lane; index < count; index += LANES) {
        let at = block_at(index);
        var rows: array<u32, 4>;
        for (var i = 0u; i < 4u; i++) {
            rows[i] = min(at.y * 4u + i, params.d - 1u) * params.d4;
        }
        var sum: mat4x4f;
        for (var step = 0u; step < params.d4; step++) {
            add_steps(&sum, false, factors.left, factors.right, &rows, at.x, step);
            if PAIR == 1u {
                add_steps(&sum, true, factors.left2, factors.right2, &rows, at.x, step);
            }
        }
        put(&sum, result, at);
    }
}

// A lane's place counted from the other end, so that of two products without a barrier between them each finds lanes of
// its own.
fn other_end(lane: u32) -> u32 {
    return LANES - 1u - lane;
}
