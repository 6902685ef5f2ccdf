// g_logits = (softmax(logits) - target) g / count for counted pixels, 0 for the others; the target is (1 - a)
// onehot(label) + a / channels with label smoothing a. With weights of classes each term of the loss is times its
// class's. The softmax is computed again. LANES invocations per pixel, three passes over its channels.
const LANES: u32 = 4u;

// #import loss/shared/labelled.wgsl
@group(0) @binding(3) var<storage, read> count: array<f32>;
@group(0) @binding(4) var<storage, read> g: array<f32>;
@group(0) @binding(5) var<storage, read> weights: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> g_logits: array<vec4f>;

// #import loss/shared/row_lanes.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let own = row_of(group, groups, local);
    let pixel = min(own, params.pixels - 1u);
    let first = pixel * params.channels4;
    let lane = local.x % LANES;
    var mosts = vec4f(logits[first].x);
    for (var k = lane; k < params.channels4; k += LANES) {
        mosts = max(mosts, select(mosts, logits[first + k], row_lanes(k)));
    }
    let largest = row_most(local.x, max(max(mosts.x, mosts.y), max(mosts.z, mosts.w)));
    var sums = vec4f(0.0);
    var of_all = vec4f(0.0);
    for (var k = lane; k < params.channels4; k += LANES) {
        if params.weighted == 1u {
            of_all += select(vec4f(0.0), weights[k], row_lanes(k));
        }
        sums += select(vec4f(0.0), exp(max(logits[first + k] - largest, vec4f(-80.0))), row_lanes(k));
    }
    let sum = row_sum(local.x, sums.x + sums.y + (sums.z + sums.w));
    let all_weights = row_sum(local.x, of_all.x + of_all.y + (of_all.z + of_all.w));
    if own >= params.pixels {
        return;
    }
    let label = labels[pixel];
    let scale = select(g[0] / select(1.0, count[0], count[0] > 0.0), 0.0, skipped(label));
    for (var k = lane; k < params.channels4; k += LANES) {
        let hot = select(vec4f(0.0), vec4f(1.0), k * 4u + vec4u(0u, 1u, 2u, 3u) == vec4u(label));
        let wanted = (1.0 - params.smoothing) * hot + params.smoothing / f32(params.channels);
        let p = exp(max(logits[first + k] - largest, vec4f(-80.0))) / sum;
        var v = p - wanted;
        if (params.weighted == 1u) & !skipped(label) {
            let own_weight = weights[label / 4u][label % 4u];
            v = mix(own_weight * (p - hot), (all_weights * p - weights[k]) / f32(params.channels), params.smoothing);
        }
        g_logits[first + k] = select(vec4f(0.0), v * scale, row_lanes(k));
    }
}
