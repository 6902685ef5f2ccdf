// Staging of rows whose elements lie along k in vectors: blocks of 4 rows x 4 steps are turned on the way.
// The file that imports this has row_of(place, row), what it needs to know of a row, and left_vector(place, that, k4) -> vec4f with zeros outside.
const BLOCKS: u32 = ROWS * DEPTH / 4u;

fn fill_left(place: Place, k: u32, lane: u32) {
    for (var block = lane; block < BLOCKS; block += LANES) {
        let k4 = block % (DEPTH / 4u);
        let row4 = block / (DEPTH / 4u);
        let row = place.row + row4 * 4u;
        let v0 = left_vector(place, row_of(place, row), k / 4u + k4);
        let v1 = left_vector(place, row_of(place, row + 1u), k / 4u + k4);
        let v2 = left_vector(place, row_of(place, row + 2u), k / 4u + k4);
        let v3 = left_vector(place, row_of(place, row + 3u), k / 4u + k4);
        let to = k4 * 4u * ROWS + row4;
        left[to] = vec4f(v0.x, v1.x, v2.x, v3.x);
        left[to + ROWS] = vec4f(v0.y, v1.y, v2.y, v3.y);
        left[to + 2u * ROWS] = vec4f(v0.z, v1.z, v2.z, v3.z);
        left[to + 3u * ROWS] = vec4f(v0.w, v1.w, v2.w, v3.w);
    }
}
