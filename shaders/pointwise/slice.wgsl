// Channels from one activation to another, for every pixel: y[y_first + k] = x[x_first + k] for k < count, 0 elsewhere.
// A slice has y_first = 0, its adjoint x_first = 0. One vector per invocation: one read where the lanes line up, else
// four scalar ones.
struct Params {
    vectors: u32,
    x_channels4: u32,
    y_channels4: u32,
    x_first: u32,
    y_first: u32,
    count: u32,
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
    if i >= params.vectors {
        return;
    }
    let row = (i / params.y_channels4) * params.x_channels4;
    // Below `y_first` this wraps around to more than `count`.
    let k = (i % params.y_channels4) * 4u + vec4u(0u, 1u, 2u, 3u) - params.y_first;
    let inside = k < vec4u(params.count);
    let at = select(vec4u(params.x_first), k + params.x_first, inside);
    var v: vec4f;
    if params.x_first % 4u == 0u && params.y_first % 4u == 0u {
        v = x[row + at.x / 4u];
    } else {
        v = vec4f(
            x[row + at.x / 4u][at.x % 4u],
            x[row + at.y / 4u][at.y % 4u],
            x[row + at.z / 4u][at.z % 4u],
            x[row + at.w / 4u][at.w % 4u],
        );
    }
    y[i] = select(vec4f(0.0), v, inside);
}
