// From the sums (loss, counted, hits): the mean loss over counted targets, or 0 when none counts; the count (with
// weights of classes their sum); the hits. Each is one number, with zeros up to the end of its buffer.
struct Params {
    unused: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> loss: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> count: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> hits: array<vec4f>;

@compute @workgroup_size(1)
fn main() {
    loss[params.unused] = vec4f(sums[0].x / select(1.0, sums[0].y, sums[0].y > 0.0), 0.0, 0.0, 0.0);
    count[0] = vec4f(sums[0].y, 0.0, 0.0, 0.0);
    hits[0] = vec4f(sums[0].z, 0.0, 0.0, 0.0);
}
