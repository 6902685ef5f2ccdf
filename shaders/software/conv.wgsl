// conv/conv.wgsl in register tiles: an invocation owns TM output pixels x TN vectors of four output channels. LX lanes
// lie along the channels and share the pixels, LY lanes along the pixels and share the weights. Per tap and vector of
// input channels: TM + 4 TN vector loads for 4 TM TN vector multiply-adds. No workgroup memory.
const TRANSPOSED: u32 = 0u;
const TM: u32 = 8u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 1u;

// #import software/shared/lanes_alone.wgsl
// #import software/shared/conv_body.wgsl
