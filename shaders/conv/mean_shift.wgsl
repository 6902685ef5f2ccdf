// What the mean of the patches adds to each output, in parts: shift[part][o] = sum over the features of the part of
// mean[feature] w[feature][o], w in columns (weight_columns.wgsl). One vector of outputs of one part, `chunk` features
// of one group, per invocation.
struct Params {
    items: u32,
    outputs4: u32,
    // Of a group, and the parts that they are cut into.
    features: u32,
    chunk: u32,
    chunks: u32,
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
    let part = index / params.outputs4;
    let output = index - part * params.outputs4;
    let owner = part / params.chunks;
    let first = owner * params.features + (part - owner * params.chunks) * params.chunk;
    let last = min(first + params.chunk, (owner + 1u) * params.features);
    var sum = vec4f(0.0);
    for (var feature = first; feature < last; feature++) {
        sum += mean[feature] * columns[feature * params.outputs4 + output];
    }
    shift[index] = sum;
}
