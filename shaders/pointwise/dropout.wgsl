// y = x keep / (1 - p), keep = 0 with probability p. What is dropped is a hash of the step's random key, the
// operation's own key and the element's place, so the gradient finds the same again. One vector per invocation: one
// read, one write.
struct Params {
    vectors: u32,
    key: u32,
    threshold: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> scalars: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

// #import shared/index.wgsl
// #import pointwise/shared/rng.wgsl

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
    let seed = u32(scalars[4]) | (u32(scalars[5]) << 16u);
    let key = pcg(params.key ^ pcg(u32(scalars[1]) ^ pcg(seed)));
    let place = i * 4u + vec4u(0u, 1u, 2u, 3u);
    let words = vec4u(pcg(key ^ place.x), pcg(key ^ place.y), pcg(key ^ place.z), pcg(key ^ place.w));
    y[i] = select(vec4f(0.0), x[i] * params.scale, words >= vec4u(params.threshold));
}
