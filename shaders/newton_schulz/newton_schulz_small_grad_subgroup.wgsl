// newton_schulz_small_grad.wgsl for adapters whose subgroup is exactly LANES lanes, where loads are dear: lanes load every vector of a step of k once
// and pass them around. Each owns ROUNDS tiles of a pass.
const LANES: u32 = 8u;
const BLOCKS: u32 = 2u;
const ROUNDS: u32 = 2u;

// #import newton_schulz/shared/newton_schulz_small_grad_body.wgsl
// #import newton_schulz/shared/small_product_subgroup.wgsl
