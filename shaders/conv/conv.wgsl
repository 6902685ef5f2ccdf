// Convolution as implicit matrix product, without a patch matrix:
//   y[p, o] = bias[o] + sum over taps and input channels of x[position(p, tap), c] w[tap, c, o]
// and, with TRANSPOSED = 1, its adjoint in x (input gradient: x is gy, o are input channels, weights packed the other
// way).
//
// Tiles staged in workgroup memory; k runs over taps and input channels.
const TRANSPOSED: u32 = 0u;
const TM: u32 = 8u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 8u;
const ROWS4: u32 = TM / 4u;
const B_TRANSPOSED: u32 = 0u;

// #import conv/shared/conv_params.wgsl
// #import conv/shared/conv_io.wgsl
// #import conv/shared/conv_store_added.wgsl
// #import shared/staged_body.wgsl
// #import shared/staged_transposed.wgsl
// #import shared/staged_right.wgsl

// Steps of all taps.
fn steps() -> u32 {
    return params.kernel_height * params.kernel_width * params.channels4 * 4u;
}

fn stages() -> u32 {
    return (steps() + DEPTH - 1u) / DEPTH;
}

fn place_of(group: vec3u, groups: vec3u) -> Place {
    return Place((group.y * groups.x + group.x) * ROWS * 4u, group.z * COLUMNS, 0u, 0u, steps());
}

// Output pixels of an invocation: coordinates and vector of x under the first tap, and the step of the stage at which
// it is: tap and vector of channels. Pixels of gx lie between those of x: coordinates are divided by the stride, and a
// tap is on a pixel of x where it leaves the same rest, of both coordinates in one number.
struct Left {
    at: array<u32, LEFT>,
    y: array<u32, LEFT>,
    x: array<u32, LEFT>,
    rest: array<u32, LEFT>,
    tap_y: u32,
    tap_x: u32,
    channel: u32,
    // From a stage to the next; the same for all.
    more_y: u32,
    more_x: u32,
    more_channels: u32,
}

// What division by the stride leaves of two coordinates.
fn rest(y: u32, x: u32) -> u32 {
    return (y % params.stride) * params.stride + x % params.stride;
}

fn start_left(place: Place, lane: u32) -> Left {
    var rows: Left;
    for (var n = 0u; n < LEFT; n++) {
        let p = min(place.row + row_in_tile(lane, n), params.pixels - 1u);
        let line = p / params.out_width;
        let image = line / params.out_height;
        let oy = line - image * params.out_height;
        let ox = p - line * params.out_width;
        // What is negative wraps to more than any size.
        rows.y[n] = oy * params.stride - params.padding;
        rows.x[n] = ox * params.stride - params.padding;
        if TRANSPOSED == 1u {
            rows.y[n] = (oy + params.padding) / params.stride;
            rows.x[n] = (ox + params.padding) / params.stride;
            rows.rest[n] = rest(oy + params.padding, ox + params.padding);
        }
        rows.at[n] = ((image * params.height + rows.y[n]) * params.width + rows.x[n]) * params.channels4;
    }
    let k4 = lane % STEPS4;
    let tap = k4 / params.channels4;
    rows.channel = k4 - tap * params.channels4;
    rows.tap_y = tap / params.kernel_width;
    rows.tap_x = tap - rows.tap_y * params.kernel_width;
    let taps = STEPS4 / params.channels4;
    rows.more_channels = STEPS4 - taps * params.channels4;
    rows.more_y = taps / params.kernel_width;
    rows.more_x = taps - rows.more_y * params.kernel_width;
    return rows;
}

// Goes on to the same vector of the next stage.
fn step_left(rows: ptr<function, Left>) {
    (*rows).channel += (*rows).more_channels;
    let next_tap = (*rows).channel >= params.channels4;
    (*rows).channel -= select(0u, params.channels4, next_tap);
    (*rows).tap_x += (*rows).more_x + select(0u, 1u, next_tap);
    let next_line = (*rows).tap_x >= params.kernel_width;
    (*rows).tap_x -= select(0u, params.kernel_width, next_line);
    (*rows).tap_y += (*rows).more_y + select(0u, 1u, next_line);
}

fn load_left(place: Place, rows: ptr<function, Left>, k: u32) -> HeldLeft {
    var down = (*rows).tap_y * params.dilation;
    var across = (*rows).tap_x * params.dilation;
    var tap_rest = 0u;
    if TRANSPOSED == 1u {
        tap_rest = rest(down, across);
        // What is negative wraps, and wraps back below.
        down = 0u - down / params.stride;
        across = 0u - across / params.stride;
    }
    // Taps behind the last are outside of every map.
    down = select(down, 0x40000000u, (*rows).tap_y >= params.kernel_height);
    let offset = (down * params.width + across) * params.channels4 + (*rows).channel;
    var held: HeldLeft;
    for (var n = 0u; n < LEFT; n++) {
        var inside = ((*rows).y[n] + down < params.height) & ((*rows).x[n] + across < params.width);
        if TRANSPOSED == 1u {
            inside = inside & ((*rows).rest[n] == tap_rest);
        }
        held[n] = select(vec4f(0.0), x[select(0u, (*rows).at[n] + offset, inside)], inside);
    }
    step_left(rows);
    return held;
}

// An invocation's weights: where they lie, with the channel of the first among its padded ones. All of one stage are of
// one tap.
struct Right {
    at: u32,
    channel: u32,
    last: u32,
    // From a step to the next, and from a stage to the next: also where that begins another tap.
    step: u32,
    more: u32,
    more_channels: u32,
    another_tap: u32,
}

fn start_right(place: Place, lane: u32) -> Right {
    let column = min(place.column + right_column(lane), params.outputs4 - 1u);
    let tap = right_step(lane) / (params.channels4 * 4u);
    let channel = right_step(lane) - tap * params.channels4 * 4u;
    let row = tap * params.tap_rows + channel * params.channel_rows;
    let channels = params.channels4 * 4u;
    let taps = DEPTH / channels;
    let more_channels = DEPTH - taps * channels;
    var columns: Right;
    columns.at = row * params.outputs4 + column;
    columns.channel = channel;
    columns.last = params.last_row * params.outputs4 + column;
    columns.step = params.channel_rows * params.outputs4;
    columns.more = (taps * params.tap_rows + more_channels * params.channel_rows) * params.outputs4;
    columns.more_channels = more_channels;
    columns.another_tap = (params.tap_rows - channels * params.channel_rows) * params.outputs4;
    return columns;
}

fn load_right(place: Place, columns: ptr<function, Right>, k: u32) -> HeldRight {
    var held: HeldRight;
    for (var n = 0u; n < 4u; n++) {
        if n < RIGHT {
            // Rows behind the last are clamped; x is zero there.
            held[n] = weight[min((*columns).at + n * (*columns).step, (*columns).last)];
        }
    }
    (*columns).channel += (*columns).more_channels;
    let next = (*columns).channel >= params.channels4 * 4u;
    (*columns).channel -= select(0u, params.channels4 * 4u, next);
    (*columns).at += (*columns).more + select(0u, (*columns).another_tap, next);
    return held;
}

fn finish(place: Place, block: u32, column: u32, values: mat4x4f) {
    for (var e = 0u; e < 4u; e++) {
        store(block * 4u + e, column, values[e] + shift_of(column));
    }
}
