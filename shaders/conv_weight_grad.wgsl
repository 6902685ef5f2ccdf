// Weight gradient of a convolution, in partial sums over image rows:
//   partial[split][tap, c, o] = sum over the output pixels p of the split of x[position(p, tap), c] gy[p, o]
//
// Register tile: an invocation owns TA vectors of (tap, input channel) x TB vectors of output channels, 4 TA x 4 TB
// values. Per pixel: TA + TB vector loads for 4 TA TB multiply-adds of vectors. LX lanes along output channels,
// LY lanes along (tap, input channel). `unpack_weight_grad.wgsl` adds the splits.
const TA: u32 = 4u;
const TB: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 1u;

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
    lines: u32,
    lines_per_split: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> gy: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4f>;

@compute @workgroup_size(LX, LY)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let rows = params.taps * params.channels4;
    let r0 = (group.y * LY + local.y) * TA;
    let o0 = group.x * LX * TB + local.x;
    if r0 >= rows || o0 >= params.outputs4 {
        return;
    }
    var column: array<u32, TB>;
    for (var j = 0u; j < TB; j++) {
        column[j] = min(o0 + j * LX, params.outputs4 - 1u);
    }
    var channel: array<u32, TA>;
    var dy: array<i32, TA>;
    var dx: array<i32, TA>;
    for (var i = 0u; i < TA; i++) {
        let r = min(r0 + i, rows - 1u);
        let tap = r / params.channels4;
        channel[i] = r % params.channels4;
        dy[i] = i32((tap / params.kernel_width) * params.dilation) - i32(params.padding);
        dx[i] = i32((tap % params.kernel_width) * params.dilation) - i32(params.padding);
    }
    var sum: array<array<array<vec4f, TB>, 4>, TA>;
    let first = group.z * params.lines_per_split;
    let last = min(first + params.lines_per_split, params.lines);
    for (var line = first; line < last; line++) {
        let n = line / params.out_height;
        let oy = i32((line % params.out_height) * params.stride);
        var base: array<u32, TA>;
        var inside: array<bool, TA>;
        for (var i = 0u; i < TA; i++) {
            let iy = oy + dy[i];
            inside[i] = iy >= 0 && iy < i32(params.height);
            base[i] = (n * params.height + u32(select(0, iy, inside[i]))) * params.width * params.channels4 + channel[i];
        }
        for (var ox = 0u; ox < params.out_width; ox++) {
            var g: array<vec4f, TB>;
            for (var j = 0u; j < TB; j++) {
                g[j] = gy[(line * params.out_width + ox) * params.outputs4 + column[j]];
            }
            var a: array<vec4f, TA>;
            for (var i = 0u; i < TA; i++) {
                let ix = i32(ox * params.stride) + dx[i];
                let valid = inside[i] && ix >= 0 && ix < i32(params.width);
                a[i] = select(vec4f(0.0), x[base[i] + u32(select(0, ix, valid)) * params.channels4], valid);
            }
            for (var i = 0u; i < TA; i++) {
                for (var j = 0u; j < TB; j++) {
                    sum[i][0][j] = fma(vec4f(a[i].x), g[j], sum[i][0][j]);
                    sum[i][1][j] = fma(vec4f(a[i].y), g[j], sum[i][1][j]);
                    sum[i][2][j] = fma(vec4f(a[i].z), g[j], sum[i][2][j]);
                    sum[i][3][j] = fma(vec4f(a[i].w), g[j], sum[i][3][j]);
                }
            }
        }
    }
    for (var i = 0u; i < TA; i++) {
        for (var e = 0u; e < 4u; e++) {
            for (var j = 0u; j < TB; j++) {
                let o = o0 + j * LX;
                if r0 + i < rows && o < params.outputs4 {
                    partial[((group.z * rows + r0 + i) * 4u + e) * params.outputs4 + o] = sum[i][e][j];
                }
            }
        }
    }
}
