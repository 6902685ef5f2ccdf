// Row by row, y[s][r] = -g[o] v, where o is the output that row r belongs to and v is mean[s] (gradient of the folded
// weight) or, with BY_ROW = 1, the row's own vector x[s][r] (its column sum is the gradient of the mean). One vector each.
const BY_ROW: u32 = 0u;

struct Params {
    vectors: u32,
    d4: u32,
    rows: u32,
    blocks: u32,
    blocks_per_group: u32,
    outputs_per_group: u32,
    pooled: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

// #import shared/index.wgsl
// #import shared/divide.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let index = flat_index(group, groups, local);
    if index >= params.vectors {
        return;
    }
    let row = quotient(index, params.d4);
    let s = quotient(row, params.rows);
    let r = row - s * params.rows;
    var output = r;
    if params.pooled == 1u {
        output = quotient(r, params.blocks);
    } else {
        output += quotient(s, params.blocks_per_group) * params.outputs_per_group;
    }
    var at = index;
    if BY_ROW == 0u {
        at = s * params.d4 + index - row * params.d4;
    }
    y[index] = -g[output] * x[at];
}
