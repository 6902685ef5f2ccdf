// What a gradient g of the outputs gives to each feature: y[block][entry] = -sum over the group's outputs of w[feature][o] g[o], w in
// columns, g with each group's outputs filled up to whole vectors; pooled blocks are summed afterwards. A vector of four entries of
// one block per invocation.
struct Params {
    items: u32,
    outputs4: u32,
    blocks: u32,
    d: u32,
    d4: u32,
    interleaved: u32,
    blocks_per_group: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<vec4f>;
@group(0) @binding(2) var<storage, read> columns: array<vec4f>;
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
    let block = index / params.d4;
    let entry = (index - block * params.d4) * 4u;
    let owner = block / params.blocks_per_group;
    let entries = vec4u(entry) + vec4u(0u, 1u, 2u, 3u);
    let inside = min(entries, vec4u(params.d - 1u));
    let contiguous = vec4u(block * params.d) + inside;
    let interleaved = inside * params.blocks + vec4u(block);
    let rows = select(contiguous, interleaved, vec4<bool>(params.interleaved == 1u)) * params.outputs4;
    var sum = vec4f(0.0);
    for (var o = 0u; o < params.outputs4; o++) {
        let v = g[owner * params.outputs4 + o];
        sum += vec4f(
            dot(columns[rows.x + o], v),
            dot(columns[rows.y + o], v),
            dot(columns[rows.z + o], v),
            dot(columns[rows.w + o], v),
        );
    }
    y[index] = select(vec4f(0.0), -sum, entries < vec4u(params.d));
}
