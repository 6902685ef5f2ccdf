// #import pool/shared/place.wgsl

struct Params {
    vectors: u32,
    channels4: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

// The two source pixels of output o along one direction, and the weight of the second, without rounding:
//   src = max((o + 0.5) size / outs - 0.5, 0) = max((2 o + 1) size - outs, 0) / (2 outs).
struct Pair {
    low: u32,
    high: u32,
    weight: f32,
}

fn source(o: u32, size: u32, outs: u32) -> Pair {
    let numerator = max((2u * o + 1u) * size, outs) - outs;
    let low = min(numerator / (2u * outs), size - 1u);
    let rest = numerator - low * 2u * outs;
    return Pair(low, min(low + 1u, size - 1u), f32(rest) / f32(2u * outs));
}
