// Staging of columns. They lie in vectors of columns for each k: an invocation has one of those at RIGHT steps that
// follow each other. Or, where the importing file's B_TRANSPOSED is 1, in vectors along k: an invocation has a block of
// 4 steps x 4 columns, transposed on the way.
const RIGHT: u32 = (DEPTH * COLUMNS + LANES - 1u) / LANES;
// Invocations that have a part; where a stage is small the others load what they do not stage.
const STAGING: u32 = select(DEPTH * COLUMNS / RIGHT, DEPTH * COLUMNS / 4u, B_TRANSPOSED == 1u);

// Vector of columns of an invocation, from the tile's first on.
fn right_column(lane: u32) -> u32 {
    return select(lane % COLUMNS, lane / (DEPTH / 4u), B_TRANSPOSED == 1u);
}

// Its first step of a stage.
fn right_step(lane: u32) -> u32 {
    return select(lane / COLUMNS * RIGHT, lane % (DEPTH / 4u) * 4u, B_TRANSPOSED == 1u);
}

fn put_right(lane: u32, held: ptr<function, HeldRight>) {
    if STAGING < LANES && lane >= STAGING {
        return;
    }
    let to = right_step(lane) * COLUMNS + right_column(lane);
    if B_TRANSPOSED == 1u {
        let v = transpose(mat4x4f((*held)[0], (*held)[1], (*held)[2], (*held)[3]));
        right[to] = v[0];
        right[to + COLUMNS] = v[1];
        right[to + 2u * COLUMNS] = v[2];
        right[to + 3u * COLUMNS] = v[3];
        return;
    }
    for (var n = 0u; n < 4u; n++) {
        if n < RIGHT {
            right[to + n * COLUMNS] = (*held)[n];
        }
    }
}
