// What every forward convolution reads and writes; `Params` is the kernel's own.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

// #import shared/relu.wgsl
// #import shared/vec4.wgsl

// What is added to vector o of output channels, if there is one.
fn shift_of(o: u32) -> vec4f {
    return select(vec4f(0.0), bias[min(o, params.outputs4 - 1u)], params.has_bias == 1u);
}

// Writes vector of channels o of output pixel p, if there is one.
fn store(p: u32, o: u32, value: vec4f) {
    let v = select(value, relu(value), params.relu == 1u);
    if (p < params.pixels) & (o < params.outputs4) {
        y[p * params.outputs4 + o] = v;
    }
}
