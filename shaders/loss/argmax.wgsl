// y[pixel] = place of the largest channel of x, the first of equals, as a float. Four pixels per invocation, which
// reads their channels one vector after the other; the last vector of y is filled with zeros.
struct Params {
    pixels: u32,
    channels: u32,
    channels4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let i = flat_index(group, groups, local);
    if i * 4u >= params.pixels {
        return;
    }
    var places = vec4f(0.0);
    for (var p = 0u; p < 4u; p++) {
        let pixel = i * 4u + p;
        if pixel >= params.pixels {
            break;
        }
        let first = pixel * params.channels4;
        var largest = x[first].x;
        var best = 0u;
        for (var k = 0u; k < params.channels4; k++) {
            let v = x[first + k];
            for (var e = 0u; e < 4u; e++) {
                if (k * 4u + e < params.channels) & (v[e] > largest) {
                    largest = v[e];
                    best = k * 4u + e;
                }
            }
        }
        places = select(places, vec4f(f32(best)), vec4u(0u, 1u, 2u, 3u) == vec4u(p));
    }
    y[i] = places;
}
