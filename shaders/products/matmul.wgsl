// Batched matrix product with epilogue: c = alpha (a b [+ a2 b2]) + beta added + diagonal I, per batch, with ReLU where wanted; added is (m, n) where
// c is symmetric, else a row for each batch; a (m, k), b (k, n), c (m, n),
// rows in vectors of four with zero padding.
//
// Register tile: an invocation owns TM rows x TN vectors of four columns; LX lanes along the columns share the rows, LY
// lanes along the rows share the columns. Per four inner steps: TM + 4 TN vector loads for 16 TM TN vector multiply-adds.
// SYMMETRIC = 1 (c known to be symmetric): only tiles that reach the upper triangle are computed and their upper
// elements are written twice. PAIR = 1 adds the second product, which costs no second pass over c. TURNED = 1: b is given by its
// columns, (n, k).
const TM: u32 = 8u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 1u;
const SYMMETRIC: u32 = 0u;
const PAIR: u32 = 0u;
const TURNED: u32 = 0u;

// #import shared/lanes_alone.wgsl
// #import products/shared/matmul_body.wgsl
