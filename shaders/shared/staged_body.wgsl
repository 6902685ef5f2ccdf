// Sum over k of left(row, k) right(k, column), in tiles staged in workgroup memory, for real GPUs.
//
// LX LY invocations own a tile of LY ROWS4 vectors of rows x LX TN vectors of columns; each owns 4 ROWS4 rows x TN vectors in
// registers, spread over the tile so that neighbours read neighbouring words. Per DEPTH steps of k the tile's DEPTH x (rows +
// columns) values are loaded once; then, per step, an invocation reads ROWS4 + TN vectors for 4 ROWS4 TN multiply-adds.
//
// The file that imports this says what is multiplied:
//   place_of(tile) -> Place               rows, columns (in vectors), first and last k of this workgroup; uniform
//   fill_left(place, k, lane)             stages rows from k on, k by k, in vectors of rows: left[j * ROWS + row / 4]
//   right_vector(place, k, column) -> vec4f     zeros outside
//   finish(place, block, column, values)  writes what exists of rows 4 block .. 4 block + 3, a vector of each
const LANES: u32 = LX * LY;
const DEPTH: u32 = 16u;
const ROWS: u32 = LY * ROWS4;
const COLUMNS: u32 = LX * TN;

// Where a workgroup's tile lies; rows in elements, columns in vectors.
struct Place {
    row: u32,
    column: u32,
    layer: u32,
    first: u32,
    last: u32,
}

var<workgroup> left: array<vec4f, DEPTH * ROWS>;
var<workgroup> right: array<vec4f, DEPTH * COLUMNS>;

alias Sum = array<array<vec4f, TN>, 4u * ROWS4>;

fn fill_right(place: Place, k: u32, lane: u32) {
    for (var i = lane; i < DEPTH * COLUMNS; i += LANES) {
        right[i] = right_vector(place, k + i / COLUMNS, place.column + i % COLUMNS);
    }
}

fn multiply(sum: ptr<function, Sum>, at: vec2u) {
    for (var k = 0u; k < DEPTH; k++) {
        var y: array<vec4f, TN>;
        for (var j = 0u; j < TN; j++) {
            y[j] = right[k * COLUMNS + at.x + j * LX];
        }
        for (var i = 0u; i < ROWS4; i++) {
            let x = left[k * ROWS + at.y + i * LY];
            for (var j = 0u; j < TN; j++) {
                (*sum)[i * 4u][j] = fma(vec4f(x.x), y[j], (*sum)[i * 4u][j]);
                (*sum)[i * 4u + 1u][j] = fma(vec4f(x.y), y[j], (*sum)[i * 4u + 1u][j]);
                (*sum)[i * 4u + 2u][j] = fma(vec4f(x.z), y[j], (*sum)[i * 4u + 2u][j]);
                (*sum)[i * 4u + 3u][j] = fma(vec4f(x.w), y[j], (*sum)[i * 4u + 3u][j]);
            }
        }
    }
}

fn write(sum: ptr<function, Sum>, place: Place, at: vec2u) {
    for (var i = 0u; i < ROWS4; i++) {
        let block = place.row / 4u + at.y + i * LY;
        for (var j = 0u; j < TN; j++) {
            let column = place.column + at.x + j * LX;
            let first = i * 4u;
            finish(place, block, column, mat4x4f((*sum)[first][j], (*sum)[first + 1u][j], (*sum)[first + 2u][j], (*sum)[first + 3u][j]));
        }
    }
}

@compute @workgroup_size(LX * LY)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = place_of(group, groups);
    let at = vec2u(lane % LX, lane / LX);
    var sum: Sum;
    // The bounds are the same for the whole workgroup, as a barrier needs.
    for (var k = place.first; k < place.last; k += DEPTH) {
        fill_left(place, k, lane);
        fill_right(place, k, lane);
        workgroupBarrier();
        multiply(&sum, at);
        workgroupBarrier();
    }
    write(&sum, place, at);
}
