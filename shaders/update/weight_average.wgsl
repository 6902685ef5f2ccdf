// average = average + share (value - average), share the ninth of the step's scalars. One vector per invocation: two
// reads, one write.
struct Params {
    vectors: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> value: array<vec4f>;
@group(0) @binding(2) var<storage, read> scalars: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> average: array<vec4f>;

// #import shared/index.wgsl

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
    let before = average[i];
    average[i] = fma(vec4f(scalars[2].x), value[i] - before, before);
}
