// Input coordinate of output coordinate `at` under tap `tap`, or -1 where there is none.
fn position(at: u32, tap: u32, size: u32) -> i32 {
    // What would be negative wraps to more than any size.
    var i = at * params.stride + tap * params.dilation - params.padding;
    if TRANSPOSED == 1u {
        let t = at + params.padding - tap * params.dilation;
        i = t / params.stride;
        i = select(size, i, i * params.stride == t);
    }
    return select(-1, i32(i), i < size);
}
