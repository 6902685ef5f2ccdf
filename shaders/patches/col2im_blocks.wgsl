// The adjoint of im2col_blocks.wgsl (method, section 9.2): x = gathered + col2im(rows), nothing gathered where add = 0,
// and with mask = 1 zero where the ReLU whose output was gathered from is not above 0. Each element asks which sampled
// patches cover it, so overlapping patches need no atomics. An invocation owns one vector of four channels and walks
// over LINES pixels, so that what divides is done once for all of them. What differs between layers is constant, as
// software adapters run both sides of a branch.
struct Params {
    items: u32,
    pixels: u32,
    d: u32,
    d4: u32,
    samples: u32,
    blocks: u32,
    kernel: u32,
    height: u32,
    width: u32,
    channel_stride: u32,
    out_height: u32,
    out_width: u32,
    step: u32,
    padding: u32,
    dilation: u32,
    channels: u32,
    add: u32,
    mask: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> gathered: array<vec4f>;
@group(0) @binding(3) var<storage, read> rectified: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> x: array<vec4f>;

// Samples are 0 single pixels, 1 patches that do not overlap, 2 any patches.
const SAMPLES: u32 = 1u;
const INTERLEAVED: u32 = 0u;
const LINES: u32 = 8u;

// #import shared/index.wgsl
// #import shared/divide.wgsl

// Where the vector's four channels stand in rows: of contiguous blocks their block and their first entry.
struct Channels {
    first: u32,
    block: vec4u,
    entry: vec4u,
}

fn channels_from(first: u32, taps: u32) -> Channels {
    let channel = min(vec4u(first) + vec4u(0u, 1u, 2u, 3u), vec4u(params.channels - 1u));
    let feature = channel * taps;
    let block = quotients(feature, params.d);
    return Channels(first, block, feature - block * params.d);
}

// The row of a sampled position of an image among the rows of a block.
fn sample(image: u32, row: u32, column: u32) -> u32 {
    return (image * params.out_height + row) * params.out_width + column;
}

// What row m of the samples gives to the four channels through tap `tap`.
fn row_of(channels: Channels, taps: u32, tap: u32, m: u32) -> vec4f {
    var block = channels.block;
    var entry = channels.entry + tap;
    if INTERLEAVED == 1u {
        let channel = min(vec4u(channels.first) + vec4u(0u, 1u, 2u, 3u), vec4u(params.channels - 1u));
        let feature = channel * taps + tap;
        entry = quotients(feature, params.blocks);
        block = feature - entry * params.blocks;
    }
    let width = params.d4 * 4u;
    let at = (block * params.samples + m) * width + entry;
    return vec4f(rows[at.x], rows[at.y], rows[at.z], rows[at.w]);
}

// The sampled position whose tap lies on coordinate `at`, or -1.
fn position(at: u32, tap: u32, size: u32) -> i32 {
    let t = i32(at + params.padding) - i32(tap * params.dilation);
    let i = i32(quotient(u32(max(t, 0)), params.step));
    return select(-1, i, t >= 0 && i * i32(params.step) == t && i < i32(size));
}

// What the patch that covers a pixel gives, where no two do: `down` and `across` are the pixel's places on the padded
// map, as the number of a step and the rest.
fn disjoint(channels: Channels, taps: u32, image: u32, down: vec2u, across: vec2u) -> vec4f {
    let lies = max(down.y, across.y) < params.kernel && down.x < params.out_height && across.x < params.out_width;
    let m = sample(image, down.x, across.x);
    let found = row_of(channels, taps, select(0u, down.y * params.kernel + across.y, lies), select(0u, m, lies));
    return select(vec4f(0.0), found, lies);
}

// What all patches that cover a pixel give. Without dilation only every step-th tap, from the rest on, can lie there.
fn covered(channels: Channels, taps: u32, image: u32, row: u32, col: u32, down: vec2u, across: vec2u) -> vec4f {
    let plain = params.dilation == 1u;
    let advance = select(1u, params.step, plain);
    var sum = vec4f(0.0);
    var i = i32(down.x);
    for (var u = select(0u, down.y, plain); u < params.kernel; u += advance) {
        if !plain {
            i = position(row, u, params.out_height);
        }
        var j = i32(across.x);
        for (var w = select(0u, across.y, plain); w < params.kernel; w += advance) {
            if !plain {
                j = position(col, w, params.out_width);
            }
            if i >= 0 && j >= 0 && i < i32(params.out_height) && j < i32(params.out_width) {
                let m = sample(image, u32(i), u32(j));
                sum += row_of(channels, taps, u * params.kernel + w, m);
            }
            j -= 1;
        }
        i -= 1;
    }
    return sum;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let index = flat_index(group, groups, local);
    if index >= params.items {
        return;
    }
    let stride4 = params.channel_stride / 4u;
    let strip = quotient(index, stride4);
    let vector = index - strip * stride4;
    let first = strip * LINES;
    let last = min(first + LINES, params.pixels);
    let taps = params.kernel * params.kernel;
    let channels = channels_from(vector * 4u, taps);
    let used = vec4u(vector * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.channels);
    let line = quotient(first, params.width);
    var col = first - line * params.width;
    var image = quotient(line, params.height);
    var row = line - image * params.height;
    let pad_step = quotient(params.padding, params.step);
    let origin = vec2u(pad_step, params.padding - pad_step * params.step);
    var down = vec2u(quotient(row + params.padding, params.step), 0u);
    down.y = row + params.padding - down.x * params.step;
    var across = vec2u(quotient(col + params.padding, params.step), 0u);
    across.y = col + params.padding - across.x * params.step;
    for (var pixel = first; pixel < last; pixel++) {
        var v = vec4f(0.0);
        if SAMPLES == 0u {
            let sample = quotient(pixel, params.step);
            let found = row_of(channels, taps, 0u, sample);
            v = select(v, found, sample * params.step == pixel);
        } else if SAMPLES == 1u {
            v = disjoint(channels, taps, image, down, across);
        } else {
            v = covered(channels, taps, image, row, col, down, across);
        }
        let at = pixel * stride4 + vector;
        v = select(vec4f(0.0), v, used);
        if params.add == 1u {
            v += gathered[at];
        }
        if params.mask == 1u {
            v *= select(vec4f(0.0), vec4f(1.0), rectified[at] > vec4f(0.0));
        }
        x[at] = v;
        col += 1u;
        across.y += 1u;
        if across.y == params.step {
            across = vec2u(across.x + 1u, 0u);
        }
        if col == params.width {
            col = 0u;
            across = origin;
            row += 1u;
            down.y += 1u;
            if down.y == params.step {
                down = vec2u(down.x + 1u, 0u);
            }
            if row == params.height {
                row = 0u;
                down = origin;
                image += 1u;
            }
        }
    }
}
