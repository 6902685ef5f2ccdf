// Place of sampled value k of the channels from `first` on: every step-th of each image's flat (channel, pixel) list,
// `per_image` of them; channels-last storage, `stride` values per pixel, `area` pixels per image.
fn leftover_at(k: u32, per_image: u32, step: u32, area: u32, first: u32, stride: u32) -> u32 {
    let flat = (k % per_image) * step;
    return ((k / per_image) * area + flat % area) * stride + first + flat / area;
}
