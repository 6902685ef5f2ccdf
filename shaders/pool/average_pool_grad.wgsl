// gx = sum over the windows that cover a pixel of gy / area: a gather, without atomics. ADAPTIVE chooses the windows,
// see shared/average_window.wgsl. One vector per invocation: a read per window, one write.
const ADAPTIVE: u32 = 0u;

struct Params {
    vectors: u32,
    channels4: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> gx: array<vec4f>;

// #import shared/index.wgsl
// #import pool/shared/average_window.wgsl

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
    let c = i % params.channels4;
    let pixel = i / params.channels4;
    let line = pixel / params.width;
    let image = line / params.height;
    let rows = covering(line % params.height, params.height, params.out_height);
    let columns = covering(pixel % params.width, params.width, params.out_width);
    var sum = vec4f(0.0);
    for (var oy = rows.x; oy < rows.y; oy++) {
        let high = window_span(oy, params.height, params.out_height);
        let row = (image * params.out_height + oy) * params.out_width;
        for (var ox = columns.x; ox < columns.y; ox++) {
            let wide = window_span(ox, params.width, params.out_width);
            sum += gy[(row + ox) * params.channels4 + c] / window_area(high, wide);
        }
    }
    gx[i] = sum;
}
