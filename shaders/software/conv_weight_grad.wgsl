// conv/conv_weight_grad.wgsl in register tiles: an invocation owns TM vectors of (tap, input channel) x TN vectors of
// output channels, 4 TM x 4 TN values. Per pixel: TM + TN vector loads for 4 TM TN multiply-adds of vectors. LX lanes
// along output channels, LY lanes along (tap, input channel).
const TM: u32 = 4u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 1u;

// #import software/shared/lanes_alone.wgsl
// #import software/shared/conv_weight_grad_body.wgsl
