// centred[s][r + offset] = scale (rows[s][r] - mean[s] - rest[s]); the rest is what rounding the mean has left. An
// invocation owns one vector of a column and walks over LINES rows.
struct Params {
    items: u32,
    columns4: u32,
    rows: u32,
    chunks: u32,
    offset: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rows: array<vec4f>;
@group(0) @binding(2) var<storage, read> mean: array<vec4f>;
@group(0) @binding(3) var<storage, read> rest: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> centred: array<vec4f>;

const LINES: u32 = 8u;

// #import shared/index.wgsl
// #import shared/divide.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let index = flat_index(group, groups, local);
    if index >= params.items {
        return;
    }
    let run = quotient(index, params.columns4);
    let column = index - run * params.columns4;
    let s = quotient(run, params.chunks);
    let first = (run - s * params.chunks) * LINES;
    let last = min(first + LINES, params.rows);
    let m = mean[s * params.columns4 + column];
    let r = rest[s * params.columns4 + column];
    for (var row = first; row < last; row++) {
        let at = (s * params.rows + row) * params.columns4 + column;
        centred[at + params.offset * params.columns4] = params.scale * ((rows[at] - m) - r);
    }
}
