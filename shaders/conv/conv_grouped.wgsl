// Convolution of independent groups of channels, `inputs` of them to `outputs` per group:
//   y[p, o] = bias[o] + sum over taps and the inputs c of o's group of x[position(p, tap), c] w[tap, c, o]
// and, with TRANSPOSED = 1, its adjoint in x (x is gy, outputs are input channels, weights packed the other way).
//
// An invocation owns one vector of outputs at TM consecutive pixels; neighbours take neighbouring vectors. GROUPING
// says how its four outputs find their inputs: 0 each in a group of its own (four scalar loads for a multiply-add of
// vectors), 1 all in one group of whole vectors (one vector load for four), 2 depthwise (one vector load for one).
const TRANSPOSED: u32 = 0u;
const GROUPING: u32 = 0u;
const TM: u32 = 4u;

struct Params {
// #import conv/shared/sizes.wgsl
    kernel_height: u32,
    pixels: u32,
    invocations: u32,
    groups: u32,
    inputs_per_group: u32,
    outputs_per_group: u32,
    has_bias: u32,
    relu: u32,
}

// #import conv/shared/conv_io.wgsl
// #import conv/shared/conv_store.wgsl
// #import conv/shared/conv_position.wgsl
// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let invocation = flat_index(group, groups, local);
    if invocation >= params.invocations {
        return;
    }
    let o = invocation % params.outputs4;
    let p0 = (invocation / params.outputs4) * TM;
    // First input of each output's group; outputs of the padding look at the last group and have weights of 0.
    let own = (o * 4u + vec4u(0u, 1u, 2u, 3u)) / params.outputs_per_group;
    let first = min(own, vec4u(params.groups - 1u)) * params.inputs_per_group;
    var image: array<u32, TM>;
    var row: array<u32, TM>;
    var col: array<u32, TM>;
    for (var i = 0u; i < TM; i++) {
        let p = min(p0 + i, params.pixels - 1u);
        let line = p / params.out_width;
        image[i] = line / params.out_height;
        row[i] = line % params.out_height;
        col[i] = p % params.out_width;
    }
    var sum: array<vec4f, TM>;
    for (var u = 0u; u < params.kernel_height; u++) {
        for (var v = 0u; v < params.kernel_width; v++) {
            var base: array<u32, TM>;
            var inside: array<bool, TM>;
            for (var i = 0u; i < TM; i++) {
                let iy = position(row[i], u, params.height);
                let ix = position(col[i], v, params.width);
                inside[i] = iy >= 0 && ix >= 0;
                let at = ((image[i] * params.height + u32(iy)) * params.width + u32(ix)) * params.channels4;
                base[i] = select(0u, at, inside[i]);
            }
            let w = (u * params.kernel_width + v) * params.inputs_per_group * params.outputs4 + o;
            if GROUPING == 2u {
                for (var i = 0u; i < TM; i++) {
                    sum[i] = fma(select(vec4f(0.0), x[base[i] + o], inside[i]), weight[w], sum[i]);
                }
            } else if GROUPING == 1u {
                for (var c = 0u; c < params.inputs_per_group; c += 4u) {
                    let b0 = weight[w + c * params.outputs4];
                    let b1 = weight[w + (c + 1u) * params.outputs4];
                    let b2 = weight[w + (c + 2u) * params.outputs4];
                    let b3 = weight[w + (c + 3u) * params.outputs4];
                    for (var i = 0u; i < TM; i++) {
                        let a = select(vec4f(0.0), x[base[i] + (first.x + c) / 4u], inside[i]);
                        sum[i] = multiply_add(sum[i], a, b0, b1, b2, b3);
                    }
                }
            } else {
                for (var c = 0u; c < params.inputs_per_group; c++) {
                    let b = weight[w + c * params.outputs4];
                    let at = first + c;
                    for (var i = 0u; i < TM; i++) {
                        let a = vec4f(
                            x[base[i] + at.x / 4u][at.x % 4u],
                            x[base[i] + at.y / 4u][at.y % 4u],
                            x[base[i] + at.z / 4u][at.z % 4u],
                            x[base[i] + at.w / 4u][at.w % 4u],
                        );
                        sum[i] = fma(select(vec4f(0.0), a, inside[i]), b, sum[i]);
                    }
                }
            }
        }
    }
    let shift = shift_of(o);
    for (var i = 0u; i < TM; i++) {
        store(p0 + i, o, sum[i] + shift);
    }
}
