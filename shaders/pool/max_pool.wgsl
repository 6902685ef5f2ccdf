// y[n,i,j,c] = max over the taps (u,v) of x[n, i s + u - p, j s + v - p, c], taps outside the map left out; the first
// maximum in row-major order wins, and its number u k + v goes to tap, one byte per channel. One vector per invocation:
// k^2 reads, one write and a quarter of one. KERNEL and STRIDE fix the window, 0 takes it from the parameters.
const KERNEL: u32 = 0u;
const STRIDE: u32 = 0u;

struct Params {
    vectors: u32,
    channels4: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
    rectified: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> tap: array<u32>;

// #import shared/index.wgsl
// #import pool/shared/place.wgsl

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
    let kernel = select(params.kernel, KERNEL, KERNEL > 0u);
    let stride = select(params.stride, STRIDE, STRIDE > 0u);
    let at = place_of(i, params.out_height, params.out_width);
    let top = i32(at.row * stride) - i32(params.padding);
    let left = i32(at.column * stride) - i32(params.padding);
    var best = vec4f(0.0);
    var winner = vec4u(0u);
    var empty = true;
    for (var u = 0u; u < kernel; u++) {
        let iy = top + i32(u);
        let row_inside = iy >= 0 && iy < i32(params.height);
        let row = (at.image * params.height + u32(select(0, iy, row_inside))) * params.width;
        for (var v = 0u; v < kernel; v++) {
            let ix = left + i32(v);
            let inside = row_inside && ix >= 0 && ix < i32(params.width);
            let value = x[(row + u32(select(0, ix, inside))) * params.channels4 + at.vector];
            let better = ((value > best) | vec4<bool>(empty)) & vec4<bool>(inside);
            best = select(best, value, better);
            winner = select(winner, vec4u(u * kernel + v), better);
            empty = empty && !inside;
        }
    }
    // Of a ReLU's output: no gradient passes where nothing is above 0.
    winner = select(winner, vec4u(255u), (best <= vec4f(0.0)) & vec4<bool>(params.rectified == 1u));
    y[i] = best;
    tap[i] = winner.x | (winner.y << 8u) | (winner.z << 16u) | (winner.w << 24u);
}
