struct Params {
// #import conv/shared/sizes.wgsl
    kernel_height: u32,
    pixels: u32,
    has_bias: u32,
    has_added: u32,
    relu: u32,
    tap_rows: u32,
    channel_rows: u32,
    last_row: u32,
}
