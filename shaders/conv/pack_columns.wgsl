// Columns (weight_columns.wgsl) to the layout of the input gradient of a convolution: packed[tap][output][channel / 4],
// the last tap first where `flipped`. A block of 4 outputs x 4 channels per invocation: four vectors are read and
// transposed.
struct Params {
    blocks: u32,
    taps: u32,
    outputs4: u32,
    channels: u32,
    channels4: u32,
    flipped: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> columns: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> packed: array<vec4f>;

// #import shared/index.wgsl
// #import shared/divide.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let index = flat_index(group, groups, local);
    if index >= params.blocks {
        return;
    }
    let line = quotient(index, params.channels4);
    let place = quotient(line, params.outputs4);
    let vector = index - line * params.channels4;
    let output = line - place * params.outputs4;
    let tap = select(place, params.taps - 1u - place, params.flipped == 1u);
    let channels = vec4u(vector * 4u) + vec4u(0u, 1u, 2u, 3u);
    let used = channels < vec4u(params.channels);
    let at = (min(channels, vec4u(params.channels - 1u)) * params.taps + tap) * params.outputs4 + output;
    let transposed = transpose(mat4x4f(columns[at.x], columns[at.y], columns[at.z], columns[at.w]));
    for (var k = 0u; k < 4u; k++) {
        packed[(line * 4u + k) * params.channels4 + vector] = select(vec4f(0.0), transposed[k], used);
    }
}
