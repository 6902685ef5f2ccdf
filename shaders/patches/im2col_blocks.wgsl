// Gathers sampled patches into rows per block (method, sections 2-4): row j * samples + m holds block j of patch m,
// whether the blocks are pooled into one statistic or kept apart. An invocation owns one vector of four entries and
// walks over LINES patches, so that the divisions that find a feature's channel and tap are made once for all of them;
// four gathers and one write per patch.
struct Params {
    vectors: u32,
    d: u32,
    d4: u32,
    samples: u32,
    chunks: u32,
    blocks: u32,
    kernel: u32,
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

const LINES: u32 = 8u;

// #import shared/index.wgsl
// #import patches/shared/blocks.wgsl
// #import shared/divide.wgsl

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
    let run = quotient(index, params.d4);
    let entry = (index - run * params.d4) * 4u;
    let block = quotient(run, params.chunks);
    let first = (run - block * params.chunks) * LINES;
    let last = min(first + LINES, params.samples);

    let taps = params.kernel * params.kernel;
    let entries = vec4u(entry) + vec4u(0u, 1u, 2u, 3u);
    let features = vec4u(
        feature_of(block, entries.x, params.blocks, params.d, params.interleaved),
        feature_of(block, entries.y, params.blocks, params.d, params.interleaved),
        feature_of(block, entries.z, params.blocks, params.d, params.interleaved),
        feature_of(block, entries.w, params.blocks, params.d, params.interleaved),
    );
    let used = entries < vec4u(params.d);
    let channel = quotients(features, taps);
    let tap = features - channel * taps;
    let tap_row = quotients(tap, params.kernel);
    let down = vec4i(tap_row * params.dilation) - vec4i(i32(params.padding));
    let across = vec4i((tap - tap_row * params.kernel) * params.dilation) - vec4i(i32(params.padding));

    let line = quotient(first, params.out_width);
    var out_column = first - line * params.out_width;
    var image = quotient(line, params.out_height);
    var out_row = line - image * params.out_height;
    for (var m = first; m < last; m++) {
        var inside = used;
        var at = vec4u(m * params.step * params.channel_stride) + channel;
        if params.grid == 1u {
            let row = vec4i(i32(out_row * params.step)) + down;
            let column = vec4i(i32(out_column * params.step)) + across;
            inside = inside & (row >= vec4i(0)) & (column >= vec4i(0));
            inside = inside & (row < vec4i(i32(params.height))) & (column < vec4i(i32(params.width)));
            let pixel = (vec4i(i32(image * params.height)) + row) * i32(params.width) + column;
            at = vec4u(pixel) * params.channel_stride + channel;
        }
        at = select(vec4u(0u), at, inside);
        let v = vec4f(x[at.x], x[at.y], x[at.z], x[at.w]);
        rows[(block * params.samples + m) * params.d4 + entry / 4u] = select(vec4f(0.0), v, inside);
        out_column += 1u;
        if out_column == params.out_width {
            out_column = 0u;
            out_row += 1u;
            if out_row == params.out_height {
                out_row = 0u;
                image += 1u;
            }
        }
    }
}
