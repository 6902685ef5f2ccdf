// y = mean over each window of x; ADAPTIVE chooses the windows, see shared/average_window.wgsl. One vector per
// invocation: a read per pixel of its window, one write.
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
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

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
    let line = pixel / params.out_width;
    let image = line / params.out_height;
    let rows = window_span(line % params.out_height, params.height, params.out_height);
    let columns = window_span(pixel % params.out_width, params.width, params.out_width);
    var sum = vec4f(0.0);
    for (var iy = rows.x; iy < rows.y; iy++) {
        let row = (image * params.height + iy) * params.width;
        for (var ix = columns.x; ix < columns.y; ix++) {
            sum += x[(row + ix) * params.channels4 + c];
        }
    }
    y[i] = sum / window_area(rows, columns);
}
