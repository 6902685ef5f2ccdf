// #import shared/divide.wgsl

// How the flat features (c, kh, kw) of a layer are cut into blocks (spec 3): entry i of block j is feature
// i * blocks + j when interleaved, j * d + i otherwise.
fn feature_of(block: u32, entry: u32, blocks: u32, d: u32, interleaved: u32) -> u32 {
    return select(block * d + entry, entry * blocks + block, interleaved == 1u);
}

// (block, entry) of a flat feature.
fn entry_of(feature: u32, blocks: u32, d: u32, interleaved: u32) -> vec2u {
    if interleaved == 1u {
        let entry = quotient(feature, blocks);
        return vec2u(feature - entry * blocks, entry);
    }
    let block = quotient(feature, d);
    return vec2u(block, feature - block * d);
}
