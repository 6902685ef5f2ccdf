// products/gram.wgsl in register tiles: an invocation owns TM vectors of columns of a x TN vectors of columns of b, 4
// TM x 4 TN values. Per row: TM + TN vector loads for 4 TM TN vector multiply-adds.
const TM: u32 = 4u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 1u;
const SYMMETRIC: u32 = 0u;

// #import software/shared/lanes_alone.wgsl
// #import software/shared/gram_body.wgsl
