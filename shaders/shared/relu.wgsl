// A NaN passes, as in PyTorch: max(v, 0) would turn a diverged value into a harmless-looking zero.
fn relu(v: vec4f) -> vec4f {
    return select(v, vec4f(0.0), v < vec4f(0.0));
}
