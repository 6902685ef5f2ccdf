// Columns (weight_columns.wgsl), or the sum of `parts` of them, back to row-major weights; with SHIFTED = 1, less u[feature] g[output]: g
// with each group's outputs filled up to whole vectors, u by statistic and entry. A block of 4 features x 4 outputs per invocation:
// four vectors of each part are read, 16 scalars written.
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
    parts: u32,
    // Vectors of one part.
    part: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> columns: array<vec4f>;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read> g: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> weight: array<f32>;

// #import shared/index.wgsl
// #import conv/shared/weight_block.wgsl

// Of a feature among those of all groups: block and entry in the order in which features are counted.
fn place_of(feature: u32) -> vec2u {
    let width = select(params.d, params.blocks, params.interleaved == 1u);
    let major = quotient(feature, width);
    return vec2u(major, feature - major * width);
}

// u of a feature by its place.
fn shift_of(place: vec2u) -> f32 {
    let block = select(place.x, place.y, params.interleaved == 1u);
    let entry = select(place.y, place.x, params.interleaved == 1u);
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
    var place = vec2u(0u);
    var shared_g = vec4f(0.0);
    if SHIFTED == 1u {
        place = place_of(block.owner * params.features + block.feature);
        shared_g = g[block.owner * params.outputs4 + block.output / 4u];
    }
    for (var k = 0u; k < 4u; k++) {
        if block.feature + k < params.features {
            let at = row_of(block) + k * params.outputs4;
            var v = columns[at];
            for (var s = 1u; s < params.parts; s++) {
                v += columns[s * params.part + at];
            }
            if SHIFTED == 1u {
                v -= shift_of(place) * shared_g;
                let last = place.y + 1u == select(params.d, params.blocks, params.interleaved == 1u);
                place = select(place + vec2u(0u, 1u), vec2u(place.x + 1u, 0u), last);
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
