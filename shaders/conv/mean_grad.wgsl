// The gradient of the mean of the patches: y[feature] = -sum over the group's outputs of w[feature][o] g[o], w in
// columns, g with each group's outputs filled up to whole vectors. A vector of four features per invocation.
struct Params {
    items: u32,
    outputs4: u32,
    // Of all groups, and of one.
    features: u32,
    features_per_group: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> columns: array<vec4f>;
@group(0) @binding(2) var<storage, read> g: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let index = flat_index(group, groups, local);
    if index >= params.items {
        return;
    }
    let features = index * 4u + vec4u(0u, 1u, 2u, 3u);
    let inside = min(features, vec4u(params.features - 1u));
    let rows = inside * params.outputs4;
    let owners = inside / params.features_per_group * params.outputs4;
    var sum = vec4f(0.0);
    for (var o = 0u; o < params.outputs4; o++) {
        sum += vec4f(
            dot(columns[rows.x + o], g[owners.x + o]),
            dot(columns[rows.y + o], g[owners.y + o]),
            dot(columns[rows.z + o], g[owners.z + o]),
            dot(columns[rows.w + o], g[owners.w + o]),
        );
    }
    y[index] = select(vec4f(0.0), -sum, features < vec4u(params.features));
}
