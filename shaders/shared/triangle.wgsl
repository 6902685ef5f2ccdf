// The row of tiles for group `y` of `count`: from both ends in turn, so that any run of groups has its share of a triangle. Software
// adapters give each core one run.
fn row_of_tiles(y: u32, count: u32) -> u32 {
    return select(count - 1u - y / 2u, y / 2u, y % 2u == 0u);
}
