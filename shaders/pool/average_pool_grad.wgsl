// gx = sum over the windows that cover a pixel of gy / area: a gather, without atomics. ADAPTIVE chooses the windows,
// see shared/average_window.wgsl. One vector per invocation: a read per window, one write.
const ADAPTIVE: u32 = 0u;

// #import shared/index.wgsl
// #import pool/shared/average_window.wgsl

@group(0) @binding(1) var<storage, read> gy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> gx: array<vec4f>;

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
    let at = place_of(i, params.height, params.width);
    let rows = covering(at.row, params.height, params.out_height);
    let columns = covering(at.column, params.width, params.out_width);
    var sum = vec4f(0.0);
    for (var oy = rows.x; oy < rows.y; oy++) {
        let high = window_span(oy, params.height, params.out_height);
        let row = (at.image * params.out_height + oy) * params.out_width;
        for (var ox = columns.x; ox < columns.y; ox++) {
            let wide = window_span(ox, params.width, params.out_width);
            sum += gy[(row + ox) * params.channels4 + at.vector] / window_area(high, wide);
        }
    }
    gx[i] = sum;
}
