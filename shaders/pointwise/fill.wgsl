// y = value in every element, 0 in the padding. One vector per invocation; writes each once.
struct Params {
    vectors: u32,
    inner: u32,
    inner4: u32,
    value: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

// #import shared/index.wgsl
// #import shared/vec4.wgsl

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
    y[i] = params.value * element_mask(i, params.inner, params.inner4);
}
