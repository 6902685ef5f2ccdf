// The arguments of exp are clamped: beyond 80 the results do not change in f32, and exp may not overflow.
fn sigmoid(v: vec4f) -> vec4f {
    return 1.0 / (1.0 + exp(-clamp(v, vec4f(-80.0), vec4f(80.0))));
}

// Some drivers return NaN for tanh of large arguments.
fn safe_tanh(v: vec4f) -> vec4f {
    return tanh(clamp(v, vec4f(-10.0), vec4f(10.0)));
}
