// Between row-major (n,c,p) and channels-last vectors (n,p,c/4); TO_VEC4 chooses the direction. `row` elements of
// row-major storage belong to an image: c p, or more for a row that is itself padded with zeros, which come from the
// vectors' own; `len` to all. One vector of the result per invocation, four scalar gathers.
const TO_VEC4: u32 = 1u;

struct Params {
    vectors: u32,
    channels4: u32,
    pixels: u32,
    row: u32,
    len: u32,
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
    var v: vec4f;
    if TO_VEC4 == 1u {
        let pixel = i / params.channels4;
        let image = pixel / params.pixels;
        let place = (i - pixel * params.channels4) * 4u * params.pixels + pixel - image * params.pixels;
        for (var e = 0u; e < 4u; e++) {
            let at = place + e * params.pixels;
            let inside = at < params.row;
            v[e] = select(0.0, x[image * params.row + select(0u, at, inside)], inside);
        }
    } else {
        for (var e = 0u; e < 4u; e++) {
            let inside = i * 4u + e < params.len;
            let at = select(0u, i * 4u + e, inside);
            let image = at / params.row;
            let channel = (at - image * params.row) / params.pixels;
            let pixel = at - image * params.row - channel * params.pixels;
            v[e] = select(0.0, x[(image * params.pixels + pixel) * params.channels4 * 4u + channel], inside);
        }
    }
    y[i] = v;
}
