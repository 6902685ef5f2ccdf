// What every forward convolution reads; `Params` is the kernel's own. Where it writes is in conv_store.wgsl or
// conv_store_added.wgsl.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;

// #import shared/relu.wgsl
// #import shared/vec4.wgsl

// What is added to vector o of output channels, if there is one.
fn shift_of(o: u32) -> vec4f {
    return select(vec4f(0.0), bias[min(o, params.outputs4 - 1u)], params.has_bias == 1u);
}
