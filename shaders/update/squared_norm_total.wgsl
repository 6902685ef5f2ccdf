// total = before + the sum of all parts, with zeros up to the end of its buffer; without anything before where
// has_before = 0. One workgroup: 64 strided partial sums and a tree.
struct Params {
    parts: u32,
    has_before: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<f32>;
@group(0) @binding(2) var<storage, read> before: array<f32>;
@group(0) @binding(3) var<storage, read_write> total: array<vec4f>;

// #import shared/group_sum.wgsl

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_id) local: vec3u) {
    var own = vec4f(0.0);
    for (var i = local.x; i < params.parts; i += 64u) {
        own.x += parts[i];
    }
    let sum = group_sum(local.x, own);
    if local.x == 0u {
        total[0] = vec4f(sum.x + select(0.0, before[0], params.has_before == 1u), 0.0, 0.0, 0.0);
    }
}
