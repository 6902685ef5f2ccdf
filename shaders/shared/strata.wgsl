// Rows of patches in strata (`ops/strata.rs`): a stratum is one block at one sampled position, a row of it each image. Entry
// `part * size + c` of a row is entry `c k^2 + part` of the block, so that a part lies on one tap of the patch.

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
