// d = g + weight_decay p; b = momentum b + d; p -= lr b, or lr (d + momentum b) with NESTEROV.
// One vector per invocation: three reads, two writes.
const NESTEROV: u32 = 0u;

struct Params {
    len: u32,
    momentum: f32,
    weight_decay: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradient: array<vec4f>;
@group(0) @binding(2) var<storage, read> scalars: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> p: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> velocity: array<vec4f>;

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
    let before = p[i];
    let d = gradient[i] + params.weight_decay * before;
    let b = params.momentum * velocity[i] + d;
    var direction = b;
    if NESTEROV == 1u {
        direction = d + params.momentum * b;
    }
    velocity[i] = keep_elements(b, i, params.len);
    p[i] = keep_elements(before - scalars[0].x * direction, i, params.len);
}
