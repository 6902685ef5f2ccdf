// All iterations of small matrices in one launch, a workgroup for each matrix (method, section 5): with s = ||a||_F, y
// = a / s, z = I:
//   u = (3 I - z y) / 2, y <- y u, z <- u z, T times; d = z s^(-1/2).
//
// `saved` holds Y_0 .. Y_(T-1), U_0 .. U_(T-1), Z_2 .. Z_T of every matrix, which the gradient needs, and is what invocations
// pass results through: three matrices of 64 x 64 would not fit into workgroup memory, and software adapters load from either
// at the same price. Z_1 is U_0; the first step needs no product and the last none for Y.
const LANES: u32 = 8u;
const BLOCKS: u32 = 2u;

// #import newton_schulz/shared/newton_schulz_small_body.wgsl
// #import newton_schulz/shared/small_product_alone.wgsl
