// Weight gradient of a convolution, in partial sums over image rows:
//   partial[split][tap, c, o] = sum over the output pixels p of the split of x[position(p, tap), c] gy[p, o]
// which `weight_rows.wgsl` or `column_sum.wgsl` adds.
//
// Tiles staged in workgroup memory; k runs over the output pixels of a split.
const TM: u32 = 2u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 8u;
const ROWS4: u32 = TM;
const B_TRANSPOSED: u32 = 0u;

// #import conv/shared/conv_weight_grad_io.wgsl
// #import shared/staged_body.wgsl
// #import shared/staged_direct.wgsl
// #import shared/staged_right.wgsl

fn stages() -> u32 {
    return (params.pixels_per_split + DEPTH - 1u) / DEPTH;
}

fn place_of(group: vec3u, groups: vec3u) -> Place {
    let first = group.z * params.pixels_per_split;
    let last = min(first + params.pixels_per_split, params.pixels);
    let row = group.y * ROWS * 4u;
    return Place(row, group.x * COLUMNS, group.z, first, last);
}

// An invocation's vector of x under its tap, at the output pixel to which it has come: coordinates, and those behind
// the last output pixel of a row and of an image.
struct Left {
    at: u32,
    y: u32,
    x: u32,
    last_y: u32,
    last_x: u32,
    step: u32,
    // From a pixel to the next, and what another row or another image changes; the same for all.
    more: u32,
    more_y: u32,
    more_x: u32,
    another_row: u32,
    another_image: u32,
    row: u32,
    image: u32,
    // The mean of the patches at the tap and channels.
    off: vec4f,
}

fn start_left(place: Place, lane: u32) -> Left {
    let row4 = min(place.row / 4u + lane % ROWS, params.taps * params.channels4 - 1u);
    let tap = row4 / params.channels4;
    let tap_y = tap / params.kernel_width;
    // What is negative wraps to more than any size.
    let first_y = tap_y * params.dilation - params.padding;
    let first_x = (tap - tap_y * params.kernel_width) * params.dilation - params.padding;
    let p = place.first + lane / ROWS;
    let line = p / params.out_width;
    let image = line / params.out_height;
    let y = first_y + (line - image * params.out_height) * params.stride;
    let x = first_x + (p - line * params.out_width) * params.stride;
    let at = ((image * params.height + y) * params.width + x) * params.channels4 + row4 - tap * params.channels4;
    let last_y = first_y + params.out_height * params.stride;
    let last_x = first_x + params.out_width * params.stride;
    let lines = LEFT_STEP / params.out_width;
    let images = lines / params.out_height;
    let wide = params.width * params.channels4;
    let off = mean_of(tap, row4 - tap * params.channels4);
    var rows = Left(at, y, x, last_y, last_x, lane / ROWS, 0u, 0u, 0u, 0u, 0u, 0u, 0u, off);
    rows.more_x = (LEFT_STEP - lines * params.out_width) * params.stride;
    rows.more_y = (lines - images * params.out_height) * params.stride;
    rows.more = (images * params.height + rows.more_y) * wide + rows.more_x * params.channels4;
    rows.row = params.out_width * params.stride;
    rows.image = params.out_height * params.stride;
    rows.another_row = params.stride * wide - rows.row * params.channels4;
    rows.another_image = (params.height - rows.image) * wide;
    return rows;
}

// Goes on by LEFT_STEP output pixels.
fn step_left(rows: ptr<function, Left>) {
    (*rows).x += (*rows).more_x;
    (*rows).y += (*rows).more_y;
    (*rows).at += (*rows).more;
    // As numbers with a sign: before the first column they are negative.
    let next_row = i32((*rows).x) >= i32((*rows).last_x);
    (*rows).x -= select(0u, (*rows).row, next_row);
    (*rows).y += select(0u, params.stride, next_row);
    (*rows).at += select(0u, (*rows).another_row, next_row);
    let next_image = i32((*rows).y) >= i32((*rows).last_y);
    (*rows).y -= select(0u, (*rows).image, next_image);
    (*rows).at += select(0u, (*rows).another_image, next_image);
}

fn load_left(place: Place, rows: ptr<function, Left>, k: u32) -> HeldLeft {
    var held: HeldLeft;
    for (var n = 0u; n < LEFT; n++) {
        let exists = k + n * LEFT_STEP + (*rows).step < place.last;
        let inside = exists & ((*rows).y < params.height) & ((*rows).x < params.width);
        let value = select(vec4f(0.0), x[select(0u, (*rows).at, inside)], inside) - (*rows).off;
        held[n] = select(vec4f(0.0), value, exists);
        step_left(rows);
    }
    return held;
}

// Where an invocation's gradients of the first stage lie, and the last there is.
struct Right {
    at: u32,
    last: u32,
}

fn start_right(place: Place, lane: u32) -> Right {
    let column = min(place.column + right_column(lane), params.outputs4 - 1u);
    let at = (place.first + right_step(lane)) * params.outputs4 + column;
    return Right(at, (params.pixels - 1u) * params.outputs4 + column);
}

fn load_right(place: Place, columns: ptr<function, Right>, k: u32) -> HeldRight {
    var held: HeldRight;
    for (var n = 0u; n < 4u; n++) {
        if n < RIGHT {
            held[n] = gy[min((*columns).at + n * params.outputs4, (*columns).last)];
        }
    }
    (*columns).at += DEPTH * params.outputs4;
    return held;
}

fn finish(place: Place, block: u32, column: u32, values: mat4x4f) {
    let tap = block / params.channels4;
    store(place.layer, tap, block - tap * params.channels4, column, values);
}
