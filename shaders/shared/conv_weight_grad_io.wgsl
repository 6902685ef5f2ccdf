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
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> gy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4f>;
