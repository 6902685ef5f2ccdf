// gx = sum of gy times the weight that the output gave to the pixel: the exact adjoint of interpolate.wgsl as a gather,
// without atomics. One vector per invocation: reads the up to (2 outs / size + 2)^2 outputs around it, writes once.

// #import pool/shared/bilinear.wgsl
// #import shared/index.wgsl

@group(0) @binding(1) var<storage, read> gy: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> gx: array<vec4f>;

// First and end of the outputs that may read pixel i: those with i - 1 < src < i + 1, at the edges all beyond.
fn readers(i: u32, size: u32, outs: u32) -> vec2u {
    let first = select(0u, outs * (2u * max(i, 1u) - 1u) / size / 2u, i > 0u);
    let last = min(outs * (2u * i + 3u) / size / 2u, outs - 1u);
    return vec2u(first, select(last, outs - 1u, i + 1u == size) + 1u);
}

// The weight of pixel i in output o.
fn share(i: u32, o: u32, size: u32, outs: u32) -> f32 {
    let pair = source(o, size, outs);
    return select(0.0, 1.0 - pair.weight, pair.low == i) + select(0.0, pair.weight, pair.high == i);
}

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
    let at = place_of(i, params.height, params.width);
    let rows = readers(at.row, params.height, params.out_height);
    let columns = readers(at.column, params.width, params.out_width);
    var sum = vec4f(0.0);
    for (var oy = rows.x; oy < rows.y; oy++) {
        let row = (at.image * params.out_height + oy) * params.out_width;
        var along = vec4f(0.0);
        for (var ox = columns.x; ox < columns.y; ox++) {
            let weight = share(at.column, ox, params.width, params.out_width);
            along += weight * gy[(row + ox) * params.channels4 + at.vector];
        }
        sum += share(at.row, oy, params.height, params.out_height) * along;
    }
    gx[i] = sum;
}
