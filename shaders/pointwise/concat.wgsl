// One part of a concatenation: y[row, to + c] = x[row, c] for c < count, zeros behind it. One invocation per vector of
// y that the part reaches: one read where the lanes line up, else four scalar ones and what parts before it have put
// into the part's first vector.
struct Params {
    vectors: u32,
    x_channels4: u32,
    y_channels4: u32,
    // Vectors of a row that are written.
    first4: u32,
    count4: u32,
    to: u32,
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
    let row = i / params.count4;
    let vector = params.first4 + i - row * params.count4;
    let channels = vector * 4u + vec4u(0u, 1u, 2u, 3u);
    // Below `to` this wraps around to more than `count`.
    let k = channels - params.to;
    let inside = k < vec4u(params.count);
    let at = select(vec4u(0u), k, inside);
    let base = row * params.x_channels4;
    let place = row * params.y_channels4 + vector;
    var v: vec4f;
    if params.to % 4u == 0u {
        v = select(vec4f(0.0), x[base + at.x / 4u], inside);
    } else {
        v = vec4f(
            x[base + at.x / 4u][at.x % 4u],
            x[base + at.y / 4u][at.y % 4u],
            x[base + at.z / 4u][at.z % 4u],
            x[base + at.w / 4u][at.w % 4u],
        );
        v = select(vec4f(0.0), v, inside);
        if channels.x < params.to {
            v = select(v, y[place], channels < vec4u(params.to));
        }
    }
    y[place] = v;
}
