// products/matmul.wgsl in register tiles: an invocation owns TM rows x TN vectors of four columns; LX lanes along the
// columns share the rows, LY lanes along the rows share the columns. Per four inner steps: TM + 4 TN vector loads for
// 16 TM TN vector multiply-adds.
const TM: u32 = 8u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 1u;
const SYMMETRIC: u32 = 0u;
const PAIR: u32 = 0u;
const B_TRANSPOSED: u32 = 0u;

// #import software/shared/lanes_alone.wgsl
// #import software/shared/matmul_body.wgsl
