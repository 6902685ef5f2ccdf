// Weight rows per block, blocked[s][r][i] = weight[o][feature], or back (TO_BLOCKS = 0); a permutation (spec 6).
// Pooled: s = 0 and row o * blocks + j; otherwise s = j and r counts the outputs of the group that owns block j.
// One vector of blocked entries per invocation: four scalars of the weight are read, or written.
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
    let row = quotient(index, params.d4);
    let entry = (index - row * params.d4) * 4u;
    let s = quotient(row, params.rows);
    let r = row - s * params.rows;
    var block = s;
    var output = r;
    var feature0 = 0u;
    if params.pooled == 1u {
        output = quotient(r, params.blocks);
        block = r - output * params.blocks;
    } else {
        let owner = quotient(s, params.blocks_per_group);
        output += owner * params.outputs_per_group;
        feature0 = owner * params.features;
    }
    let base = output * params.features - feature0;
    for (var e = 0u; e < 4u; e++) {
        let at = base + feature_of(block, entry + e, params.blocks, params.d, params.interleaved);
        let used = entry + e < params.d;
        if TO_BLOCKS == 1u {
            y[index * 4u + e] = select(0.0, x[select(0u, at, used)], used);
        } else if used {
            y[at] = x[index * 4u + e];
        }
    }
}
