// Columns (weight_columns.wgsl) back to row-major weights; with SHIFTED = 1, less u[feature] g[output]: g with each group's outputs filled
// up to whole vectors, u by statistic and entry. A block of 4 features x 4 outputs per invocation: four vectors are read, 16
// scalars written.
const SHIFTED: u32 = 0u;

struct Params {
    items: u32,
    outputs: u32,
    outputs4: u32,
    features: u32,
    features4: u32,
    blocks: u32,
    d: u32,
    d4: u32,
    pooled: u32,
    interleaved: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> columns: array<vec4f>;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> g: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> weight: array<f32>;

// #import shared/index.wgsl
// #import shared/weight_block.wgsl

// u of a feature among those of all groups.
fn shift_of(feature: u32) -> f32 {
    let major = feature / select(params.d, params.blocks, params.interleaved == 1u);
    let minor = feature - major * select(params.d, params.blocks, params.interleaved == 1u);
    let block = select(major, minor, params.interleaved == 1u);
    let entry = select(minor, major, params.interleaved == 1u);
    return u[select(block, 0u, params.pooled == 1u) * params.d4 * 4u + entry];
}

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
            var v = columns[row_of(block) + k * params.outputs4];
            if SHIFTED == 1u {
                let shift = shift_of(block.owner * params.features + block.feature + k);
                v -= shift * g[block.owner * params.outputs4 + block.output / 4u];
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
