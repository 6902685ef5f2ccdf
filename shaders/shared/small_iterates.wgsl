// Where newton_schulz_small.wgsl keeps its iterates: places in the stack of `params.iterations` Y, as many U, and Z from Z_2 on.
fn y_of(t: u32) -> u32 {
    return t;
}

fn u_of(t: u32) -> u32 {
    return params.iterations + t;
}

fn z_of(t: u32) -> u32 {
    return params.iterations + select(params.iterations + t - 2u, 0u, t == 1u);
}
