// Gathers patches into rows in strata, with `centered` less their stratum's mean, which is also written. Entries that a stratum does not
// see stay as they were. An invocation owns one vector of a stratum: gathers it twice from each image, writes it once.
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> rows: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> means: array<vec4f>;

// The channels of a vector stand side by side.
const CONTIGUOUS: u32 = 0u;

// #import shared/index.wgsl
// #import shared/divide.wgsl
// #import shared/strata.wgsl

fn element(at: u32) -> f32 {
    return x[at / 4u][at % 4u];
}

// Four channels, `blocks` apart, from element `at` on.
fn vector(at: u32) -> vec4f {
    if CONTIGUOUS == 1u {
        return x[at / 4u];
    }
    let next = vec4u(at) + params.blocks * vec4u(0u, 1u, 2u, 3u);
    return vec4f(element(next.x), element(next.y), element(next.z), element(next.w));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let index = flat_index(group, groups, local);
    if index >= params.strata * params.da4 {
        return;
    }
    let stratum = quotient(index, params.da4);
    let column = index - stratum * params.da4;
    let part = quotient(column, params.size4);
    let tap = tap_of(stratum, part);
    let channel = (column - part * params.size4) * 4u * params.blocks + tap.channel;
    let first = select(0u, tap.pixel * params.channel_stride + channel, tap.seen);
    let stride = params.height * params.width * params.channel_stride;
    let images = select(0u, params.images, tap.seen);
    // From the first image's value on, so that the mean's rounding is small beside the spread, however small that is.
    let origin = select(vec4f(0.0), vector(first), params.centered == 1u);
    var sum = vec4f(0.0);
    for (var image = 0u; image < images * params.centered; image++) {
        sum += vector(first + image * stride) - origin;
    }
    let shift = sum / f32(params.images);
    let row = stratum * params.images * params.da4 + column;
    for (var image = 0u; image < images; image++) {
        rows[row + image * params.da4] = (vector(first + image * stride) - origin) - shift;
    }
    means[index] = select(vec4f(0.0), origin + shift, tap.seen);
}
