// A map of the result's shape may be added: the other branch of a residual block, or a gradient that others have gathered.
@group(0) @binding(4) var<storage, read> added: array<vec4f>;
@group(0) @binding(5) var<storage, read> rectified: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;

// With 1 nothing passes where the output of a ReLU, whose gradient is stored, is not above 0.
const MASKED: u32 = 0u;

// Writes vector of channels o of output pixel p, if there is one.
fn store(p: u32, o: u32, value: vec4f) {
    let at = p * params.outputs4 + o;
    let exists = (p < params.pixels) & (o < params.outputs4);
    let adds = exists & (params.has_added == 1u);
    let place = select(0u, at, adds);
    let sum = value + select(vec4f(0.0), added[place], adds);
    var v = select(sum, relu(sum), params.relu == 1u);
    if MASKED == 1u {
        v = select(vec4f(0.0), v, rectified[place] > vec4f(0.0));
    }
    if exists {
        y[at] = v;
    }
}
