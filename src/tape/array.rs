//! Row-major `f64` tensors for the CPU references.

use super::Type;

/// A row-major tensor in `f64`; the references compute on these.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub data: Vec<f64>,
}

impl Array {
    /// Zeros.
    pub fn zeros(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] }
    }

    /// From `f32` values.
    pub fn from_f32(shape: &[usize], values: &[f32]) -> Self {
        Self { shape: shape.to_vec(), data: values.iter().map(|v| f64::from(*v)).collect() }
    }

    /// Element by element.
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { shape: self.shape.clone(), data: self.data.iter().map(|v| f(*v)).collect() }
    }

    /// Pairs of elements of two tensors of one shape.
    pub fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let data = self.data.iter().zip(&other.data).map(|(a, b)| f(*a, *b)).collect();
        Self { shape: self.shape.clone(), data }
    }

    /// (N, C, H, W); (N, F) counts as one pixel.
    pub fn nchw(&self) -> [usize; 4] {
        Type::plain(&self.shape).nchw()
    }

    /// Element (n, c, h, w) of an activation.
    pub fn at4(&self, n: usize, c: usize, h: usize, w: usize) -> f64 {
        self.data[self.index4(n, c, h, w)]
    }

    /// Place of element (n, c, h, w) of an activation.
    pub fn index4(&self, n: usize, c: usize, h: usize, w: usize) -> usize {
        let [_, cs, hs, ws] = self.nchw();
        ((n * cs + c) * hs + h) * ws + w
    }
}
