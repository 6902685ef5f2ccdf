// gx[n,a,b,c] = sum of gy over the windows whose winning tap lies at pixel (a,b): a gather, without atomics.
//
// An invocation owns BLOCK x BLOCK pixels of one vector of channels. Blocks are aligned to multiples of BLOCK in padded
// coordinates; with BLOCK = STRIDE (or 1) all pixels of a block lie under the same ceil(k / s)^2 windows, so that many
// reads of gy and tap serve BLOCK^2 writes. KERNEL and STRIDE fix the window, 0 takes it from the parameters.
const BLOCK: u32 = 1u;
const KERNEL: u32 = 0u;
const STRIDE: u32 = 0u;
const PIXELS: u32 = BLOCK * BLOCK;

struct Params {
    vectors: u32,
    channels4: u32,
    height: u32,
    width: u32,
    out_height: u32,
    out_width: u32,
    blocks_high: u32,
    blocks_wide: u32,
    kernel: u32,
    stride: u32,
    padding: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gy: array<vec4f>;
@group(0) @binding(2) var<storage, read> tap: array<u32>;
@group(0) @binding(3) var<storage, read_write> gx: array<vec4f>;

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
    let block = place_of(i, params.blocks_high, params.blocks_wide);
    // The block's first pixel in padded coordinates.
    let qy = (block.row + params.padding / BLOCK) * BLOCK;
    let qx = (block.column + params.padding / BLOCK) * BLOCK;
    let windows = (kernel - 1u) / stride + 1u;
    var sum: array<vec4f, PIXELS>;
    for (var wy = 0u; wy < windows; wy++) {
        let oy = qy / stride - wy;
        for (var wx = 0u; wx < windows; wx++) {
            let ox = qx / stride - wx;
            // Below zero wraps around, so one comparison serves both ends.
            let inside = oy < params.out_height && ox < params.out_width;
            let row = block.image * params.out_height + select(0u, oy, inside);
            let at = (row * params.out_width + select(0u, ox, inside)) * params.channels4 + block.vector;
            let g = select(vec4f(0.0), gy[at], inside);
            let winner = (vec4u(tap[at]) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u);
            for (var py = 0u; py < BLOCK; py++) {
                for (var px = 0u; px < BLOCK; px++) {
                    let u = qy % stride + wy * stride + py;
                    let v = qx % stride + wx * stride + px;
                    let here = (winner == vec4u(u * kernel + v)) & vec4<bool>(max(u, v) < kernel);
                    sum[py * BLOCK + px] += select(vec4f(0.0), g, here);
                }
            }
        }
    }
    for (var py = 0u; py < BLOCK; py++) {
        for (var px = 0u; px < BLOCK; px++) {
            let iy = qy + py - params.padding;
            let ix = qx + px - params.padding;
            if iy < params.height && ix < params.width {
                let to = ((block.image * params.height + iy) * params.width + ix) * params.channels4 + block.vector;
                gx[to] = sum[py * BLOCK + px];
            }
        }
    }
}
