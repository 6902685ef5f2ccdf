// y[n, (c,u,v), l] = x[n, position of tap (u, v) at output l, c], 0 outside the map: row-major, as PyTorch's unfold.
// One element per invocation, neighbours along l: one scalar read, one write.
struct Params {
    elements: u32,
    height: u32,
    width: u32,
    channels: u32,
    channels4: u32,
    out_height: u32,
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride: u32,
    padding: u32,
    dilation: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

// #import shared/index.wgsl

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let i = flat_index(group, groups, local);
    if i >= params.elements {
        return;
    }
    let col = i % params.out_width;
    let row = (i / params.out_width) % params.out_height;
    let feature = i / (params.out_width * params.out_height);
    let v = feature % params.kernel_width;
    let u = (feature / params.kernel_width) % params.kernel_height;
    let plane = feature / (params.kernel_width * params.kernel_height);
    let iy = i32(row * params.stride + u * params.dilation) - i32(params.padding);
    let ix = i32(col * params.stride + v * params.dilation) - i32(params.padding);
    var value = 0.0;
    if iy >= 0 && iy < i32(params.height) && ix >= 0 && ix < i32(params.width) {
        let image = plane / params.channels;
        let pixel = (image * params.height + u32(iy)) * params.width + u32(ix);
        value = x[pixel * params.channels4 * 4u + plane % params.channels];
    }
    y[i] = value;
}
