// Row-major weights (O, C/groups, kh, kw) to the layout of `conv_grouped.wgsl`: packed[tap][row][column / 4], zeros
// beyond the columns. Forward a column is an output channel and a row an input of its group; for the input gradient
// a column is an input channel and a row an output of its group. One vector per invocation.
struct Params {
    vectors: u32,
    taps: u32,
    rows: u32,
    columns: u32,
    columns4: u32,
    columns_per_group: u32,
    transposed: u32,
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
    let first = (i % params.columns4) * 4u;
    let row = (i / params.columns4) % params.rows;
    let tap = i / (params.columns4 * params.rows);
    var v = vec4f(0.0);
    for (var e = 0u; e < 4u; e++) {
        let column = first + e;
        if column < params.columns {
            var at = column * params.rows + row;
            if params.transposed == 1u {
                let per_group = params.columns_per_group;
                at = (column / per_group * params.rows + row) * per_group + column % per_group;
            }
            v[e] = weight[at * params.taps + tap];
        }
    }
    packed[i] = v;
}
