// count += amount, its padding 0. One invocation.
struct Params {
    amount: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> count: array<vec4f>;

@compute @workgroup_size(1)
fn main() {
    count[0] = vec4f(count[0].x + params.amount, 0.0, 0.0, 0.0);
}
