// y = a + b element by element, with RELU = 1 max(a + b, 0). One vector per invocation: two reads, one write.
const RELU: u32 = 0u;

struct Params {
    vectors: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

// #import shared/index.wgsl
// #import shared/relu.wgsl

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
    let sum = a[i] + b[i];
    if RELU == 1u {
        y[i] = relu(sum);
    } else {
        y[i] = sum;
    }
}
