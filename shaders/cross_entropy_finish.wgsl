// From the sums (loss, counted, hits): the mean loss over counted targets, or 0 when none counts; the count; the hits.
struct Params {
    unused: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> count: array<f32>;
@group(0) @binding(4) var<storage, read_write> hits: array<f32>;

@compute @workgroup_size(1)
fn main() {
    loss[params.unused] = sums[0].x / max(sums[0].y, 1.0);
    count[0] = sums[0].y;
    hits[0] = sums[0].z;
}
