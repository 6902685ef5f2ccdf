// x[n, pixel, c] = sum over the taps (u, v) and outputs l that see the pixel of y[n, (c,u,v), l]: the adjoint of
// `patches.wgsl`. One vector of x per invocation; reads kh kw / stride^2 scalars per lane, writes once, no atomics.
struct Params {
    vectors: u32,
    height: u32,
    width: u32,
    channels: u32,
    channels4: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride: u32,
    padding: u32,
    dilation: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> x: array<vec4f>;

// #import shared/index.wgsl

// Output coordinate that sees input coordinate `at` under tap `tap`, or -1 where there is none.
fn output_at(at: u32, tap: u32, size: u32) -> i32 {
    let t = i32(at + params.padding) - i32(tap * params.dilation);
    let i = t / i32(params.stride);
    return select(-1, i, t >= 0 && i * i32(params.stride) == t && i < i32(size));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let i = flat_index(group, groups, local);
    if i >= params.vectors {
        return;
    }
    let first = (i % params.channels4) * 4u;
    let pixel = i / params.channels4;
    let col = pixel % params.width;
    let row = (pixel / params.width) % params.height;
    let image = pixel / (params.width * params.height);
    // Lanes of the padding read the last channel and are cleared at the end.
    let channel = min(first + vec4u(0u, 1u, 2u, 3u), vec4u(params.channels - 1u));
    let taps = params.kernel_height * params.kernel_width;
    let outputs = params.out_height * params.out_width;
    var sum = vec4f(0.0);
    for (var u = 0u; u < params.kernel_height; u++) {
        let oy = output_at(row, u, params.out_height);
        if oy >= 0 {
            for (var v = 0u; v < params.kernel_width; v++) {
                let ox = output_at(col, v, params.out_width);
                if ox >= 0 {
                    let feature = (image * params.channels + channel) * taps + u * params.kernel_width + v;
                    let at = feature * outputs + u32(oy) * params.out_width + u32(ox);
                    sum += vec4f(y[at.x], y[at.y], y[at.z], y[at.w]);
                }
            }
        }
    }
    x[i] = select(vec4f(0.0), sum, first + vec4u(0u, 1u, 2u, 3u) < vec4u(params.channels));
}
