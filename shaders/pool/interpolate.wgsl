// y = x resampled linearly in both directions, see shared/bilinear.wgsl. One vector per invocation: four reads, one
// write.
struct Params {
    vectors: u32,
    channels4: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

// #import shared/index.wgsl
// #import pool/shared/bilinear.wgsl

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
    let rows = source(line % params.out_height, params.height, params.out_height);
    let columns = source(pixel % params.out_width, params.width, params.out_width);
    let above = (image * params.height + rows.low) * params.width;
    let below = (image * params.height + rows.high) * params.width;
    let a = x[(above + columns.low) * params.channels4 + c];
    let b = x[(above + columns.high) * params.channels4 + c];
    let d = x[(below + columns.low) * params.channels4 + c];
    let e = x[(below + columns.high) * params.channels4 + c];
    y[i] = mix(mix(a, b, columns.weight), mix(d, e, columns.weight), rows.weight);
}
