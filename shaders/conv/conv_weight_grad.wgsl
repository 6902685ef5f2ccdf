// Weight gradient of a convolution, in partial sums over image rows:
//   partial[split][tap, c, o] = sum over the output pixels p of the split of x[position(p, tap), c] gy[p, o]
//
// Register tile: an invocation owns TM vectors of (tap, input channel) x TN vectors of output channels, 4 TM x 4 TN
// values. Per pixel: TM + TN vector loads for 4 TM TN multiply-adds of vectors. LX lanes along output channels,
// LY lanes along (tap, input channel). `weight_rows.wgsl` or `column_sum.wgsl` adds the splits.
const TM: u32 = 4u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 1u;

// #import shared/lanes_alone.wgsl
// #import conv/shared/conv_weight_grad_body.wgsl
