// Gathers sampled patches into rows per block: rows[s][r][i] (spec 2-4). Pooled: s = 0 and row j * samples + m holds
// block j of patch m; otherwise s = j and r = m. One vector of four entries per invocation: four gathers, one write.
struct Params {
    vectors: u32,
    d: u32,
    d4: u32,
    rows: u32,
    samples: u32,
    blocks: u32,
    kernel: u32,
    pooled: u32,
    interleaved: u32,
    grid: u32,
    height: u32,
    width: u32,
    channel_stride: u32,
    out_height: u32,
    out_width: u32,
    step: u32,
    padding: u32,
    dilation: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> rows: array<vec4f>;

// #import shared/index.wgsl
// #import shared/blocks.wgsl

// Where patch m begins in x: image, row and column of its first tap, border counted from -padding.
struct Origin {
    image: u32,
    row: i32,
    col: i32,
}

fn origin_of(m: u32) -> Origin {
    let line = m / params.out_width;
    let image = line / params.out_height;
    let row = i32((line - image * params.out_height) * params.step) - i32(params.padding);
    let col = i32((m - line * params.out_width) * params.step) - i32(params.padding);
    return Origin(image, row, col);
}

fn tap_value(origin: Origin, channel: u32, u: u32, v: u32) -> f32 {
    let row = origin.row + i32(u * params.dilation);
    let col = origin.col + i32(v * params.dilation);
    let inside = row >= 0 && col >= 0 && row < i32(params.height) && col < i32(params.width);
    let pixel = (origin.image * params.height + u32(select(0, row, inside))) * params.width + u32(select(0, col, inside));
    return select(0.0, x[pixel * params.channel_stride + channel], inside);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let index = flat_index(group, groups, local);
    if index >= params.vectors {
        return;
    }
    let entry = (index % params.d4) * 4u;
    let r = (index / params.d4) % params.rows;
    let s = index / (params.d4 * params.rows);
    let block = select(s, r / params.samples, params.pooled == 1u);
    let m = select(r, r - block * params.samples, params.pooled == 1u);
    var feature = feature_of(block, entry, params.blocks, params.d, params.interleaved);
    var v = vec4f(0.0);
    if params.grid == 0u {
        let advance = select(1u, params.blocks, params.interleaved == 1u);
        let base = m * params.step * params.channel_stride + feature;
        for (var e = 0u; e < 4u; e++) {
            if entry + e < params.d {
                v[e] = x[base + e * advance];
            }
        }
        rows[index] = v;
        return;
    }
    let origin = origin_of(m);
    let taps = params.kernel * params.kernel;
    var channel = feature / taps;
    var u = (feature - channel * taps) / params.kernel;
    var w = feature - channel * taps - u * params.kernel;
    for (var e = 0u; e < 4u; e++) {
        if entry + e < params.d {
            v[e] = tap_value(origin, channel, u, w);
        }
        // Integer divisions are slow; contiguous features are counted up instead.
        if params.interleaved == 1u {
            feature += params.blocks;
            channel = feature / taps;
            u = (feature - channel * taps) / params.kernel;
            w = feature - channel * taps - u * params.kernel;
        } else {
            w += 1u;
            u += select(0u, 1u, w == params.kernel);
            w = select(w, 0u, w == params.kernel);
            channel += select(0u, 1u, u == params.kernel);
            u = select(u, 0u, u == params.kernel);
        }
    }
    rows[index] = v;
}
