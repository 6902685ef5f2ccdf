// matmul.wgsl where the subgroup is exactly LX LY lanes: the LX lanes that share rows load TM / LX of them each and
// pass them around, which leaves TM / LX + 4 TN vector loads per four inner steps.
// Tiles have up to as many rows, each with a place of its own.
const MOST_ROUNDS: u32 = 64u;
const TM: u32 = 32u;
const TN: u32 = 1u;
const LX: u32 = 8u;
const LY: u32 = 1u;
const SYMMETRIC: u32 = 0u;
const PAIR: u32 = 0u;
const B_TRANSPOSED: u32 = 0u;

// #import software/shared/lanes_subgroup.wgsl
// #import software/shared/matmul_body.wgsl
