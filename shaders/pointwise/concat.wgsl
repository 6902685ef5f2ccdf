// One part of a concatenation: y[row, to + c] = x[row, c]. One invocation per vector of x: one read, up to four scalar
// writes. The last part also writes the zeros of the padding.
struct Params {
    vectors: u32,
    x_channels: u32,
    x_channels4: u32,
    y_channels4: u32,
    to: u32,
    end: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
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
    let row = (i / params.x_channels4) * params.y_channels4 * 4u;
    let first = (i % params.x_channels4) * 4u;
    let v = x[i];
    for (var e = 0u; e < 4u; e++) {
        if first + e < params.x_channels {
            y[row + params.to + first + e] = v[e];
        }
    }
    if first + 4u >= params.x_channels {
        for (var at = params.to + params.x_channels; at < params.end; at++) {
            y[row + at] = 0.0;
        }
    }
}
