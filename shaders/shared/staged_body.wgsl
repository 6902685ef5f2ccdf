// Sum over k of left(row, k) right(k, column), in tiles staged in workgroup memory, for real GPUs.
//
// LX LY invocations own a tile of LY ROWS4 vectors of rows x LX TN vectors of columns; each owns 4 ROWS4 rows x TN
// vectors in registers, spread over the tile so that neighbours read neighbouring words. Per DEPTH steps of k the
// tile's DEPTH x (rows + columns) values are staged once; then, per step, an invocation reads ROWS4 + TN vectors for 4
// ROWS4 TN multiply-adds. Other workgroups hide what a stage waits for. Loading the next stage before this one is
// multiplied leaves AMD's code as it is and costs NVIDIA's 8 to 12 points of multiply-adds in moves between registers
// (by `cargo xtask gpu-lab`).
//
// The file that imports this says what is multiplied:
//   place_of(tile) -> Place                    rows, columns (in vectors), first and last k of this workgroup; uniform
//   stages() -> u32                            of a workgroup that has most; from `params` alone, so that compilers see
//   it is uniform Left, start_left(place, lane) -> Left      what an invocation keeps about its share of the rows:
//   positions are found once load_left(place, &left, k) -> HeldLeft     its share of the stage from k on, whose end may
//   lie behind the last k put_left(lane, held)                       left[j * LEFT_STRIDE + row / 4] for step j of the
//   stage and the same four for the columns. Of steps behind the last k one of the two factors is zero, the other any
//   number there is. finish(place, block, column, values)       writes what exists of rows 4 block .. 4 block + 3, a
//   vector of each
// Places outside are clamped, not skipped: their products are never written.
const LANES: u32 = LX * LY;
const DEPTH: u32 = 16u;
const ROWS: u32 = LY * ROWS4;
const COLUMNS: u32 = LX * TN;
// Vectors of rows in a stage that an invocation loads.
const LEFT: u32 = DEPTH * ROWS / LANES;

// Where a workgroup's tile lies; rows in elements, columns in vectors.
struct Place {
    row: u32,
    column: u32,
    layer: u32,
    first: u32,
    last: u32,
}

alias HeldLeft = array<vec4f, LEFT>;
alias HeldRight = array<vec4f, 4>;
alias Sum = array<array<vec4f, TN>, 4u * ROWS4>;

var<workgroup> left: array<vec4f, DEPTH * LEFT_STRIDE>;
var<workgroup> right: array<vec4f, DEPTH * COLUMNS>;

fn multiply(sum: ptr<function, Sum>, at: vec2u) {
    for (var k = 0u; k < DEPTH; k++) {
        var row: array<vec4f, TN>;
        for (var j = 0u; j < TN; j++) {
            row[j] = right[k * COLUMNS + at.x + j * LX];
        }
        for (var i = 0u; i < ROWS4; i++) {
            let x = left[k * LEFT_STRIDE + at.y + i * LY];
            for (var j = 0u; j < TN; j++) {
                (*sum)[i * 4u][j] = fma(vec4f(x.x), row[j], (*sum)[i * 4u][j]);
                (*sum)[i * 4u + 1u][j] = fma(vec4f(x.y), row[j], (*sum)[i * 4u + 1u][j]);
                (*sum)[i * 4u + 2u][j] = fma(vec4f(x.z), row[j], (*sum)[i * 4u + 2u][j]);
                (*sum)[i * 4u + 3u][j] = fma(vec4f(x.w), row[j], (*sum)[i * 4u + 3u][j]);
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
            let rows = mat4x4f((*sum)[first][j], (*sum)[first + 1u][j], (*sum)[first + 2u][j], (*sum)[first + 3u][j]);
            finish(place, block, column, rows);
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
    // Nothing is to be done. This and the bounds below are the same for the whole workgroup, as a barrier needs.
    if place.first >= place.last {
        return;
    }
    let at = vec2u(lane % LX, lane / LX);
    var rows = start_left(place, lane);
    var columns = start_right(place, lane);
    var sum: Sum;
    let count = stages();
    for (var stage = 0u; stage < count; stage++) {
        let k = place.first + stage * DEPTH;
        var held_left = load_left(place, &rows, k);
        var held_right = load_right(place, &columns, k);
        put_left(lane, &held_left);
        put_right(lane, &held_right);
        workgroupBarrier();
        multiply(&sum, at);
        workgroupBarrier();
    }
    write(&sum, place, at);
}
