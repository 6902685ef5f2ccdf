// What the mean of block j adds to each output (method, section 6): shift[j][o] = sum over the block's entries of
// mean[entry] w'[feature][o], w' in columns (weight_columns.wgsl). One vector of outputs of one block per invocation;
// reads d of them.
struct Params {
    items: u32,
    outputs4: u32,
    blocks: u32,
    d: u32,
    d4: u32,
    pooled: u32,
    interleaved: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> columns: array<vec4f>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read_write> shift: array<vec4f>;

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
    let block = index / params.outputs4;
    let output = index - block * params.outputs4;
    let first = select(block * params.d, block, params.interleaved == 1u);
    let stride = select(1u, params.blocks, params.interleaved == 1u);
    let statistic = select(block, 0u, params.pooled == 1u) * params.d4 * 4u;
    var sum = vec4f(0.0);
    for (var i = 0u; i < params.d; i++) {
        sum += mean[statistic + i] * columns[(first + i * stride) * params.outputs4 + output];
    }
    shift[index] = sum;
}
