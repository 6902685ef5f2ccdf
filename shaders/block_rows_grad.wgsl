// The adjoint of block_rows.wgsl plus the mean's share (spec 9.2): gx = fold(g_rows + scale 1 g_mean^T), by gathering: each
// input element asks which sampled patches cover it, so overlapping patches need no atomics. One vector of four
// channels per invocation.
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
    channels: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g_rows: array<f32>;
@group(0) @binding(2) var<storage, read> g_mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> gx: array<vec4f>;

// #import shared/index.wgsl
// #import shared/blocks.wgsl

fn grad_of(feature: u32, m: u32) -> f32 {
    var at = vec2u(0u, feature);
    if params.blocks > 1u {
        at = entry_of(feature, params.blocks, params.d, params.interleaved);
    }
    let s = select(at.x, 0u, params.pooled == 1u);
    let r = select(m, at.x * params.samples + m, params.pooled == 1u);
    let width = params.d4 * 4u;
    return g_rows[(s * params.rows + r) * width + at.y] + params.scale * g_mean[s * width + at.y];
}

// The sampled position whose tap lies on coordinate `at`, or -1.
fn position(at: u32, tap: u32, size: u32) -> i32 {
    let t = i32(at + params.padding) - i32(tap * params.dilation);
    let i = i32(quotient(u32(max(t, 0)), params.step));
    return select(-1, i, t >= 0 && i * i32(params.step) == t && i < i32(size));
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
    let stride4 = params.channel_stride / 4u;
    let pixel = quotient(index, stride4);
    let channel = (index - pixel * stride4) * 4u;
    var v = vec4f(0.0);
    if params.grid == 0u {
        let sample = quotient(pixel, params.step);
        if sample * params.step == pixel {
            for (var e = 0u; e < 4u; e++) {
                if channel + e < params.channels {
                    v[e] = grad_of(channel + e, sample);
                }
            }
        }
        gx[index] = v;
        return;
    }
    let line = quotient(pixel, params.width);
    let col = pixel - line * params.width;
    let image = quotient(line, params.height);
    let row = line - image * params.height;
    // Without dilation only every step-th tap can lie on this pixel.
    let plain = params.dilation == 1u;
    let u0 = select(0u, row + params.padding - quotient(row + params.padding, params.step) * params.step, plain);
    let w0 = select(0u, col + params.padding - quotient(col + params.padding, params.step) * params.step, plain);
    let advance = select(1u, params.step, plain);
    for (var u = u0; u < params.kernel; u += advance) {
        let i = position(row, u, params.out_height);
        for (var w = w0; w < params.kernel; w += advance) {
            let j = position(col, w, params.out_width);
            if i < 0 || j < 0 {
                continue;
            }
            let m = (image * params.out_height + u32(i)) * params.out_width + u32(j);
            for (var e = 0u; e < 4u; e++) {
                let feature = ((channel + e) * params.kernel + u) * params.kernel + w;
                if feature < params.blocks * params.d && channel + e < params.channels {
                    v[e] += grad_of(feature, m);
                }
            }
        }
    }
    gx[index] = v;
}
