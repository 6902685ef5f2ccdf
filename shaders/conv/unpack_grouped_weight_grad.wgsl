// Sums partial weight gradients of a grouped convolution, partial[split][tap][input channel][output channel / 4], and
// writes them row-major (O, I, kh, kw). One invocation per vector of four output channels; reads `splits` vectors,
// writes four scalars.
struct Params {
    vectors: u32,
    splits: u32,
    taps: u32,
    channels: u32,
    outputs: u32,
    outputs4: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> gw: array<f32>;

// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let i = flat_index(group, groups, local);
    if i >= params.vectors {
        return;
    }
    let channel = (i / params.outputs4) % params.channels;
    let tap = i / (params.outputs4 * params.channels);
    let first = (i % params.outputs4) * 4u;
    var sum = vec4f(0.0);
    for (var s = 0u; s < params.splits; s++) {
        sum += partial[s * params.vectors + i];
    }
    for (var e = 0u; e < 4u; e++) {
        if first + e < params.outputs {
            gw[((first + e) * params.channels + channel) * params.taps + tap] = sum[e];
        }
    }
}
