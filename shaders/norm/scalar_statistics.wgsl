// Mean and unbiased variance of the sampled values of the channels from `first` on: two passes of strided partial sums
// and a tree in one workgroup. Reads each sampled value twice.
struct Params {
    count: u32,
    per_image: u32,
    step: u32,
    area: u32,
    first: u32,
    stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> mean: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> variance: array<vec4f>;

// #import norm/shared/leftover.wgsl

var<workgroup> sums: array<f32, 256>;

fn total(lane: u32, own: f32) -> f32 {
    sums[lane] = own;
    workgroupBarrier();
    for (var step = 128u; step > 0u; step /= 2u) {
        if lane < step {
            sums[lane] += sums[lane + step];
        }
        workgroupBarrier();
    }
    let sum = sums[0];
    workgroupBarrier();
    return sum;
}

fn value(k: u32) -> f32 {
    return x[leftover_at(k, params.per_image, params.step, params.area, params.first, params.stride)];
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_id) local: vec3u) {
    var sum = 0.0;
    for (var k = local.x; k < params.count; k += 256u) {
        sum += value(k);
    }
    let average = total(local.x, sum) / f32(params.count);
    var squares = 0.0;
    for (var k = local.x; k < params.count; k += 256u) {
        let away = value(k) - average;
        squares += away * away;
    }
    let spread = total(local.x, squares) / f32(params.count - 1u);
    if local.x == 0u {
        mean[0] = vec4f(average, 0.0, 0.0, 0.0);
        variance[0] = vec4f(spread, 0.0, 0.0, 0.0);
    }
}
