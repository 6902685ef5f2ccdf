// Whether a step's gradients, which are `scale` times too large, are all finite, as their squared norm tells; and the
// scale of the next step: half where they are not, twice as large after `interval` steps in a row where they were.
// `guarded` are the step's scalars, of which the tenth says that updates leave everything as it is, and whose
// eleventh unscales. One invocation.
struct Params {
    interval: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> squared_norm: array<f32>;
@group(0) @binding(2) var<storage, read> scalars: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> guarded: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> scale: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> growth_tracker: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> skipped: array<vec4f>;

@compute @workgroup_size(1)
fn main() {
    // Compilers may take it that every number is finite: so by its bits.
    let finite = (bitcast<u32>(squared_norm[0]) & 0x7f800000u) != 0x7f800000u;
    let old = scale[0].x;
    let good = growth_tracker[0].x + 1.0;
    let grows = good >= params.interval;
    guarded[0] = scalars[0];
    guarded[1] = scalars[1];
    guarded[2] = vec4f(scalars[2].x, select(1.0, 0.0, finite), 1.0 / old, 0.0);
    scale[0] = vec4f(old * select(0.5, select(1.0, 2.0, grows), finite), 0.0, 0.0, 0.0);
    growth_tracker[0] = vec4f(select(0.0, good, finite & !grows), 0.0, 0.0, 0.0);
    skipped[0] = vec4f(skipped[0].x + select(1.0, 0.0, finite), 0.0, 0.0, 0.0);
}
