// Gradient of the folded weight, in columns: y[feature][o] = gathered[feature][o] - mean[entry] g[o], nothing gathered where add = 0.
// g is the gradient of the bias, each group's outputs filled up to whole vectors. An invocation owns one vector of
// outputs and walks over LINES features, so that it loads g once for all of them.
struct Params {
    items: u32,
    outputs4: u32,
    blocks: u32,
    d: u32,
    d4: u32,
    pooled: u32,
    interleaved: u32,
    blocks_per_group: u32,
    add: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<vec4f>;
@group(0) @binding(2) var<storage, read> mean: array<f32>;
@group(0) @binding(3) var<storage, read> gathered: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

const LINES: u32 = 8u;

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
    let line = index / params.outputs4;
    let output = index - line * params.outputs4;
    let first = line * LINES;
    let last = min(first + LINES, params.blocks * params.d);
    // Block and entry of the first feature; the next ones are counted up.
    let width = select(params.d, params.blocks, params.interleaved == 1u);
    var major = first / width;
    var minor = first - major * width;
    for (var feature = first; feature < last; feature++) {
        let block = select(major, minor, params.interleaved == 1u);
        let entry = select(minor, major, params.interleaved == 1u);
        let statistic = select(block, 0u, params.pooled == 1u);
        let owner = block / params.blocks_per_group;
        let at = feature * params.outputs4 + output;
        var v = -mean[statistic * params.d4 * 4u + entry] * g[owner * params.outputs4 + output];
        if params.add == 1u {
            v += gathered[at];
        }
        y[at] = v;
        minor += 1u;
        major += select(0u, 1u, minor == width);
        minor = select(minor, 0u, minor == width);
    }
}
