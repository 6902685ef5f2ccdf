// Sum over a workgroup of 64 in a tree, the same in every run; all invocations call it together and get the sum.
var<workgroup> group_parts: array<vec4f, 64>;

fn group_sum(lane: u32, own: vec4f) -> vec4f {
    group_parts[lane] = own;
    workgroupBarrier();
    for (var step = 32u; step > 0u; step /= 2u) {
        if lane < step {
            group_parts[lane] += group_parts[lane + step];
        }
        workgroupBarrier();
    }
    let sum = group_parts[0];
    workgroupBarrier();
    return sum;
}
