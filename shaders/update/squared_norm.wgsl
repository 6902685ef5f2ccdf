// parts[group] = sum of x^2 over the group's chunk of vectors. 64 strided partial sums and a tree.
struct Params {
    len: u32,
    vectors_per_group: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> parts: array<f32>;

// #import shared/group_sum.wgsl
// #import shared/vec4.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let first = group.x * params.vectors_per_group;
    let last = min(first + params.vectors_per_group, (params.len + 3u) / 4u);
    var own = vec4f(0.0);
    for (var i = first + local.x; i < last; i += 64u) {
        let v = keep_elements(x[i], i, params.len);
        own += v * v;
    }
    let sum = group_sum(local.x, own);
    if local.x == 0u {
        parts[group.x] = sum.x + sum.y + (sum.z + sum.w);
    }
}
