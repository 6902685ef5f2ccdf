// Between row-major (n,c,p) and channels-last vectors (n,p,c/4); TO_VEC4 chooses the direction. `row` elements of row-major
// storage belong to an image: c p, or more for a row that is itself padded with zeros, which come from the vectors' own. One
// vector per invocation, four scalar gathers (to vectors) or four scalar writes (to row-major).
const TO_VEC4: u32 = 1u;

struct Params {
    vectors: u32,
    channels4: u32,
    pixels: u32,
    row: u32,
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
    let pixel = i / params.channels4;
    let image = pixel / params.pixels;
    let place = (i - pixel * params.channels4) * 4u * params.pixels + pixel - image * params.pixels;
    for (var e = 0u; e < 4u; e++) {
        let at = place + e * params.pixels;
        let inside = at < params.row;
        if TO_VEC4 == 1u {
            y[i * 4u + e] = select(0.0, x[image * params.row + select(0u, at, inside)], inside);
        } else if inside {
            y[image * params.row + at] = x[i * 4u + e];
        }
    }
}
