// Row-major weights (O, I, kh, kw) to the layout of the convolution kernels: packed[tap][row][column / 4], rows padded
// with zeros to a multiple of four. Rows are input channels and columns output channels, or the reverse for the
// input gradient; the strides say which. `flipped` packs the last tap first. One vector per invocation.
struct Params {
    vectors: u32,
    taps: u32,
    rows: u32,
    rows_padded: u32,
    columns: u32,
    columns4: u32,
    row_stride: u32,
    column_stride: u32,
    flipped: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> packed: array<vec4f>;

// #import shared/index.wgsl

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
    let column = (i % params.columns4) * 4u;
    let row = (i / params.columns4) % params.rows_padded;
    let place = i / (params.columns4 * params.rows_padded);
    let tap = select(place, params.taps - 1u - place, params.flipped == 1u);
    var v = vec4f(0.0);
    if row < params.rows {
        let at = tap + row * params.row_stride + column * params.column_stride;
        for (var e = 0u; e < 4u; e++) {
            if column + e < params.columns {
                v[e] = weight[at + e * params.column_stride];
            }
        }
    }
    packed[i] = v;
}
