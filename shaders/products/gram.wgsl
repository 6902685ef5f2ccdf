// Partial sums of c = a^T b per batch: partial[batch][split][i][j / 4] = sum over the rows r of the split of a[r, i] b[r, j];
// a (rows, da), b (rows, db), rows in vectors of four.
//
// Register tile: an invocation owns TM vectors of columns of a x TN vectors of columns of b, 4 TM x 4 TN values. Per row:
// TM + TN vector loads for 4 TM TN vector multiply-adds. Splitting the rows is faster (more invocations) and more
// accurate (shorter sums). SYMMETRIC = 1 (a = b): only tiles that reach the upper triangle are computed.
const TM: u32 = 4u;
const TN: u32 = 2u;
const LX: u32 = 8u;
const LY: u32 = 1u;
const SYMMETRIC: u32 = 0u;

// #import shared/lanes_alone.wgsl
// #import products/shared/gram_body.wgsl
