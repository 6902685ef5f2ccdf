struct Params {
    height: u32,
    width: u32,
    channels4: u32,
    out_height: u32,
    out_width: u32,
    outputs4: u32,
    kernel_width: u32,
    stride: u32,
    padding: u32,
    dilation: u32,
    taps: u32,
    pixels: u32,
    pixels_per_split: u32,
    channels: u32,
    tap_rows: u32,
    channel_rows: u32,
    split_rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> gy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4f>;

// Writes vector `o` of outputs of tap `tap` and channel `channel` of a split, if there is one.
fn store(split: u32, tap: u32, channel: u32, o: u32, value: vec4f) {
    if (tap < params.taps) & (channel < params.channels) & (o < params.outputs4) {
        let row = split * params.split_rows + tap * params.tap_rows + channel * params.channel_rows;
        partial[row * params.outputs4 + o] = value;
    }
}
