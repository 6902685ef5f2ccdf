// y = scale * sum over i of terms[i], with zeros up to the end of its buffer. One workgroup: each invocation adds every
// 64th term, then a tree over the workgroup.
struct Params {
    terms: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> terms: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

var<workgroup> sums: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_id) local: vec3u) {
    var sum = 0.0;
    for (var i = local.x; i < params.terms; i += 64u) {
        sum += terms[i];
    }
    sums[local.x] = sum;
    for (var half = 32u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if local.x < half {
            sums[local.x] += sums[local.x + half];
        }
    }
    if local.x == 0u {
        y[0] = vec4f(params.scale * sums[0], 0.0, 0.0, 0.0);
    }
}
