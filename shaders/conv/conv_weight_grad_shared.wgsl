// conv_weight_grad.wgsl for real GPUs: tiles staged in workgroup memory; k runs over the output pixels of a split.
const TM: u32 = 2u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 8u;
const ROWS4: u32 = TM;

// #import conv/shared/conv_weight_grad_io.wgsl
// #import shared/staged_body.wgsl
// #import shared/staged_direct.wgsl

fn place_of(group: vec3u, groups: vec3u) -> Place {
    let first = group.z * params.pixels_per_split;
    let last = min(first + params.pixels_per_split, params.pixels);
    let row = group.y * ROWS * 4u;
    return Place(row, group.x * COLUMNS, group.z, first, last);
}

// Vector `row4` of (tap, input channel) at output pixel k.
fn left_vector(place: Place, row4: u32, k: u32) -> vec4f {
    let tap = row4 / params.channels4;
    if k >= place.last || tap >= params.taps {
        return vec4f(0.0);
    }
    let line = k / params.out_width;
    let oy = (line % params.out_height) * params.stride + (tap / params.kernel_width) * params.dilation;
    let ox = (k % params.out_width) * params.stride + (tap % params.kernel_width) * params.dilation;
    let iy = i32(oy) - i32(params.padding);
    let ix = i32(ox) - i32(params.padding);
    if iy < 0 || iy >= i32(params.height) || ix < 0 || ix >= i32(params.width) {
        return vec4f(0.0);
    }
    let pixel = ((line / params.out_height) * params.height + u32(iy)) * params.width + u32(ix);
    return x[pixel * params.channels4 + row4 % params.channels4];
}

fn right_vector(place: Place, k: u32, column: u32) -> vec4f {
    if k >= place.last || column >= params.outputs4 {
        return vec4f(0.0);
    }
    return gy[k * params.outputs4 + column];
}

fn finish(place: Place, block: u32, column: u32, values: mat4x4f) {
    let tap = block / params.channels4;
    store(place.layer, tap, block - tap * params.channels4, column, values);
}
