// Rows of a tile shared by the LX lanes of one subgroup row: lane l loads rows l OWN .. l OWN + OWN - 1.
const OWN: u32 = TM / LX;

fn owned_row(i: u32, lane: u32) -> u32 {
    return lane * OWN + i;
}

// Row i of the tile, given the vector that this lane holds at place i % OWN; lane i / OWN has the right one.
fn row_vector(held: vec4f, i: u32, lane_row: u32) -> vec4f {
    return subgroupShuffle(held, lane_row * LX + i / OWN);
}
