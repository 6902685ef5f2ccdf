//! Shapes, layouts and element types.

use std::fmt;

/// Element type.
///
/// ```
/// use mexhat::nn::{DType, Tape};
/// let mut tape = Tape::new();
/// let labels = tape.input("labels", &[8], DType::U32);
/// assert_eq!(tape.shape(labels), [8]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 32-bit unsigned integer: labels.
    U32,
}

/// How a tensor lies in its buffer. Private to the engine: whatever leaves it is row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Row-major, without gaps: parameters, labels, what the host sends and reads.
    Plain,
    /// In vectors of four. Activations (N,C,H,W) lie as (N,H,W,C), everything else in its own order; the last
    /// dimension is padded with zeros to a multiple of four, and every operation keeps those zeros.
    Vec4,
}

/// Shape, layout and element type of a value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// Dimensions, outermost first; activations are (N,C,H,W) or (N,F).
    pub shape: Vec<usize>,
    /// How it lies in its buffer.
    pub layout: Layout,
    /// Element type.
    pub dtype: DType,
}

impl Type {
    /// A row-major f32 tensor.
    pub fn plain(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), layout: Layout::Plain, dtype: DType::F32 }
    }

    /// An f32 tensor in vectors of four.
    pub fn vec4(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), layout: Layout::Vec4, dtype: DType::F32 }
    }

    /// Number of elements, padding left out.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True when there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the dimension that lies innermost: channels of an activation, columns of a matrix.
    pub fn inner(&self) -> usize {
        match (self.layout, self.shape.as_slice()) {
            (Layout::Vec4, [_, c, _, _]) => *c,
            (_, shape) => shape.last().copied().unwrap_or(1),
        }
    }

    /// Vectors of four in one innermost run.
    pub fn inner4(&self) -> usize {
        self.inner().div_ceil(4)
    }

    /// Innermost runs: pixels of an activation, rows of a matrix.
    pub fn rows(&self) -> usize {
        self.len().checked_div(self.inner()).unwrap_or(0)
    }

    /// Elements in the buffer, padding included.
    pub fn stored(&self) -> usize {
        match self.layout {
            Layout::Plain => self.len(),
            Layout::Vec4 => self.rows() * self.inner4() * 4,
        }
    }

    /// Bytes of the buffer, a multiple of 16.
    pub fn bytes(&self) -> u64 {
        (self.stored().max(1) as u64 * 4).next_multiple_of(16)
    }

    /// (N, C, H, W) of an activation; (N, F) counts as one pixel.
    pub fn nchw(&self) -> [usize; 4] {
        match self.shape[..] {
            [n, c, h, w] => [n, c, h, w],
            [n, f] => [n, f, 1, 1],
            _ => [self.rows(), self.inner(), 1, 1],
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shape)?;
        if self.dtype == DType::U32 {
            f.write_str("u32")?;
        }
        Ok(())
    }
}
