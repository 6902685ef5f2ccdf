// y = x resampled linearly in both directions, see shared/bilinear.wgsl. One vector per invocation: four reads, one
// write.

// #import pool/shared/bilinear.wgsl
// #import shared/index.wgsl

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
    let rows = source(at.row, params.height, params.out_height);
    let columns = source(at.column, params.width, params.out_width);
    let above = (at.image * params.height + rows.low) * params.width;
    let below = (at.image * params.height + rows.high) * params.width;
    let a = x[(above + columns.low) * params.channels4 + at.vector];
    let b = x[(above + columns.high) * params.channels4 + at.vector];
    let d = x[(below + columns.low) * params.channels4 + at.vector];
    let e = x[(below + columns.high) * params.channels4 + at.vector];
    y[i] = mix(mix(a, b, columns.weight), mix(d, e, columns.weight), rows.weight);
}
