// #import conv/shared/conv_weight_grad_io.wgsl
// #import shared/vec4.wgsl

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
    var off: array<vec4f, OWN>;
    for (var i = 0u; i < OWN; i++) {
        let r = min(r0 + owned_row(i, local.x), rows - 1u);
        let tap = r / params.channels4;
        channel[i] = r % params.channels4;
        off[i] = mean_of(tap, channel[i]);
        dy[i] = i32((tap / params.kernel_width) * params.dilation) - i32(params.padding);
        dx[i] = i32((tap % params.kernel_width) * params.dilation) - i32(params.padding);
    }
    var sum: array<array<array<vec4f, TN>, 4>, TM>;
    let first = group.z * params.pixels_per_split;
    let last = min(first + params.pixels_per_split, params.pixels);
    var n = first / (params.out_height * params.out_width);
    var oy = first / params.out_width % params.out_height;
    var ox = first % params.out_width;
    // Four pixels at a time, so that each partial sum is fetched once for four multiply-adds; x less its mean counts as
    // zero beyond the last.
    for (var p = first; p < last; p += 4u) {
        var g: array<array<vec4f, TN>, 4>;
        var a: array<array<vec4f, OWN>, 4>;
        for (var q = 0u; q < 4u; q++) {
            for (var j = 0u; j < TN; j++) {
                g[q][j] = gy[min(p + q, last - 1u) * params.outputs4 + column[j]];
            }
            for (var i = 0u; i < OWN; i++) {
                let iy = i32(oy * params.stride) + dy[i];
                let ix = i32(ox * params.stride) + dx[i];
                let inside = (u32(iy) < params.height) & (u32(ix) < params.width);
                let at = ((n * params.height + u32(iy)) * params.width + u32(ix)) * params.channels4 + channel[i];
                let value = select(vec4f(0.0), x[select(0u, at, inside)], inside) - off[i];
                a[q][i] = select(vec4f(0.0), value, p + q < last);
            }
            // A quotient costs more here than all the rest.
            ox += 1u;
            oy += select(0u, 1u, ox == params.out_width);
            ox = select(ox, 0u, ox == params.out_width);
            n += select(0u, 1u, oy == params.out_height);
            oy = select(oy, 0u, oy == params.out_height);
        }
        for (var i = 0u; i < TM; i++) {
            let v0 = row_vector(a[0][i % OWN], i, local.y);
            let v1 = row_vector(a[1][i % OWN], i, local.y);
            let v2 = row_vector(a[2][i % OWN], i, local.y);
            let v3 = row_vector(a[3][i % OWN], i, local.y);
            for (var j = 0u; j < TN; j++) {
                let g0 = g[0][j];
                let g1 = g[1][j];
                let g2 = g[2][j];
                let g3 = g[3][j];
                sum[i][0][j] = multiply_add(sum[i][0][j], vec4f(v0.x, v1.x, v2.x, v3.x), g0, g1, g2, g3);
                sum[i][1][j] = multiply_add(sum[i][1][j], vec4f(v0.y, v1.y, v2.y, v3.y), g0, g1, g2, g3);
                sum[i][2][j] = multiply_add(sum[i][2][j], vec4f(v0.z, v1.z, v2.z, v3.z), g0, g1, g2, g3);
                sum[i][3][j] = multiply_add(sum[i][3][j], vec4f(v0.w, v1.w, v2.w, v3.w), g0, g1, g2, g3);
            }
        }
    }
    var tap = r0 / params.channels4;
    var vector = r0 - tap * params.channels4;
    for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < TN; j++) {
            let values = mat4x4f(sum[i][0][j], sum[i][1][j], sum[i][2][j], sum[i][3][j]);
            store(group.z, tap, vector, o0 + j * LX, values);
        }
        vector += 1u;
        tap += select(0u, 1u, vector == params.channels4);
        vector = select(vector, 0u, vector == params.channels4);
    }
}
