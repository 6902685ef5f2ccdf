// y[row, c] = 1 where c is the row's label, otherwise 0. One vector per invocation.
struct Params {
    vectors: u32,
    channels: u32,
    channels4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

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
    let label = labels[i / params.channels4];
    let channel = (i % params.channels4) * 4u + vec4u(0u, 1u, 2u, 3u);
    let here = channel == vec4u(select(0xffffffffu, label, label < params.channels));
    y[i] = select(vec4f(0.0), vec4f(1.0), here);
}
