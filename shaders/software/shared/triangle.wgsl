// The row of tiles for group `y` of `count`: from both ends in turn, so that any run of groups has its share of a
// triangle. Each core is given one run. Where half of the rows are not whole pairs, the two rows in the middle stand
// where the halves meet.
fn row_of_tiles(y: u32, count: u32) -> u32 {
    let half = count / 2u;
    let odd_half = count % 4u == 2u;
    let z = select(y, y - 2u, odd_half & (y > half));
    let row = select(count - 1u - z / 2u, z / 2u, z % 2u == 0u);
    return select(row, y, odd_half & (y + 1u == half || y == half));
}
