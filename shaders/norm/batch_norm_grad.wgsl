// gx = scale (g - a - (x - mean) k) by channel, with scale, a, k from batch_norm_coefficients.wgsl and g as in
// batch_norm_sums.wgsl. One invocation walks up to 4 pixels of one vector of channels, as in batch_norm.wgsl: two reads
// and one write per vector.
const RELU: u32 = 0u;

struct Params {
    rows: u32,
    columns4: u32,
    spacing: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> gy: array<vec4f>;
@group(0) @binding(3) var<storage, read> coefficients: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> gx: array<vec4f>;

// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let i = flat_index(group, groups, local);
    if i >= params.spacing * params.columns4 {
        return;
    }
    let c = (i % params.columns4) * 5u;
    let centre = coefficients[c];
    let scale = coefficients[c + 1u];
    let shift = coefficients[c + 2u];
    let a = coefficients[c + 3u];
    let k = coefficients[c + 4u];
    for (var j = 0u; j < 4u; j++) {
        let at = i + j * params.spacing * params.columns4;
        if at < params.rows * params.columns4 {
            let d = x[at] - centre;
            var g = gy[at];
            if RELU == 1u {
                g = select(vec4f(0.0), g, fma(d, scale, shift) > vec4f(0.0));
            }
            gx[at] = scale * (g - a - d * k);
        }
    }
}
