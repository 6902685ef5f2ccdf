// Row-major weights (O, F) of each group to columns: columns[feature][output / 4], zeros beyond the group's outputs.
// A block of 4 features x 4 outputs per invocation: 16 scalars are read, four vectors written.
struct Params {
    items: u32,
    outputs: u32,
    outputs4: u32,
    features: u32,
    features4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> columns: array<vec4f>;

// #import shared/index.wgsl
// #import conv/shared/weight_block.wgsl

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
    let block = block_of(index);
    for (var k = 0u; k < 4u; k++) {
        if block.feature + k < params.features {
            var v = vec4f(0.0);
            for (var e = 0u; e < 4u; e++) {
                let output = min(block.output + e, params.outputs - 1u);
                v[e] = weight[(block.owner * params.outputs + output) * params.features + block.feature + k];
            }
            let used = vec4u(block.output) + vec4u(0u, 1u, 2u, 3u) < vec4u(params.outputs);
            columns[row_of(block) + k * params.outputs4] = select(vec4f(0.0), v, used);
        }
    }
}
