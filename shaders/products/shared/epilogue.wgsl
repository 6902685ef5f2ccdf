// What becomes of a product's sums; `params`, `added` and `c` are the importing file's, and SYMMETRIC.

// #import shared/relu.wgsl

// What is added to vector `vector` of all rows.
fn added_row(vector: u32, batch: u32) -> vec4f {
    if SYMMETRIC == 1u {
        return vec4f(0.0);
    }
    let n4 = (params.n + 3u) / 4u;
    return select(vec4f(0.0), params.beta * added[batch * n4 + min(vector, n4 - 1u)], params.row_added == 1u);
}

// Rows of the product with their factor and the row that is added.
fn scaled(rows: mat4x4f, row: vec4f) -> mat4x4f {
    return params.alpha * rows + mat4x4f(row, row, row, row);
}

// What stands at (row, 4 vector .. 4 vector + 3): a matrix and the diagonal added, zeros where the result does not
// reach. Only symmetric results have a matrix to add, and not all: others would load it in vain.
fn element_vector(row: u32, vector: u32, batch: u32, product: vec4f) -> vec4f {
    var sum = product;
    if SYMMETRIC == 1u && params.beta != 0.0 {
        sum += params.beta * added[(batch * params.m + row) * ((params.n + 3u) / 4u) + vector];
    }
    let columns = vec4u(vector * 4u) + vec4u(0u, 1u, 2u, 3u);
    let diagonal = select(vec4f(0.0), vec4f(params.diagonal), columns == vec4u(row));
    sum += diagonal;
    sum = select(sum, relu(sum), params.relu == 1u);
    return select(vec4f(0.0), sum, (columns < vec4u(params.n)) & vec4<bool>(row < params.m));
}

fn store_vector(row: u32, vector: u32, batch: u32, value: vec4f) {
    let n4 = (params.n + 3u) / 4u;
    if (row < params.m) & (vector < n4) {
        c[(batch * params.m + row) * n4 + vector] = value;
    }
}

// Writes the block of rows 4 block .. 4 block + 3 and columns 4 vector .. 4 vector + 3 of matrix `batch`, as far as it
// exists and this tile is for it. Of a symmetric matrix blocks above the diagonal are written below it, too, turned
// around.
fn store_block(block: u32, vector: u32, batch: u32, sum: mat4x4f) {
    if (SYMMETRIC == 1u) & (vector < block) {
        return;
    }
    let row = block * 4u;
    let v0 = element_vector(row, vector, batch, sum[0]);
    let v1 = element_vector(row + 1u, vector, batch, sum[1]);
    let v2 = element_vector(row + 2u, vector, batch, sum[2]);
    let v3 = element_vector(row + 3u, vector, batch, sum[3]);
    store_vector(row, vector, batch, v0);
    store_vector(row + 1u, vector, batch, v1);
    store_vector(row + 2u, vector, batch, v2);
    store_vector(row + 3u, vector, batch, v3);
    if (SYMMETRIC == 1u) & (vector > block) {
        let column = vector * 4u;
        store_vector(column, block, batch, vec4f(v0.x, v1.x, v2.x, v3.x));
        store_vector(column + 1u, block, batch, vec4f(v0.y, v1.y, v2.y, v3.y));
        store_vector(column + 2u, block, batch, vec4f(v0.z, v1.z, v2.z, v3.z));
        store_vector(column + 3u, block, batch, vec4f(v0.w, v1.w, v2.w, v3.w));
    }
}
