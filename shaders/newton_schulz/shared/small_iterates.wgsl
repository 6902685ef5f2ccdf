// Where newton_schulz_small.wgsl keeps its iterates: places in a stack of Y_0 and U_0, then Y_t, U_t, Z_(t+1) for each
// t; Z_1 is U_0.
fn y_of(t: u32) -> u32 {
    return select(3u * t - 1u, 0u, t == 0u);
}

fn u_of(t: u32) -> u32 {
    return select(3u * t, 1u, t == 0u);
}

fn z_of(t: u32) -> u32 {
    return 3u * t - 2u;
}
