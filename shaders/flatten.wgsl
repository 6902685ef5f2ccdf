// Between (n, p, c / 4) and (n, (c, p) / 4): an activation and its row per image in the order (c, h, w); FORWARD chooses the
// direction. One vector of the result per invocation, four gathers.
const FORWARD: u32 = 1u;

struct Params {
    vectors: u32,
    channels: u32,
    channels4: u32,
    pixels: u32,
    features: u32,
    features4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

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
    var v = vec4f(0.0);
    for (var e = 0u; e < 4u; e++) {
        if FORWARD == 1u {
            let image = i / params.features4;
            let f = (i % params.features4) * 4u + e;
            if f < params.features {
                let pixel = image * params.pixels + f % params.pixels;
                v[e] = x[pixel * params.channels4 * 4u + f / params.pixels];
            }
        } else {
            let c = (i % params.channels4) * 4u + e;
            let pixel = i / params.channels4;
            if c < params.channels {
                let f = c * params.pixels + pixel % params.pixels;
                v[e] = x[(pixel / params.pixels) * params.features4 * 4u + f];
            }
        }
    }
    y[i] = v;
}
