// a / b, rounded down, exact for a below 2^31 and b from 1 to 2^28. Software adapters divide integers lane by lane, ten
// times slower than floats. So: a quotient in f32, off by at most 2^-21 of itself plus 1, corrected by the remainder
// that it leaves, first to within 1, then quite.
fn quotient(a: u32, b: u32) -> u32 {
    let inverse = 1.0 / f32(b);
    var q = u32(f32(a) * inverse);
    q = u32(i32(q) + i32(f32(i32(a - q * b)) * inverse));
    let rest = i32(a - q * b);
    return u32(i32(q) + select(0, 1, rest >= i32(b)) - select(0, 1, rest < 0));
}

fn quotients(a: vec4u, b: u32) -> vec4u {
    return vec4u(quotient(a.x, b), quotient(a.y, b), quotient(a.z, b), quotient(a.w, b));
}
