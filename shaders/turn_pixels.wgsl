// Pixels in another order: y[p a + i] = x[i b + p] for i < a and p < b, each of `channels4` vectors. One invocation per vector.
struct Params {
    vectors: u32,
    channels4: u32,
    a: u32,
    b: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

// #import shared/index.wgsl
// #import shared/divide.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let index = flat_index(group, groups, local);
    if index >= params.vectors {
        return;
    }
    let pixel = quotient(index, params.channels4);
    let vector = index - pixel * params.channels4;
    let p = quotient(pixel, params.a);
    let i = pixel - p * params.a;
    y[index] = x[(i * params.b + p) * params.channels4 + vector];
}
