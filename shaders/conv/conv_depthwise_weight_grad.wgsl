// Weight gradient of conv_depthwise.wgsl in partial sums:
//   partial[split][u, v, o] = sum over the columns of the split, in tiles of TM, of
//   x[i + u - padding, j + v - padding, o] gy[i, j, o]
//
// An invocation owns all taps of one vector of channels. It walks down the columns of a tile and keeps the last KERNEL
// rows of gy, which are narrower than those of x: 2 TM + KERNEL - 1 vectors loaded for TM KERNEL^2 multiply-adds.
// `unpack_grouped_weight_grad.wgsl` adds the splits.
const KERNEL: u32 = 3u;
const TM: u32 = 4u;
// With 1 the mean of the patches is taken off x, off zeros of the padding too: that under the middle tap when x is
// loaded, and what the means of other taps differ by, a share of the border's, from the sum. Off the sum alone it would
// cancel where the mean is far from zero.
const CENTERED: u32 = 0u;
const TAPS: u32 = KERNEL * KERNEL;
// KERNEL - 1 rows before the last, TM + KERNEL - 1 columns of x: said in numbers, so that loops over them are written
// out.
const BEFORE: u32 = 2u;
const SPAN: u32 = 6u;
// Rows written out at once, so that few move up in registers: 3 of a 3x3 kernel, 1 of a 5x5 kernel, whose code is long;
// and rows kept.
const ROUND: u32 = 9u / KERNEL;
const KEPT: u32 = BEFORE + ROUND;

struct Params {
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    outputs4: u32,
    padding: u32,
    tiles: u32,
    all_tiles: u32,
    tiles_per_split: u32,
    invocations: u32,
    channels: u32,
}

// #import conv/shared/weight_grad_io.wgsl
// #import conv/shared/conv_columns.wgsl
// #import shared/divide.wgsl
// #import shared/index.wgsl

// Mean of the patches under a tap, for a vector of channels.
fn mean_of(vector: u32, tap: u32) -> vec4f {
    let at = min(vector * 4u + vec4u(0u, 1u, 2u, 3u), vec4u(params.channels - 1u)) * TAPS + tap;
    return vec4f(mean[at.x], mean[at.y], mean[at.z], mean[at.w]);
}

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
    let split = quotient(invocation, params.outputs4);
    let o = invocation - split * params.outputs4;
    var center: vec4f;
    if CENTERED == 1u {
        center = mean_of(o, TAPS / 2u);
    }
    let line = params.out_width * params.outputs4;
    var sum: array<vec4f, TAPS>;
    var gradients: vec4f;
    for (var t = 0u; t < params.tiles_per_split; t++) {
        let exists = split * params.tiles_per_split + t < params.all_tiles;
        let tile = min(split * params.tiles_per_split + t, params.all_tiles - 1u);
        let image = quotient(tile, params.tiles);
        let column = (tile - image * params.tiles) * TM;
        var columns = columns_from(image, column, o);
        var places: array<u32, TM>;
        var valid: array<bool, TM>;
        for (var m = 0u; m < TM; m++) {
            valid[m] = exists & (column + m < params.out_width);
            let at = image * params.out_height * params.out_width + min(column + m, params.out_width - 1u);
            places[m] = at * params.outputs4 + o;
        }
        // Row j of `rows` is row i + j + 1 - KERNEL of gy; there are none before the first and behind the last.
        var rows: array<array<vec4f, TM>, KEPT>;
        for (var i = 0u; i + 1u < params.out_height + KERNEL; i += ROUND) {
            for (var s = 0u; s < ROUND; s++) {
                let row = i + s;
                let base = min(row * line, (params.out_height - 1u) * line);
                for (var m = 0u; m < TM; m++) {
                    let inside = valid[m] & (row < params.out_height);
                    rows[s + BEFORE][m] = select(vec4f(0.0), gy[base + places[m]], inside);
                    if CENTERED == 1u {
                        gradients += rows[s + BEFORE][m];
                    }
                }
                var a = row_of_columns(&columns, row);
                if CENTERED == 1u {
                    for (var j = 0u; j < SPAN; j++) {
                        a[j] -= center;
                    }
                }
                for (var u = 0u; u < KERNEL; u++) {
                    for (var v = 0u; v < KERNEL; v++) {
                        for (var m = 0u; m < TM; m++) {
                            sum[u * KERNEL + v] = fma(a[m + v], rows[s + BEFORE - u][m], sum[u * KERNEL + v]);
                        }
                    }
                }
            }
            for (var u = 0u; u < BEFORE; u++) {
                rows[u] = rows[u + ROUND];
            }
        }
    }
    if own >= params.invocations {
        return;
    }
    for (var tap = 0u; tap < TAPS; tap++) {
        if CENTERED == 1u {
            sum[tap] = fma(center - mean_of(o, tap), gradients, sum[tap]);
        }
        partial[(split * TAPS + tap) * params.outputs4 + o] = sum[tap];
    }
}
