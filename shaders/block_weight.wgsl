// Weight rows per block, blocked[s][r][i] = weight[o][feature], or back (TO_BLOCKS = 0); a permutation (spec 6).
// Pooled: s = 0 and row o * blocks + j; otherwise s = j and r counts the outputs of the group that owns block j.
// To blocks: one vector per invocation; back: one scalar.
const TO_BLOCKS: u32 = 1u;

struct Params {
    items: u32,
    d: u32,
    d4: u32,
    rows: u32,
    blocks: u32,
    blocks_per_group: u32,
    outputs_per_group: u32,
    features: u32,
    pooled: u32,
    interleaved: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// #import shared/index.wgsl
// #import shared/blocks.wgsl

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
    if TO_BLOCKS == 1u {
        let entry = (index % params.d4) * 4u;
        let r = (index / params.d4) % params.rows;
        let s = index / (params.d4 * params.rows);
        let block = select(s, r % params.blocks, params.pooled == 1u);
        let owner = block / params.blocks_per_group;
        let output = select(owner * params.outputs_per_group + r, r / params.blocks, params.pooled == 1u);
        for (var e = 0u; e < 4u; e++) {
            var v = 0.0;
            if entry + e < params.d {
                let feature = feature_of(block, entry + e, params.blocks, params.d, params.interleaved);
                v = x[output * params.features + feature - owner * params.features];
            }
            y[index * 4u + e] = v;
        }
        return;
    }
    let output = index / params.features;
    let owner = output / params.outputs_per_group;
    let at = entry_of(index % params.features + owner * params.features, params.blocks, params.d, params.interleaved);
    let s = select(at.x, 0u, params.pooled == 1u);
    let r = select(output - owner * params.outputs_per_group, output * params.blocks + at.x, params.pooled == 1u);
    y[index] = x[(s * params.rows + r) * params.d4 * 4u + at.y];
}
