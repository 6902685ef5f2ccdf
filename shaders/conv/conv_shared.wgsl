// conv.wgsl for real GPUs: tiles staged in workgroup memory; k runs over taps and input channels.
const TRANSPOSED: u32 = 0u;
const TM: u32 = 8u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 8u;
const ROWS4: u32 = TM / 4u;

// #import conv/shared/conv_params.wgsl
// #import conv/shared/conv_io.wgsl
// #import conv/shared/conv_store_added.wgsl
// #import conv/shared/conv_position.wgsl
// #import shared/staged_body.wgsl
// #import shared/staged_transposed.wgsl

fn place_of(group: vec3u, groups: vec3u) -> Place {
    let row = (group.y * groups.x + group.x) * ROWS * 4u;
    let last = params.kernel_height * params.kernel_width * params.channels4 * 4u;
    return Place(row, group.z * COLUMNS, 0u, 0u, last);
}

// An output pixel.
struct Pixel {
    exists: bool,
    image: u32,
    row: u32,
    column: u32,
}

fn row_of(place: Place, p: u32) -> Pixel {
    let line = p / params.out_width;
    return Pixel(p < params.pixels, line / params.out_height, line % params.out_height, p % params.out_width);
}

fn left_vector(place: Place, p: Pixel, k4: u32) -> vec4f {
    if !p.exists || k4 * 4u >= place.last {
        return vec4f(0.0);
    }
    let tap = k4 / params.channels4;
    let iy = position(p.row, tap / params.kernel_width, params.height);
    let ix = position(p.column, tap % params.kernel_width, params.width);
    if iy < 0 || ix < 0 {
        return vec4f(0.0);
    }
    let pixel = (p.image * params.height + u32(iy)) * params.width + u32(ix);
    return x[pixel * params.channels4 + k4 % params.channels4];
}

fn right_vector(place: Place, k: u32, column: u32) -> vec4f {
    if k >= place.last || column >= params.outputs4 {
        return vec4f(0.0);
    }
    let tap = k / (params.channels4 * 4u);
    let channel = k - tap * params.channels4 * 4u;
    // Rows beyond the last are clamped; x is zero there.
    let row = min(tap * params.tap_rows + channel * params.channel_rows, params.last_row);
    return weight[row * params.outputs4 + column];
}

fn finish(place: Place, block: u32, column: u32, values: mat4x4f) {
    for (var e = 0u; e < 4u; e++) {
        store(block * 4u + e, column, values[e] + shift_of(column));
    }
}
