// Row-major weights (O, I, kh, kw) to the layout of the convolution kernels: packed[tap][row][column / 4], rows padded
// with zeros to a multiple of four. Rows are input channels and columns output channels, or the reverse for the input
// gradient; the strides say which. `flipped` packs the last tap first. A block of 4 rows x 4 columns per invocation.
struct Params {
    blocks: u32,
    taps: u32,
    rows: u32,
    rows4: u32,
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
    if i >= params.blocks {
        return;
    }
    let line = i / params.columns4;
    let place = line / params.rows4;
    let vector = i - line * params.columns4;
    let block = line - place * params.rows4;
    let tap = select(place, params.taps - 1u - place, params.flipped == 1u);
    let columns = vec4u(vector * 4u) + vec4u(0u, 1u, 2u, 3u);
    let used = columns < vec4u(params.columns);
    let at = vec4u(tap) + min(columns, vec4u(params.columns - 1u)) * params.column_stride;
    for (var k = 0u; k < 4u; k++) {
        let row = block * 4u + k;
        let source = at + min(row, params.rows - 1u) * params.row_stride;
        let v = vec4f(weight[source.x], weight[source.y], weight[source.z], weight[source.w]);
        let keep = used & vec4<bool>(row < params.rows);
        packed[((place * params.rows4 + block) * 4u + k) * params.columns4 + vector] = select(vec4f(0.0), v, keep);
    }
}
