// Between row-major (n,c,p) and channels-last vectors (n,p,c/4); TO_VEC4 chooses the direction. One vector per
// invocation, four scalar gathers (to vectors) or four scalar writes (to row-major).
const TO_VEC4: u32 = 1u;

struct Params {
    vectors: u32,
    channels: u32,
    channels4: u32,
    pixels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

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
    let c0 = (i % params.channels4) * 4u;
    let pixel = i / params.channels4;
    let image = pixel / params.pixels;
    let plain = (image * params.channels + c0) * params.pixels + pixel % params.pixels;
    for (var e = 0u; e < 4u; e++) {
        let inside = c0 + e < params.channels;
        if TO_VEC4 == 1u {
            if inside {
                y[i * 4u + e] = x[plain + e * params.pixels];
            } else {
                y[i * 4u + e] = 0.0;
            }
        } else if inside {
            y[plain + e * params.pixels] = x[i * 4u + e];
        }
    }
}
