// Per pixel, the softmax cross-entropy of its logits against its label, whether it counts, and whether the largest logit is the
// label's (the first one wins ties): terms[pixel] = (loss, counted, hit). Logits in vectors of four; the maximum is
// taken out before exp. One pixel per invocation, two passes over its channels.
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
@group(0) @binding(3) var<storage, read_write> terms: array<vec4f>;

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
    var best = 0u;
    for (var c = 1u; c < params.channels; c++) {
        let v = logits[base + c];
        if v > largest {
            largest = v;
            best = c;
        }
    }
    var sum = 0.0;
    for (var c = 0u; c < params.channels; c++) {
        sum += exp(max(logits[base + c] - largest, -80.0));
    }
    if skipped {
        terms[pixel] = vec4f(0.0);
        return;
    }
    let loss = log(sum) + largest - logits[base + label];
    terms[pixel] = vec4f(loss, 1.0, select(0.0, 1.0, best == label), 0.0);
}
