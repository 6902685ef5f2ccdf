// Rows of patches in strata (`ops/strata.rs`): a stratum is one block at one sampled position, a row of it each image. Entry
// `part * size + c` of a row is entry `c k^2 + part` of the block, so that a part lies on one tap of the patch.

// What the kernels over strata are told; each looks at its own part of it.
struct Params {
    // Rows of a stratum.
    images: u32,
    strata: u32,
    positions: u32,
    blocks: u32,
    kernel: u32,
    height: u32,
    width: u32,
    channel_stride: u32,
    out_width: u32,
    step: u32,
    padding: u32,
    // Vectors of a part of a row.
    size4: u32,
    // Entries of a row and vectors of it, by the names that they have in tiles of products and of reductions.
    n: u32,
    k: u32,
    da4: u32,
    db4: u32,
    // Of gathering.
    centered: u32,
    // Of reductions: rows with those that follow the strata.
    rows: u32,
    runs_per_split: u32,
    symmetric: u32,
    // Of products.
    alpha: f32,
    of_rows: u32,
    of_columns: u32,
    has_row: u32,
    // From one stratum's row to that of the next; 0 for one that all have.
    row_stride4: u32,
    // Where entries of c go: 0 to rows, 1 to the pixels that patches were gathered from, 2 to a map with a channel for each feature and a
    // pixel for each row of the strata of one block.
    to: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

// Where the entries of a part come from: a pixel of the map, if the tap lies on it, and the first of channels `blocks` apart.
struct Tap {
    seen: bool,
    pixel: u32,
    channel: u32,
}

fn tap_of(stratum: u32, part: u32) -> Tap {
    let block = quotient(stratum, params.positions);
    let position = stratum - block * params.positions;
    let taps = params.kernel * params.kernel;
    let feature = params.blocks * part + block;
    let channel = quotient(feature, taps);
    let tap = feature - channel * taps;
    let tap_row = quotient(tap, params.kernel);
    let out_row = quotient(position, params.out_width);
    let out_column = position - out_row * params.out_width;
    let row = i32(out_row * params.step + tap_row) - i32(params.padding);
    let column = i32(out_column * params.step + tap - tap_row * params.kernel) - i32(params.padding);
    let inside = (row >= 0) & (column >= 0) & (row < i32(params.height)) & (column < i32(params.width));
    return Tap(inside, u32(max(row, 0) * i32(params.width) + max(column, 0)), channel);
}
