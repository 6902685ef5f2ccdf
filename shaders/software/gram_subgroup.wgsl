// gram.wgsl where the subgroup is exactly LX LY lanes: the LX lanes that share vectors of a load TM / LX of them
// each and pass them around, which leaves TM / LX + TN vector loads per row.
const TM: u32 = 8u;
const TN: u32 = 1u;
const LX: u32 = 8u;
const LY: u32 = 1u;
const SYMMETRIC: u32 = 0u;

// #import software/shared/lanes_subgroup.wgsl
// #import software/shared/gram_body.wgsl
