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

fn sample(feature: u32, m: u32) -> f32 {
    let taps = params.kernel * params.kernel;
    let channel = feature / taps;
    if params.grid == 0u {
        return x[m * params.step * params.channel_stride + channel];
    }
    let tap = feature % taps;
    let line = m / params.out_width;
    let image = line / params.out_height;
    let row = i32((line % params.out_height) * params.step + (tap / params.kernel) * params.dilation) - i32(params.padding);
    let col = i32((m % params.out_width) * params.step + (tap % params.kernel) * params.dilation) - i32(params.padding);
    if row < 0 || col < 0 || row >= i32(params.height) || col >= i32(params.width) {
        return 0.0;
    }
    return x[((image * params.height + u32(row)) * params.width + u32(col)) * params.channel_stride + channel];
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
    let m = r % params.samples;
    var v = vec4f(0.0);
    for (var e = 0u; e < 4u; e++) {
        if entry + e < params.d {
            v[e] = sample(feature_of(block, entry + e, params.blocks, params.d, params.interleaved), m);
        }
    }
    rows[index] = v;
}
