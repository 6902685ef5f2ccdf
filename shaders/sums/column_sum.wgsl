// partial[s][split][column] = scale * sum over the rows of the split of x[s][row][column], columns in vectors of four;
// with SHIFTED = 1 of x[s][row][column] - shift[s][column]. One invocation per (s, split, column); reads its column of
// rows_per_split rows. Run twice for a full sum: once over the rows, once over the splits.
const SHIFTED: u32 = 0u;

struct Params {
    batches: u32,
    rows: u32,
    columns4: u32,
    splits: u32,
    rows_per_split: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> shift: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> partial: array<vec4f>;

// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let i = flat_index(group, groups, local);
    if i >= params.batches * params.splits * params.columns4 {
        return;
    }
    let column = i % params.columns4;
    let split = (i / params.columns4) % params.splits;
    let batch = i / (params.columns4 * params.splits);
    let first = split * params.rows_per_split;
    let last = min(first + params.rows_per_split, params.rows);
    var origin = vec4f(0.0);
    if SHIFTED == 1u {
        origin = shift[batch * params.columns4 + column];
    }
    var sum = vec4f(0.0);
    for (var row = first; row < last; row++) {
        sum += x[(batch * params.rows + row) * params.columns4 + column] - origin;
    }
    partial[i] = sum * params.scale;
}
