// Staging of rows that lie in vectors of rows for each k already.
// The file that imports this has left_vector(place, row4, k) -> vec4f with zeros outside.
fn fill_left(place: Place, k: u32, lane: u32) {
    for (var i = lane; i < DEPTH * ROWS; i += LANES) {
        left[i] = left_vector(place, place.row / 4u + i % ROWS, k + i / ROWS);
    }
}
