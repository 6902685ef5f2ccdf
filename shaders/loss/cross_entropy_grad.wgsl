// g_logits = (softmax(logits) - onehot(label)) g / count for counted pixels, 0 for the others; the softmax is computed again. One
// pixel per invocation, three passes over its channels.
struct Params {
    pixels: u32,
    channels: u32,
    channels4: u32,
    ignore: u32,
    has_ignore: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> count: array<f32>;
@group(0) @binding(4) var<storage, read> g: array<f32>;
@group(0) @binding(5) var<storage, read_write> g_logits: array<f32>;

// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let pixel = flat_index(group, groups, local);
    if pixel >= params.pixels {
        return;
    }
    let base = pixel * params.channels4 * 4u;
    let label = labels[pixel];
    let skipped = (params.has_ignore == 1u && label == params.ignore) || label >= params.channels;
    var largest = logits[base];
    for (var c = 1u; c < params.channels; c++) {
        largest = max(largest, logits[base + c]);
    }
    var sum = 0.0;
    for (var c = 0u; c < params.channels; c++) {
        sum += exp(max(logits[base + c] - largest, -80.0));
    }
    let scale = select(g[0] / max(count[0], 1.0), 0.0, skipped);
    for (var c = 0u; c < params.channels4 * 4u; c++) {
        var v = 0.0;
        if c < params.channels {
            v = exp(max(logits[base + c] - largest, -80.0)) / sum - select(0.0, 1.0, c == label);
        }
        g_logits[base + c] = v * scale;
    }
}
