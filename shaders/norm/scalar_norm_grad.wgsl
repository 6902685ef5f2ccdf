// Gradients of the mean, -s sum g, and of the variance, -s^3/2 sum g (x - mean), with s = 1 / sqrt(variance + eps),
// over the channels from `first` on. One workgroup: strided partial sums and a tree. Reads g and x once.
struct Params {
    count: u32,
    per_image: u32,
    area: u32,
    first: u32,
    stride: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> variance: array<f32>;
@group(0) @binding(5) var<storage, read_write> g_mean: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> g_var: array<vec4f>;

// #import norm/shared/leftover.wgsl

var<workgroup> sums: array<vec2f, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_id) local: vec3u) {
    let average = mean[0];
    var sum = vec2f(0.0);
    for (var k = local.x; k < params.count; k += 256u) {
        let at = leftover_at(k, params.per_image, 1u, params.area, params.first, params.stride);
        sum += g[at] * vec2f(1.0, x[at] - average);
    }
    sums[local.x] = sum;
    workgroupBarrier();
    for (var step = 128u; step > 0u; step /= 2u) {
        if local.x < step {
            sums[local.x] += sums[local.x + step];
        }
        workgroupBarrier();
    }
    if local.x == 0u {
        let s = inverseSqrt(variance[0] + params.eps);
        g_mean[0] = vec4f(-s * sums[0].x, 0.0, 0.0, 0.0);
        g_var[0] = vec4f(-0.5 * s * s * s * sums[0].y, 0.0, 0.0, 0.0);
    }
}
