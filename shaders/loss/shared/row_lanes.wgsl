// Rows of `params.channels` elements in `params.channels4` vectors, LANES invocations to a row, 64 / LANES rows to a
// workgroup. All invocations call the reductions together; needs LANES and the parameters in the file that imports it.
var<workgroup> row_parts: array<f32, 64>;

// Number of this invocation's row; rows beyond the last stand in for it and may not be written.
fn row_of(group: vec3u, groups: vec3u, local: vec3u) -> u32 {
    return (group.y * groups.x + group.x) * (64u / LANES) + local.x / LANES;
}

// Lanes of vector `k` of a row that are elements.
fn row_lanes(k: u32) -> vec4<bool> {
    return k * 4u + vec4u(0u, 1u, 2u, 3u) < vec4u(params.channels);
}

// Sum over the invocations of a row, in a tree.
fn row_sum(local: u32, own: f32) -> f32 {
    row_parts[local] = own;
    workgroupBarrier();
    for (var step = LANES / 2u; step > 0u; step /= 2u) {
        if local % LANES < step {
            row_parts[local] += row_parts[local + step];
        }
        workgroupBarrier();
    }
    let sum = row_parts[local - local % LANES];
    workgroupBarrier();
    return sum;
}

// Maximum over the invocations of a row.
fn row_most(local: u32, own: f32) -> f32 {
    row_parts[local] = own;
    workgroupBarrier();
    for (var step = LANES / 2u; step > 0u; step /= 2u) {
        if local % LANES < step {
            row_parts[local] = max(row_parts[local], row_parts[local + step]);
        }
        workgroupBarrier();
    }
    let most = row_parts[local - local % LANES];
    workgroupBarrier();
    return most;
}
