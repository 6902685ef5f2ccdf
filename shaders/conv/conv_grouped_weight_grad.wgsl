// Weight gradient of a convolution in groups, in partial sums over image rows:
//   partial[split][tap, c, o] = sum over the output pixels p of the split of x[position(p, tap), input c of o's group]
//   gy[p, o]
//
// An invocation owns one tap, one vector of outputs and one input of each one's group, or, with GROUPING = 1, four
// inputs: see `conv_grouped.wgsl` for the meaning of GROUPING. `unpack_grouped_weight_grad.wgsl` adds the splits.
const GROUPING: u32 = 0u;

struct Params {
// #import conv/shared/sizes.wgsl
    taps: u32,
    lines: u32,
    lines_per_split: u32,
    invocations: u32,
    groups: u32,
    inputs_per_group: u32,
    outputs_per_group: u32,
    centered: u32,
}

// #import conv/shared/weight_grad_io.wgsl

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
    let step = select(1u, 4u, GROUPING == 1u);
    let o = invocation % params.outputs4;
    let inputs = params.inputs_per_group / step;
    let c = ((invocation / params.outputs4) % inputs) * step;
    let tap = (invocation / (params.outputs4 * inputs)) % params.taps;
    let split = invocation / (params.outputs4 * inputs * params.taps);
    let own = (o * 4u + vec4u(0u, 1u, 2u, 3u)) / params.outputs_per_group;
    let at = min(own, vec4u(params.groups - 1u)) * params.inputs_per_group + c;
    let dy = i32((tap / params.kernel_width) * params.dilation) - i32(params.padding);
    let dx = i32((tap % params.kernel_width) * params.dilation) - i32(params.padding);
    // The mean of the patches, which is taken off x and off zeros of the padding.
    let channels = select(at, vec4u(at.x) + vec4u(0u, 1u, 2u, 3u), GROUPING == 1u);
    let features = (channels * params.taps + tap) * params.centered;
    let means = vec4f(mean[features.x], mean[features.y], mean[features.z], mean[features.w]);
    let off = select(vec4f(0.0), means, params.centered == 1u);
    var sum: array<vec4f, 4>;
    let first = split * params.lines_per_split;
    let last = min(first + params.lines_per_split, params.lines);
    for (var line = first; line < last; line++) {
        let iy = i32((line % params.out_height) * params.stride) + dy;
        let inside_y = iy >= 0 && iy < i32(params.height);
        // Without a mean all that lies outside is zero.
        if inside_y || params.centered == 1u {
            let image = line / params.out_height;
            let start = (image * params.height + u32(select(0, iy, inside_y))) * params.width * params.channels4;
            for (var ox = 0u; ox < params.out_width; ox++) {
                let ix = i32(ox * params.stride) + dx;
                let inside = inside_y && ix >= 0 && ix < i32(params.width);
                let base = start + u32(select(0, ix, inside)) * params.channels4;
                let g = gy[(line * params.out_width + ox) * params.outputs4 + o];
                if GROUPING == 2u {
                    sum[0] = fma(select(vec4f(0.0), x[base + o], inside) - off, g, sum[0]);
                } else if GROUPING == 1u {
                    let a = select(vec4f(0.0), x[base + at.x / 4u], inside) - off;
                    sum[0] = fma(vec4f(a.x), g, sum[0]);
                    sum[1] = fma(vec4f(a.y), g, sum[1]);
                    sum[2] = fma(vec4f(a.z), g, sum[2]);
                    sum[3] = fma(vec4f(a.w), g, sum[3]);
                } else {
                    let value = vec4f(
                        x[base + at.x / 4u][at.x % 4u],
                        x[base + at.y / 4u][at.y % 4u],
                        x[base + at.z / 4u][at.z % 4u],
                        x[base + at.w / 4u][at.w % 4u],
                    );
                    sum[0] = fma(select(vec4f(0.0), value, inside) - off, g, sum[0]);
                }
            }
        }
    }
    let to = ((split * params.taps + tap) * params.inputs_per_group + c) * params.outputs4 + o;
    partial[to] = sum[0];
    if GROUPING == 1u {
        partial[to + params.outputs4] = sum[1];
        partial[to + 2u * params.outputs4] = sum[2];
        partial[to + 3u * params.outputs4] = sum[3];
    }
}
