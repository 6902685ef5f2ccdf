// Staging of rows whose elements lie along k in vectors: blocks of 4 rows x 4 steps are transposed on the way. An
// invocation has block `lane` of a stage and every LANES-th after it, all of the same steps.
const BLOCKS: u32 = LEFT / 4u;
const STEPS4: u32 = DEPTH / 4u;
// One more than there are, so that the four blocks of a row do not meet in one bank.
const LEFT_STRIDE: u32 = ROWS + 1u;

// The row of the tile from which vector `n` comes.
fn row_in_tile(lane: u32, n: u32) -> u32 {
    return (lane / STEPS4 + n / 4u * (LANES / STEPS4)) * 4u + n % 4u;
}

fn put_left(lane: u32, held: ptr<function, HeldLeft>) {
    for (var b = 0u; b < BLOCKS; b++) {
        let v = transpose(mat4x4f((*held)[b * 4u], (*held)[b * 4u + 1u], (*held)[b * 4u + 2u], (*held)[b * 4u + 3u]));
        let to = lane % STEPS4 * 4u * LEFT_STRIDE + lane / STEPS4 + b * (LANES / STEPS4);
        left[to] = v[0];
        left[to + LEFT_STRIDE] = v[1];
        left[to + 2u * LEFT_STRIDE] = v[2];
        left[to + 3u * LEFT_STRIDE] = v[3];
    }
}
