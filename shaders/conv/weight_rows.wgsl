// Columns (weight_columns.wgsl), or the sum of `parts` of them, back to row-major weights. A block of 4 features x 4
// outputs per invocation: four vectors of each part are read, 16 scalars written.
struct Params {
    items: u32,
    outputs: u32,
    outputs4: u32,
    features: u32,
    features4: u32,
    parts: u32,
    // Vectors of one part.
    part: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> columns: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> weight: array<f32>;

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
            let at = row_of(block) + k * params.outputs4;
            var v = columns[at];
            for (var s = 1u; s < params.parts; s++) {
                v += columns[s * params.part + at];
            }
            for (var e = 0u; e < 4u; e++) {
                if block.output + e < params.outputs {
                    let row = block.owner * params.outputs + block.output + e;
                    weight[row * params.features + block.feature + k] = v[e];
                }
            }
        }
    }
}
