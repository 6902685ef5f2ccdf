// Staging of rows that lie in vectors of rows for each k already: an invocation has one vector of rows at every
// LEFT_STEP-th k.
const LEFT_STRIDE: u32 = ROWS;
const LEFT_STEP: u32 = LANES / ROWS;

fn put_left(lane: u32, held: ptr<function, HeldLeft>) {
    for (var n = 0u; n < LEFT; n++) {
        left[lane + n * LANES] = (*held)[n];
    }
}
