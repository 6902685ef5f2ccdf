// How the flat features (c, kh, kw) of a layer are cut into blocks (method, section 3): entry i of block j is feature
// i * blocks + j when interleaved, j * d + i otherwise.
fn feature_of(block: u32, entry: u32, blocks: u32, d: u32, interleaved: u32) -> u32 {
    return select(block * d + entry, entry * blocks + block, interleaved == 1u);
}
