@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

// Writes vector of channels o of output pixel p, if there is one.
fn store(p: u32, o: u32, value: vec4f) {
    let v = select(value, relu(value), params.relu == 1u);
    if (p < params.pixels) & (o < params.outputs4) {
        y[p * params.outputs4 + o] = v;
    }
}
