// y = a x + b y, a and b those of the step's scalars that the parameters name. One vector per invocation: two reads,
// one write.
struct Params {
    vectors: u32,
    a: u32,
    b: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> scalars: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;

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
    let a = scalars[params.a / 4u][params.a % 4u];
    let b = scalars[params.b / 4u][params.b % 4u];
    // Nothing times 0 is not always 0.
    let before = select(y[i], vec4f(0.0), b == 0.0);
    y[i] = fma(vec4f(b), before, a * x[i]);
}
