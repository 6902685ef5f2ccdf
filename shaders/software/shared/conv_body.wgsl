// #import conv/shared/conv_params.wgsl
// #import conv/shared/conv_io.wgsl
// #import conv/shared/conv_store_added.wgsl
// #import conv/shared/conv_position.wgsl

@compute @workgroup_size(LX * LY)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    // One dimension, because some drivers fill their vectors along x alone.
    let local = vec2u(lane % LX, lane / LX);
    let p0 = ((group.y * groups.x + group.x) * LY + local.y) * TM;
    let o0 = group.z * LX * TN + local.x;
    if (group.y * groups.x + group.x) * LY * TM >= params.pixels {
        return;
    }
    var column: array<u32, TN>;
    for (var j = 0u; j < TN; j++) {
        column[j] = min(o0 + j * LX, params.outputs4 - 1u);
    }
    // The rows whose vectors this lane loads; the lanes of one pixel group pass them around.
    var image: array<u32, OWN>;
    var row: array<u32, OWN>;
    var col: array<u32, OWN>;
    for (var i = 0u; i < OWN; i++) {
        let p = min(p0 + owned_row(i, local.x), params.pixels - 1u);
        let line = p / params.out_width;
        image[i] = line / params.out_height;
        row[i] = line % params.out_height;
        col[i] = p % params.out_width;
    }
    var sum: array<array<vec4f, TN>, TM>;
    for (var u = 0u; u < params.kernel_height; u++) {
        for (var v = 0u; v < params.kernel_width; v++) {
            var base: array<u32, OWN>;
            var inside: array<bool, OWN>;
            for (var i = 0u; i < OWN; i++) {
                let iy = position(row[i], u, params.height);
                let ix = position(col[i], v, params.width);
                inside[i] = min(iy, ix) >= 0;
                let at = ((image[i] * params.height + u32(iy)) * params.width + u32(ix)) * params.channels4;
                base[i] = select(0u, at, inside[i]);
            }
            let tap = (u * params.kernel_width + v) * params.tap_rows;
            for (var c = 0u; c < params.channels4; c++) {
                var a: array<vec4f, OWN>;
                for (var i = 0u; i < OWN; i++) {
                    a[i] = select(vec4f(0.0), x[base[i] + c], inside[i]);
                }
                var b: array<array<vec4f, TN>, 4>;
                for (var e = 0u; e < 4u; e++) {
                    // Rows beyond the last are clamped; x is zero there.
                    let w = min(tap + (c * 4u + e) * params.channel_rows, params.last_row) * params.outputs4;
                    for (var j = 0u; j < TN; j++) {
                        b[e][j] = weight[w + column[j]];
                    }
                }
                for (var i = 0u; i < TM; i++) {
                    let v = row_vector(a[i % OWN], i, local.y);
                    for (var j = 0u; j < TN; j++) {
                        sum[i][j] = multiply_add(sum[i][j], v, b[0][j], b[1][j], b[2][j], b[3][j]);
                    }
                }
            }
        }
    }
    for (var j = 0u; j < TN; j++) {
        let shift = shift_of(o0 + j * LX);
        for (var i = 0u; i < TM; i++) {
            store(p0 + i, o0 + j * LX, sum[i][j] + shift);
        }
    }
}
