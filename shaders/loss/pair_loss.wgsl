// terms[i] = sum of f(x, t) over the elements of vectors i, i + invocations, ...; f is chosen by KIND: 0 the squared
// difference, 1 cross-entropy of sigmoid(x) with the probability t. Reads each element once; `total.wgsl` adds the
// terms.
const KIND: u32 = 0u;

struct Params {
    vectors: u32,
    inner: u32,
    inner4: u32,
    invocations: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> wanted: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> terms: array<f32>;

// #import shared/index.wgsl
// #import shared/vec4.wgsl

fn loss(v: vec4f, t: vec4f) -> vec4f {
    if KIND == 0u {
        return (v - t) * (v - t);
    }
    // log(1 + exp(v)) - t v without overflow; log1p by its series where exp(-|v|) would be lost beside 1.
    let small = exp(-abs(v));
    let tail = select(log(1.0 + small), small * (1.0 - 0.5 * small), small < vec4f(1e-3));
    return max(v, vec4f(0.0)) - t * v + tail;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let i = flat_index(group, groups, local);
    if i >= params.invocations {
        return;
    }
    var sum = vec4f(0.0);
    for (var k = i; k < params.vectors; k += params.invocations) {
        sum += loss(x[k], wanted[k]) * element_mask(k, params.inner, params.inner4);
    }
    terms[i] = sum.x + sum.y + sum.z + sum.w;
}
