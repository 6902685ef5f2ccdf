// What every forward convolution reads and writes; `Params` is the kernel's own.
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> weight: array<vec4f>;
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4f>;

// #import shared/relu.wgsl
// #import shared/vec4.wgsl

// Input coordinate of output coordinate `at` under tap `tap`, or -1 where there is none.
fn position(at: u32, tap: u32, size: u32) -> i32 {
    if TRANSPOSED == 0u {
        let i = i32(at * params.stride + tap * params.dilation) - i32(params.padding);
        return select(-1, i, i >= 0 && i < i32(size));
    }
    let t = i32(at + params.padding) - i32(tap * params.dilation);
    let i = t / i32(params.stride);
    return select(-1, i, t >= 0 && i * i32(params.stride) == t && i < i32(size));
}

// What is added to vector o of output channels, if there is one.
fn shift_of(o: u32) -> vec4f {
    if params.has_bias == 1u && o < params.outputs4 {
        return bias[o];
    }
    return vec4f(0.0);
}

// Writes vector of channels o of output pixel p, if there is one.
fn store(p: u32, o: u32, value: vec4f) {
    if p < params.pixels && o < params.outputs4 {
        y[p * params.outputs4 + o] = select(value, relu(value), params.relu == 1u);
    }
}
