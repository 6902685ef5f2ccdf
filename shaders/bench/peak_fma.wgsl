// What the adapter's multipliers reach: twelve independent chains of multiply-adds per invocation, nothing loaded.
// `params.rounds` times 4 x 12 multiply-adds; the factor keeps every chain finite, and its sum keeps it alive.
struct Params {
    rounds: u32,
    factor: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

// #import shared/index.wgsl

const CHAINS: u32 = 12u;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let start = f32(local.x);
    let shift = start * 1e-6;
    var chain: array<f32, CHAINS>;
    for (var i = 0u; i < CHAINS; i++) {
        chain[i] = start + f32(i);
    }
    for (var round = 0u; round < params.rounds; round++) {
        for (var repeat = 0u; repeat < 4u; repeat++) {
            for (var i = 0u; i < CHAINS; i++) {
                chain[i] = fma(chain[i], params.factor, shift);
            }
        }
    }
    var sum = 0.0;
    for (var i = 0u; i < CHAINS; i++) {
        sum += chain[i];
    }
    out[flat_index(group, groups, local)] = sum;
}
