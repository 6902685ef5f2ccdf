// y = (x - mean) / sqrt(variance + eps) * weight + bias by channel, then max(y, 0) where RELU is 1.
// One invocation walks up to 4 pixels, a quarter of all pixels apart, of one vector of channels: the channel's values
// are read once for them, and neighbours read neighbouring vectors. One read and one write per vector. Padding lanes
// stay 0 because mean, weight and bias are 0 there.
const RELU: u32 = 0u;

struct Params {
    rows: u32,
    columns4: u32,
    spacing: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read> mean: array<vec4f>;
@group(0) @binding(5) var<storage, read> variance: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;

// #import shared/index.wgsl
// #import shared/relu.wgsl

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
    let c = i % params.columns4;
    let centre = mean[c];
    let scale = weight[c] / sqrt(variance[c] + params.eps);
    let shift = bias[c];
    for (var j = 0u; j < 4u; j++) {
        let at = i + j * params.spacing * params.columns4;
        if at < params.rows * params.columns4 {
            let v = fma(x[at] - centre, scale, shift);
            y[at] = select(v, relu(v), RELU == 1u);
        }
    }
}
