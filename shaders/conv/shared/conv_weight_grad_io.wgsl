struct Params {
// #import conv/shared/sizes.wgsl
    taps: u32,
    pixels: u32,
    pixels_per_split: u32,
    channels: u32,
    centered: u32,
}

// #import conv/shared/weight_grad_io.wgsl

// The mean of the patches at a tap and a vector of channels, which is taken off x, off zeros of the padding too; 0
// where there is none.
fn mean_of(tap: u32, vector: u32) -> vec4f {
    let channels = min(vector * 4u + vec4u(0u, 1u, 2u, 3u), vec4u(params.channels - 1u));
    let at = (channels * params.taps + tap) * params.centered;
    return select(vec4f(0.0), vec4f(mean[at.x], mean[at.y], mean[at.z], mean[at.w]), params.centered == 1u);
}

// Writes vector `o` of outputs of tap `tap` and the channels of vector `vector` of a split, those that there are, as
// columns: a row for each channel and tap.
fn store(split: u32, tap: u32, vector: u32, o: u32, values: mat4x4f) {
    let row = (split * params.channels + vector * 4u) * params.taps + tap;
    // One bound for all four: conditions of their own would add half to the time that the kernel takes to compile.
    let count = select(0u, params.channels - vector * 4u, (tap < params.taps) & (o < params.outputs4));
    for (var e = 0u; e < 4u; e++) {
        if e < count {
            partial[(row + e * params.taps) * params.outputs4 + o] = values[e];
        }
    }
}
