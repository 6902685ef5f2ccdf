alias Tile = array<array<vec4f, TN>, TM>;

// Rows of a that this lane loads and its columns of b; rows of b beyond k are clamped, a's padding is zero there.
struct Place {
    row: array<u32, OWN>,
    column: array<u32, TN>,
    batch: u32,
    lane_row: u32,
}

// Rows 4 k .. 4 k + 3 of b in this lane's columns.
alias Block = array<array<vec4f, TN>, 4>;

// Where vector e of such a block is, of the four columns `column`: a row, or a column where b is given by those.
fn index_of_b(place: Place, k: u32, e: u32, column: u32) -> u32 {
    if TURNED == 1u {
        return (place.batch * params.n + min(column * 4u + e, params.n - 1u)) * ((params.k + 3u) / 4u) + k;
    }
    return (place.batch * params.k + min(k * 4u + e, params.k - 1u)) * ((params.n + 3u) / 4u) + column;
}

fn turn(y: ptr<function, Block>) {
    for (var j = 0u; j < TN; j++) {
        let turned = transpose(mat4x4f((*y)[0][j], (*y)[1][j], (*y)[2][j], (*y)[3][j]));
        (*y)[0][j] = turned[0];
        (*y)[1][j] = turned[1];
        (*y)[2][j] = turned[2];
        (*y)[3][j] = turned[3];
    }
}

// Adds the products over vectors first .. last - 1 of a's rows.
fn first_product(sum: ptr<function, Tile>, place: Place, first: u32, last: u32) {
    let k4 = (params.k + 3u) / 4u;
    for (var k = first; k < last; k++) {
        var x: array<vec4f, OWN>;
        for (var i = 0u; i < OWN; i++) {
            x[i] = a[place.row[i] * k4 + k];
        }
        var y: Block;
        for (var e = 0u; e < 4u; e++) {
            for (var j = 0u; j < TN; j++) {
                y[e][j] = b[index_of_b(place, k, e, place.column[j])];
            }
        }
        if TURNED == 1u {
            turn(&y);
        }
        for (var i = 0u; i < TM; i++) {
            let v = row_vector(x[i % OWN], i, place.lane_row);
            for (var j = 0u; j < TN; j++) {
                (*sum)[i][j] = multiply_add((*sum)[i][j], v, y[0][j], y[1][j], y[2][j], y[3][j]);
            }
        }
    }
}
