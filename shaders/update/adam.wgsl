// m = beta1 m + (1 - beta1) d; v = beta2 v + (1 - beta2) d^2; p -= lr (m / c1) / (sqrt(v / c2) + eps), with the bias
// corrections c = 1 - beta^step in the scalars. Adam: d = g + weight_decay p. DECOUPLED (AdamW): d = g and p shrinks by
// lr weight_decay p first. One vector per invocation: four reads, three writes.
const DECOUPLED: u32 = 0u;

struct Params {
    len: u32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    eps: f32,
    weight_decay: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(2) var<storage, read> scalars: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> p: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> first: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> second: array<vec4f>;

// #import shared/index.wgsl
// #import shared/vec4.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let i = flat_index(group, groups, local);
    // The step is to be skipped.
    if i * 4u >= params.len || scalars[2].y == 1.0 {
        return;
    }
    let lr = scalars[0].x;
    var d = gradient[i];
    var value = p[i];
    if DECOUPLED == 1u {
        value -= lr * params.weight_decay * value;
    } else {
        d += params.weight_decay * value;
    }
    let m = params.beta1 * first[i] + params.rest1 * d;
    let v = params.beta2 * second[i] + params.rest2 * d * d;
    value -= lr * (m / scalars[0].z) / (sqrt(v / scalars[0].w) + params.eps);
    first[i] = keep_elements(m, i, params.len);
    second[i] = keep_elements(v, i, params.len);
    p[i] = keep_elements(value, i, params.len);
}
