// dot[s][split] = sum of a b over a chunk of batch s; with TOTAL = 1 the sum of a alone, which adds the chunks up. One
// workgroup per chunk: 64 strided partial sums and a tree.
const TOTAL: u32 = 0u;

struct Params {
    vectors: u32,
    splits: u32,
    vectors_per_split: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dots: array<f32>;

// #import shared/group_sum.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let first = group.x * params.vectors_per_split;
    let last = min(first + params.vectors_per_split, params.vectors);
    var own = vec4f(0.0);
    for (var i = first + local.x; i < last; i += 64u) {
        var v = a[group.y * params.vectors + i];
        if TOTAL == 0u {
            v *= b[group.y * params.vectors + i];
        }
        own += v;
    }
    let sum = group_sum(local.x, own);
    if local.x == 0u {
        dots[group.y * params.splits + group.x] = sum.x + sum.y + (sum.z + sum.w);
    }
}
