// y = f(x) element by element; f is chosen by KIND. One vector per invocation: one read, one write.
const KIND: u32 = 0u;

struct Params {
    vectors: u32,
    inner: u32,
    inner4: u32,
    slope: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

// #import shared/index.wgsl
// #import shared/vec4.wgsl
// #import shared/activation.wgsl
// #import shared/relu.wgsl

fn activate(v: vec4f) -> vec4f {
    switch KIND {
        case 0u: { return relu(v); }
        case 1u: { return clamp(v, vec4f(0.0), vec4f(6.0)); }
        case 2u: { return sigmoid(v); }
        case 3u: { return safe_tanh(v); }
        case 4u: { return v * sigmoid(v); }
        default: { return select(params.slope * v, v, v > vec4f(0.0)); }
    }
}

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
    y[i] = activate(x[i]) * element_mask(i, params.inner, params.inner4);
}
