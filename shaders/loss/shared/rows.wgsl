// Softmax over rows of `params.channels` elements in `params.channels4` vectors of `x`; needs both in the file that imports it.
// The greatest element is subtracted first, so the arguments of exp are never above 0 and the sum is at least 1.

// Lanes of vector `k` of a row that are elements.
fn row_lanes(k: u32) -> vec4<bool> {
    return k * 4u + vec4u(0u, 1u, 2u, 3u) < vec4u(params.channels);
}

fn row_max(row: u32) -> f32 {
    var most = vec4f(x[row * params.channels4].x);
    for (var k = 0u; k < params.channels4; k++) {
        let v = x[row * params.channels4 + k];
        most = max(most, select(most, v, row_lanes(k)));
    }
    return max(max(most.x, most.y), max(most.z, most.w));
}

fn row_exp_sum(row: u32, most: f32) -> f32 {
    var sum = vec4f(0.0);
    for (var k = 0u; k < params.channels4; k++) {
        let v = exp(x[row * params.channels4 + k] - most);
        sum += select(vec4f(0.0), v, row_lanes(k));
    }
    return sum.x + sum.y + sum.z + sum.w;
}
