// b'[o] = b[o] - sum over the blocks of o's group of <w'[o, block], mean[block]> (spec 6). One output per invocation, padding
// included, which is set to 0; reads its weight row and the means once.
struct Params {
    items: u32,
    outputs: u32,
    d4: u32,
    rows: u32,
    blocks: u32,
    blocks_per_group: u32,
    outputs_per_group: u32,
    pooled: u32,
    has_bias: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> mean: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> folded: array<f32>;

// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let output = flat_index(group, groups, local);
    if output >= params.items {
        return;
    }
    if output >= params.outputs {
        folded[output] = 0.0;
        return;
    }
    let owner = output / params.outputs_per_group;
    var shift = vec4f(0.0);
    for (var b = 0u; b < params.blocks_per_group; b++) {
        let block = owner * params.blocks_per_group + b;
        let s = select(block, 0u, params.pooled == 1u);
        let r = select(output - owner * params.outputs_per_group, output * params.blocks + block, params.pooled == 1u);
        for (var i = 0u; i < params.d4; i++) {
            shift += weight[(s * params.rows + r) * params.d4 + i] * mean[s * params.d4 + i];
        }
    }
    var value = -(shift.x + shift.y + (shift.z + shift.w));
    if params.has_bias == 1u {
        value += bias[output];
    }
    folded[output] = value;
}
