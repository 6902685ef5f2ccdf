// dot[s] = sum of a b over batch s; one workgroup per batch, 64 strided partial sums and a tree.
struct Params {
    vectors: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> dots: array<f32>;

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let first = group.x * params.vectors;
    var sum = vec4f(0.0);
    for (var i = local.x; i < params.vectors; i += 64u) {
        sum += a[first + i] * b[first + i];
    }
    sums[local.x] = sum.x + sum.y + (sum.z + sum.w);
    workgroupBarrier();
    for (var step = 32u; step > 0u; step /= 2u) {
        if local.x < step {
            sums[local.x] += sums[local.x + step];
        }
        workgroupBarrier();
    }
    if local.x == 0u {
        dots[group.x] = sums[0];
    }
}
