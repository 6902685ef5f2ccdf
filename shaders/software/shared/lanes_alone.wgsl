// Rows of a tile when every lane loads all of them.
const OWN: u32 = TM;

fn owned_row(i: u32, lane: u32) -> u32 {
    return i;
}

// Row i of the tile, given the vector that this lane holds for it.
fn row_vector(held: vec4f, i: u32, lane_row: u32) -> vec4f {
    return held;
}
