// conv_weight_grad.wgsl where the subgroup is exactly LX LY lanes: the LX lanes that share vectors of x load TM / LX
// of them each and pass them around, which leaves TM / LX + TN vector loads per pixel.
const TM: u32 = 8u;
const TN: u32 = 1u;
const LX: u32 = 8u;
const LY: u32 = 1u;

// #import software/shared/lanes_subgroup.wgsl
// #import software/shared/conv_weight_grad_body.wgsl
