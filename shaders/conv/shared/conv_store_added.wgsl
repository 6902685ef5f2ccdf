// A map of the result's shape may be added: the other branch of a residual block, or a gradient that others have
// gathered.
@group(0) @binding(4) var<storage, read> added: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4f>;

// Writes vector of channels o of output pixel p, if there is one.
fn store(p: u32, o: u32, value: vec4f) {
    let at = p * params.outputs4 + o;
    let exists = (p < params.pixels) & (o < params.outputs4);
    let adds = exists & (params.has_added == 1u);
    let place = select(0u, at, adds);
    let sum = value + select(vec4f(0.0), added[place], adds);
    if exists {
        y[at] = select(sum, relu(sum), params.relu == 1u);
    }
}
