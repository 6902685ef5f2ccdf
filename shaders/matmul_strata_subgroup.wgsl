// c = alpha a b + a row, for rows a in strata (`ops/strata.rs`) and one matrix b. With `of_rows` a is in the order of strata, and what a
// stratum does not see is left out of the sums; with `of_columns` c is, and its entries that are not seen go nowhere.
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read> added: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> c: array<f32>;

// Tiles have up to as many rows, each with a place of its own.
const MOST_ROUNDS: u32 = 64u;
const TM: u32 = 64u;
const TN: u32 = 1u;
const LX: u32 = 8u;
const LY: u32 = 1u;
const TURNED: u32 = 0u;

// #import shared/lanes_subgroup.wgsl
// #import shared/vec4.wgsl
// #import shared/matmul_tile.wgsl
// #import shared/divide.wgsl
// #import shared/strata.wgsl

// Where the first of a lane's four columns goes in the stratum's first row, and how far apart rows and columns are.
struct Target {
    first: u32,
    row: u32,
    column: u32,
}

fn target_of(stratum: u32, column: u32) -> Target {
    if params.to == 0u {
        return Target(stratum * params.images * params.n + column * 4u, params.n, 1u);
    }
    if params.to == 2u {
        let block = quotient(stratum, params.positions);
        let position = stratum - block * params.positions;
        let features = params.blocks * params.n;
        let first = position * params.images * features + column * 4u * params.blocks + block;
        return Target(first, features, params.blocks);
    }
    let part = quotient(column, params.size4);
    let tap = tap_of(stratum, part);
    let first = tap.pixel * params.channel_stride + tap.channel + (column - part * params.size4) * 4u * params.blocks;
    return Target(first, params.height * params.width * params.channel_stride, params.blocks);
}

// Along x are the tiles of rows and every other tile of columns, along y strata, along z the other tiles of columns: adapters that compute on a
// few cores give each of them a run of workgroups, and half of b's columns stay in its cache while it walks through the strata.
@compute @workgroup_size(LX * LY)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    let stratum = group.y;
    let parts = params.kernel * params.kernel;
    let tiles = (params.images + TM - 1u) / TM;
    let first = (group.x / tiles * 2u + group.z) * LX;
    let wanted = tap_of(stratum, quotient(first, params.size4)).seen | (params.of_columns == 0u);
    if !(wanted & (first * 4u < params.n)) {
        return;
    }
    let r0 = group.x % tiles * TM;
    let column = first + lane;
    var place: Place;
    place.batch = 0u;
    place.lane_row = 0u;
    for (var i = 0u; i < OWN; i++) {
        place.row[i] = stratum * params.images + min(r0 + owned_row(i, lane), params.images - 1u);
    }
    place.column[0] = column;
    var sum: Tile;
    for (var part = 0u; part < parts; part++) {
        let first = part * params.size4;
        let last = select(first, first + params.size4, tap_of(stratum, part).seen | (params.of_rows == 0u));
        first_product(&sum, place, first, last);
    }
    let to = target_of(stratum, column);
    let row = select(vec4f(0.0), added[stratum * params.row_stride4 + column], params.has_row == 1u);
    for (var i = 0u; i < TM; i++) {
        if r0 + i < params.images {
            let v = fma(vec4f(params.alpha), sum[i][0], row);
            let at = to.first + (r0 + i) * to.row;
            c[at] = v.x;
            c[at + to.column] = v.y;
            c[at + 2u * to.column] = v.z;
            c[at + 3u * to.column] = v.w;
        }
    }
}
