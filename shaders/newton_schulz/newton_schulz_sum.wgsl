// y = beta0 x0 + .. + beta3 x3, what a product adds. One vector per invocation: four reads, one write.
struct Params {
    vectors: u32,
    beta0: f32,
    beta1: f32,
    beta2: f32,
    beta3: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x0: array<vec4f>;
@group(0) @binding(2) var<storage, read> x1: array<vec4f>;
@group(0) @binding(3) var<storage, read> x2: array<vec4f>;
@group(0) @binding(4) var<storage, read> x3: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;

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
    let added = params.beta1 * x1[i] + params.beta2 * x2[i] + params.beta3 * x3[i];
    y[i] = params.beta0 * x0[i] + added;
}
