// Gradient of newton_schulz_small.wgsl in one launch, a workgroup for each matrix: the forward derivative in the direction of
// the symmetrised gradient (method, section 9.4). With s = ||a||_F, dy = (g + g^T) / 2 s^(-1/2), dz = 0:
//   du = -(dz y + z dy) / 2, dy <- dy u + y du, dz <- du z + u dz, T times; gb = dz,
//   gs = -1/2 s^(-3/2) <g, z> - <gb, a> / s^2, ga = gb / s + gs a / s.
//
// `work` holds du and two generations of dy and dz for every matrix; invocations pass results through it.
const LANES: u32 = 8u;
const BLOCKS: u32 = 2u;

// #import newton_schulz/shared/newton_schulz_small_grad_body.wgsl
// #import newton_schulz/shared/small_product_alone.wgsl
