// PCG-RXS-M-XS 32 as a hash; the same arithmetic as src/rng.rs.
fn pcg(word: u32) -> u32 {
    let state = word * 747796405u + 2891336453u;
    let mixed = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (mixed >> 22u) ^ mixed;
}
