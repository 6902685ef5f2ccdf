// y = (x - mean) / sqrt(variance + eps) in the channels from `first` on, 0 in the others; with CENTER = 0 the mean
// stays out (gradient of x). One vector of four channels per invocation: one read, one write.
const CENTER: u32 = 1u;

struct Params {
    vectors: u32,
    first: u32,
    channels: u32,
    channels4: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> variance: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

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
    let channel = vec4u((i % params.channels4) * 4u) + vec4u(0u, 1u, 2u, 3u);
    let inside = (channel >= vec4u(params.first)) & (channel < vec4u(params.channels));
    var v = x[i];
    if CENTER == 1u {
        v -= vec4f(mean[0]);
    }
    y[i] = select(vec4f(0.0), v * inverseSqrt(variance[0] + params.eps), inside);
}
