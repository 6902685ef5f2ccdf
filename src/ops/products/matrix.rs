//! Batches of matrices: their types, and products and transposes on the CPU.

use crate::tape::{Array, Layout, Type};
use crate::{Error, Result};

/// (S, rows, columns) of a batch of matrices.
pub(in crate::ops) fn matrix(op: &'static str, ty: &Type) -> Result<[usize; 3]> {
    match (ty.layout, ty.shape.as_slice()) {
        (Layout::Vec4, [s, m, n]) => Ok([*s, *m, *n]),
        _ => Err(Error::shape(op, format!("expected matrices (S,M,N) in vectors of four, found {ty}"))),
    }
}

/// (S, M, N) of a type that `infer` has accepted.
pub(in crate::ops) fn dims(ty: &Type) -> [usize; 3] {
    [ty.shape[0], ty.shape[1], ty.shape[2]]
}

/// `a b` per batch on the CPU; `a` may be one for all.
pub(in crate::ops) fn product(a: &Array, b: &Array) -> Array {
    let (s, m, k, n) = (b.shape[0], a.shape[1], a.shape[2], b.shape[2]);
    let mut c = Array::zeros(&[s, m, n]);
    for batch in 0..s {
        for i in 0..m {
            for p in 0..k {
                let left = a.data[(batch % a.shape[0] * m + i) * k + p];
                for j in 0..n {
                    c.data[(batch * m + i) * n + j] += left * b.data[(batch * k + p) * n + j];
                }
            }
        }
    }
    c
}

/// `x^T` per batch on the CPU.
pub(in crate::ops) fn transposed(x: &Array) -> Array {
    let (s, m, n) = (x.shape[0], x.shape[1], x.shape[2]);
    let mut y = Array::zeros(&[s, n, m]);
    for batch in 0..s {
        for i in 0..m {
            for j in 0..n {
                y.data[(batch * n + j) * m + i] = x.data[(batch * m + i) * n + j];
            }
        }
    }
    y
}
