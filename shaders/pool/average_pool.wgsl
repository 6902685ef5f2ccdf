// y = mean over each window of x; ADAPTIVE chooses the windows, see shared/average_window.wgsl. One vector per
// invocation: a read per pixel of its window, one write.
const ADAPTIVE: u32 = 0u;

// #import shared/index.wgsl
// #import pool/shared/average_window.wgsl

@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

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
    let at = place_of(i, params.out_height, params.out_width);
    let rows = window_span(at.row, params.height, params.out_height);
    let columns = window_span(at.column, params.width, params.out_width);
    var sum = vec4f(0.0);
    for (var iy = rows.x; iy < rows.y; iy++) {
        let row = (at.image * params.height + iy) * params.width;
        for (var ix = columns.x; ix < columns.y; ix++) {
            sum += x[(row + ix) * params.channels4 + at.vector];
        }
    }
    y[i] = sum / window_area(rows, columns);
}
