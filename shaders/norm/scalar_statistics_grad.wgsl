// gx = g_mean / n + 2 g_var (x - mean) / (n - 1) where a value was sampled, 0 elsewhere. One vector of four channels
// per invocation: one read, one write.
struct Params {
    vectors: u32,
    count: u32,
    step: u32,
    area: u32,
    first: u32,
    channels: u32,
    channels4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> g_mean: array<f32>;
@group(0) @binding(4) var<storage, read> g_var: array<f32>;
@group(0) @binding(5) var<storage, read_write> gx: array<vec4f>;

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
    let pixel = (i / params.channels4) % params.area;
    // Wraps around below `first`, where it is not looked at.
    let flat = (channel - params.first) * params.area + pixel;
    let inside = (channel >= vec4u(params.first)) & (channel < vec4u(params.channels));
    let sampled = inside & (flat % params.step == vec4u(0u));
    let slope = 2.0 * g_var[0] / f32(params.count - 1u);
    let g = slope * (x[i] - mean[0]) + g_mean[0] / f32(params.count);
    gx[i] = select(vec4f(0.0), g, sampled);
}
