// Depthwise convolution with stride and dilation 1, a kernel of KERNEL x KERNEL for each channel:
//   y[i, j, o] = bias[o] + sum over taps of x[i + u - padding, j + v - padding, o] w[u, v, o]
// and with flipped = 1 the taps the other way round, which makes it the input gradient of another one.
//
// An invocation owns TM columns of a strip of rows of one vector of channels and walks down the strip: each row of x is
// loaded once, TM + KERNEL - 1 vectors for TM outputs, and added to the KERNEL rows of y that it belongs to.
const KERNEL: u32 = 3u;
const TM: u32 = 4u;
const TAPS: u32 = KERNEL * KERNEL;
// KERNEL - 1 rows before the last, TM + KERNEL - 1 columns of x: said in numbers, so that loops over them are written
// out.
const BEFORE: u32 = 2u;
const SPAN: u32 = 6u;
// Rows written out at once, so that few move up in registers, and rows kept.
const ROUND: u32 = 2u;
const KEPT: u32 = BEFORE + ROUND;
const RELU: u32 = 0u;

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    outputs4: u32,
    padding: u32,
    pixels: u32,
    tiles: u32,
    strips: u32,
    strip: u32,
    invocations: u32,
    flipped: u32,
    has_bias: u32,
}

// #import conv/shared/conv_io.wgsl
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;
// #import conv/shared/conv_columns.wgsl
// #import shared/divide.wgsl
// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    // No loop ends early, and none is left out: where bounds differ between invocations NVIDIA's compiler keeps every
    // sum twice.
    let own = flat_index(group, groups, local);
    let invocation = min(own, params.invocations - 1u);
    let place = quotient(invocation, params.outputs4);
    let o = invocation - place * params.outputs4;
    let line = quotient(place, params.tiles);
    let column = (place - line * params.tiles) * TM;
    let image = quotient(line, params.strips);
    let first = (line - image * params.strips) * params.strip;
    let last = select(0u, min(first + params.strip, params.out_height), own < params.invocations);
    var w: array<vec4f, TAPS>;
    for (var tap = 0u; tap < TAPS; tap++) {
        w[tap] = weight[select(tap, TAPS - 1u - tap, params.flipped == 1u) * params.outputs4 + o];
    }
    let shift = shift_of(o);
    var columns = columns_from(image, column, o);
    let stride = params.out_width * params.outputs4;
    let own_y = ((image * params.out_height + first) * params.out_width + column) * params.outputs4 + o;
    // Row j of `sum` is row i + j + 1 - KERNEL of y, and row i - padding of x is added to those of KERNEL taps, of
    // which the first is then done.
    var sum: array<array<vec4f, TM>, KEPT>;
    for (var r = 0u; r + 1u < params.strip + KERNEL; r += ROUND) {
        for (var s = 0u; s < ROUND; s++) {
            let i = first + r + s;
            var a = row_of_columns(&columns, i);
            for (var m = 0u; m < TM; m++) {
                sum[s + BEFORE][m] = shift;
            }
            for (var u = 0u; u < KERNEL; u++) {
                for (var v = 0u; v < KERNEL; v++) {
                    for (var m = 0u; m < TM; m++) {
                        sum[s + u][m] = fma(a[m + v], w[(BEFORE - u) * KERNEL + v], sum[s + u][m]);
                    }
                }
            }
            if (r + s + 1u >= KERNEL) & (i + 1u < last + KERNEL) {
                let to = own_y + (r + s + 1u - KERNEL) * stride;
                for (var m = 0u; m < TM; m++) {
                    if column + m < params.out_width {
                        y[to + m * params.outputs4] = select(sum[s][m], relu(sum[s][m]), RELU == 1u);
                    }
                }
            }
        }
        for (var u = 0u; u < BEFORE; u++) {
            sum[u] = sum[u + ROUND];
        }
    }
}
