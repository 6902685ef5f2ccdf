// Ones where lane i of vector `index` is an element, zeros where it is padding; runs of `inner` elements in `inner4`
// vectors.
fn element_mask(index: u32, inner: u32, inner4: u32) -> vec4f {
    let left = inner - (index % inner4) * 4u;
    return select(vec4f(0.0), vec4f(1.0), vec4u(0u, 1u, 2u, 3u) < vec4u(left));
}

// c + a.x b0 + a.y b1 + a.z b2 + a.w b3: one step of a matrix product in vectors of four.
fn multiply_add(c: vec4f, a: vec4f, b0: vec4f, b1: vec4f, b2: vec4f, b3: vec4f) -> vec4f {
    return fma(vec4f(a.w), b3, fma(vec4f(a.z), b2, fma(vec4f(a.y), b1, fma(vec4f(a.x), b0, c))));
}

// Vector `index` of a row-major tensor of `len` elements with the padding behind its end set to zero, whatever was
// there.
fn keep_elements(v: vec4f, index: u32, len: u32) -> vec4f {
    return select(vec4f(0.0), v, vec4u(0u, 1u, 2u, 3u) < vec4u(len - index * 4u));
}
