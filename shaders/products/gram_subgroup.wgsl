// gram.wgsl for adapters whose subgroup is exactly LX LY lanes: the LX lanes that share vectors of a load TM / LX of them
// each and pass them around, which leaves TM / LX + TN vector loads per row.
const TM: u32 = 8u;
const TN: u32 = 1u;
const LX: u32 = 8u;
const LY: u32 = 1u;
const SYMMETRIC: u32 = 0u;

// #import shared/lanes_subgroup.wgsl
// #import products/shared/gram_body.wgsl
