// b'[o] = b[o] - sum over the parts of o's group of shift[part][o] (method, section 6, mean_shift.wgsl). One output per
// invocation, padding included, which is set to 0.
struct Params {
    outputs: u32,
    outputs_per_group: u32,
    outputs4: u32,
    chunks: u32,
    has_bias: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> shift: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> folded: array<f32>;

// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let output = flat_index(group, groups, local);
    if output >= (params.outputs + 3u) / 4u * 4u {
        return;
    }
    if output >= params.outputs {
        folded[output] = 0.0;
        return;
    }
    let owner = output / params.outputs_per_group;
    let place = output - owner * params.outputs_per_group;
    var value = 0.0;
    if params.has_bias == 1u {
        value = bias[output];
    }
    var sum = 0.0;
    for (var c = 0u; c < params.chunks; c++) {
        sum += shift[(owner * params.chunks + c) * params.outputs4 * 4u + place];
    }
    folded[output] = value - sum;
}
