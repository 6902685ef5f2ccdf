// A matrix of d columns with its entries in another order: y[r][e] = x[R(r)][E(e)], where each of R and E is the identity or, as `rows`
// and `columns` say, i q + j -> j p + i for i < p and j < q. With `turned` x is read as its transpose; with BOTH = 1 the transpose of a
// square matrix is added. An invocation owns one vector of y.
struct Params {
    items: u32,
    d4: u32,
    p: u32,
    q: u32,
    rows: u32,
    columns: u32,
    turned: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

const BOTH: u32 = 0u;

// #import shared/index.wgsl
// #import shared/divide.wgsl

fn moved(entry: u32) -> u32 {
    let i = quotient(entry, params.q);
    return (entry - i * params.q) * params.p + i;
}

fn element(row: u32, column: u32) -> f32 {
    return x[row * params.d4 + column / 4u][column % 4u];
}

fn source(row: u32, entry: u32) -> f32 {
    let column = select(entry, moved(entry), params.columns == 1u);
    let turned = params.turned == 1u;
    var v = element(select(row, column, turned), select(column, row, turned));
    if BOTH == 1u {
        v += element(column, row);
    }
    return v;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let index = flat_index(group, groups, local);
    if index >= params.items {
        return;
    }
    let line = quotient(index, params.d4);
    let entry = (index - line * params.d4) * 4u;
    let row = select(line, moved(line), params.rows == 1u);
    y[index] = vec4f(source(row, entry), source(row, entry + 1u), source(row, entry + 2u), source(row, entry + 3u));
}
