// gx = scale gy df/dx (x, t) element by element; f is chosen by KIND: 0 the squared difference, 1 cross-entropy of
// sigmoid(x) with the probability t. One vector per invocation: two reads, one write.
const KIND: u32 = 0u;

struct Params {
    vectors: u32,
    inner: u32,
    inner4: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> wanted: array<vec4f>;
@group(0) @binding(3) var<storage, read> gy: array<f32>;
@group(0) @binding(4) var<storage, read_write> gx: array<vec4f>;

// #import shared/index.wgsl
// #import shared/vec4.wgsl
// #import shared/activation.wgsl

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
    var slope = 2.0 * (x[i] - wanted[i]);
    if KIND == 1u {
        slope = sigmoid(x[i]) - wanted[i];
    }
    gx[i] = params.scale * gy[0] * slope * element_mask(i, params.inner, params.inner4);
}
