// Windows of an average along one direction. Fixed ones of k taps, s apart, shifted by the padding p, or (ADAPTIVE)
// those that share the map out: window o covers floor(o size / outs) .. ceil((o + 1) size / outs).
// Needs ADAPTIVE where it is imported.
struct Params {
    vectors: u32,
    channels4: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
}

@group(0) @binding(0) var<uniform> params: Params;

// #import pool/shared/place.wgsl

// First pixel and end of window o inside a map of `size`, with `outs` windows.
fn window_span(o: u32, size: u32, outs: u32) -> vec2u {
    if ADAPTIVE == 1u {
        return vec2u(o * size / outs, ((o + 1u) * size + outs - 1u) / outs);
    }
    let first = max(o * params.stride, params.padding) - params.padding;
    return vec2u(first, min(o * params.stride + params.kernel - params.padding, size));
}

// First and end of the windows that cover pixel i.
fn covering(i: u32, size: u32, outs: u32) -> vec2u {
    if ADAPTIVE == 1u {
        return vec2u(i * outs / size, ((i + 1u) * outs + size - 1u) / size);
    }
    let q = i + params.padding;
    let first = select(0u, (q - params.kernel) / params.stride + 1u, q >= params.kernel);
    return vec2u(first, min(q / params.stride + 1u, outs));
}

// What the sum over a window of these spans is divided by: padding counts in fixed windows.
fn window_area(rows: vec2u, columns: vec2u) -> f32 {
    let area = (rows.y - rows.x) * (columns.y - columns.x);
    return f32(select(params.kernel * params.kernel, area, ADAPTIVE == 1u));
}
