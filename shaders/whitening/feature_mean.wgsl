// The mean of each feature from that of each entry of a block (method, section 3): y[feature] = x[statistic][entry];
// with ADJOINT = 1 the sums back, y[statistic][entry] = sum over the statistic's blocks of x[feature]. A vector of four
// per invocation.
const ADJOINT: u32 = 0u;

struct Params {
    items: u32,
    features: u32,
    blocks: u32,
    d: u32,
    d4: u32,
    pooled: u32,
    interleaved: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;

// #import shared/index.wgsl

fn of_feature(feature: u32) -> f32 {
    let width = select(params.d, params.blocks, params.interleaved == 1u);
    let major = feature / width;
    let minor = feature - major * width;
    let block = select(major, minor, params.interleaved == 1u);
    let entry = select(minor, major, params.interleaved == 1u);
    return x[select(block, 0u, params.pooled == 1u) * params.d4 * 4u + entry];
}

fn of_entry(statistic: u32, entry: u32) -> f32 {
    let first = select(statistic * params.d + entry, entry * params.blocks, params.interleaved == 1u);
    let stride = select(params.d, 1u, params.interleaved == 1u);
    let count = select(1u, params.blocks, params.pooled == 1u);
    var sum = 0.0;
    for (var j = 0u; j < count; j++) {
        sum += x[first + j * stride];
    }
    return sum;
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
    var value = vec4f(0.0);
    for (var e = 0u; e < 4u; e++) {
        if ADJOINT == 1u {
            let statistic = index / params.d4;
            let entry = (index - statistic * params.d4) * 4u + e;
            if entry < params.d {
                value[e] = of_entry(statistic, entry);
            }
        } else if index * 4u + e < params.features {
            value[e] = of_feature(index * 4u + e);
        }
    }
    y[index] = value;
}
