// Per pixel, the softmax cross-entropy of its logits against its (smoothed) label, whether it counts, and whether the
// largest logit is the label's (the first one wins ties): terms[pixel] = (loss, counted, hit). With weights of classes,
// loss and count are times the label's. Logits in vectors of four; the maximum is taken out before exp. LANES
// invocations per pixel, two passes over its channels.
const LANES: u32 = 4u;

// #import loss/shared/labelled.wgsl
@group(0) @binding(3) var<storage, read> weights: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> terms: array<vec4f>;

// #import loss/shared/row_lanes.wgsl

var<workgroup> places: array<u32, 64>;

// Place of the largest value over the invocations of a row, each with its own largest and its place; the lowest place
// wins ties.
fn row_place(local: u32, own: f32, place: u32) -> u32 {
    row_parts[local] = own;
    places[local] = place;
    workgroupBarrier();
    for (var step = LANES / 2u; step > 0u; step /= 2u) {
        if local % LANES < step {
            let other = row_parts[local + step];
            let tied = (other == row_parts[local]) & (places[local + step] < places[local]);
            if (other > row_parts[local]) | tied {
                row_parts[local] = other;
                places[local] = places[local + step];
            }
        }
        workgroupBarrier();
    }
    let best = places[local - local % LANES];
    workgroupBarrier();
    return best;
}

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
    var largest = logits[first].x;
    var best = 0u;
    for (var k = lane; k < params.channels4; k += LANES) {
        let v = logits[first + k];
        for (var e = 0u; e < 4u; e++) {
            if (k * 4u + e < params.channels) & (v[e] > largest) {
                largest = v[e];
                best = k * 4u + e;
            }
        }
    }
    best = row_place(local.x, largest, best);
    largest = row_most(local.x, largest);
    var sums = vec4f(0.0);
    var below = vec4f(0.0);
    var of_all = vec4f(0.0);
    for (var k = lane; k < params.channels4; k += LANES) {
        let v = select(vec4f(0.0), logits[first + k] - largest, row_lanes(k));
        sums += select(vec4f(0.0), exp(max(v, vec4f(-80.0))), row_lanes(k));
        var weight = select(vec4f(0.0), vec4f(1.0), row_lanes(k));
        if params.weighted == 1u {
            weight = select(vec4f(0.0), weights[k], row_lanes(k));
        }
        below += weight * v;
        of_all += weight;
    }
    let sum = row_sum(local.x, sums.x + sums.y + (sums.z + sums.w));
    let mean = row_sum(local.x, below.x + below.y + (below.z + below.w)) / f32(params.channels);
    let all_weights = row_sum(local.x, of_all.x + of_all.y + (of_all.z + of_all.w));
    if (lane > 0u) | (own >= params.pixels) {
        return;
    }
    let label = labels[pixel];
    if skipped(label) {
        terms[pixel] = vec4f(0.0);
        return;
    }
    let own_below = logits[first + label / 4u][label % 4u] - largest;
    // An infinite logit elsewhere must not reach a loss that does not ask for the others.
    let target_below = select(own_below, mix(own_below, mean, params.smoothing), params.smoothing > 0.0);
    let hit = select(0.0, 1.0, best == label);
    if params.weighted == 1u {
        let weight = weights[label / 4u][label % 4u];
        let smooth_part = select(0.0, all_weights / f32(params.channels) * log(sum) - mean, params.smoothing > 0.0);
        let loss = mix(weight * (log(sum) - own_below), smooth_part, params.smoothing);
        terms[pixel] = vec4f(loss, weight, hit, 0.0);
        return;
    }
    terms[pixel] = vec4f(log(sum) - target_below, 1.0, hit, 0.0);
}
