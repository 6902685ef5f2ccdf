// #import shared/conv_weight_grad_io.wgsl

@compute @workgroup_size(LX * LY)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
    // One dimension, because some drivers fill their vectors along x alone.
    let local = vec2u(lane % LX, lane / LX);
    let rows = params.taps * params.channels4;
    let r0 = (group.y * LY + local.y) * TM;
    let o0 = group.x * LX * TN + local.x;
    var column: array<u32, TN>;
    for (var j = 0u; j < TN; j++) {
        column[j] = min(o0 + j * LX, params.outputs4 - 1u);
    }
    var channel: array<u32, OWN>;
    var dy: array<i32, OWN>;
    var dx: array<i32, OWN>;
    for (var i = 0u; i < OWN; i++) {
        let r = min(r0 + owned_row(i, local.x), rows - 1u);
        let tap = r / params.channels4;
        channel[i] = r % params.channels4;
        dy[i] = i32((tap / params.kernel_width) * params.dilation) - i32(params.padding);
        dx[i] = i32((tap % params.kernel_width) * params.dilation) - i32(params.padding);
    }
    var sum: array<array<array<vec4f, TN>, 4>, TM>;
    let first = group.z * params.lines_per_split;
    let last = min(first + params.lines_per_split, params.lines);
    for (var line = first; line < last; line++) {
        let n = line / params.out_height;
        let oy = i32((line % params.out_height) * params.stride);
        var base: array<u32, OWN>;
        var inside: array<bool, OWN>;
        for (var i = 0u; i < OWN; i++) {
            let iy = oy + dy[i];
            inside[i] = u32(iy) < params.height;
            base[i] = (n * params.height + u32(select(0, iy, inside[i]))) * params.width * params.channels4 + channel[i];
        }
        for (var ox = 0u; ox < params.out_width; ox++) {
            var g: array<vec4f, TN>;
            for (var j = 0u; j < TN; j++) {
                g[j] = gy[(line * params.out_width + ox) * params.outputs4 + column[j]];
            }
            var a: array<vec4f, OWN>;
            for (var i = 0u; i < OWN; i++) {
                let ix = i32(ox * params.stride) + dx[i];
                let valid = inside[i] & (u32(ix) < params.width);
                a[i] = select(vec4f(0.0), x[base[i] + u32(select(0, ix, valid)) * params.channels4], valid);
            }
            for (var i = 0u; i < TM; i++) {
                let v = row_vector(a[i % OWN], i, local.y);
                for (var j = 0u; j < TN; j++) {
                    sum[i][0][j] = fma(vec4f(v.x), g[j], sum[i][0][j]);
                    sum[i][1][j] = fma(vec4f(v.y), g[j], sum[i][1][j]);
                    sum[i][2][j] = fma(vec4f(v.z), g[j], sum[i][2][j]);
                    sum[i][3][j] = fma(vec4f(v.w), g[j], sum[i][3][j]);
                }
            }
        }
    }
    for (var i = 0u; i < TM; i++) {
        for (var e = 0u; e < 4u; e++) {
            for (var j = 0u; j < TN; j++) {
                let o = o0 + j * LX;
                if (r0 + i < rows) & (o < params.outputs4) {
                    partial[((group.z * rows + r0 + i) * 4u + e) * params.outputs4 + o] = sum[i][e][j];
                }
            }
        }
    }
}
