//! How a convolution's weight lies.

use super::weight_columns::{columns_type, launch_rows, rows_of};
use crate::gpu::Slot;
use crate::tape::{Array, Launch, Type};
use crate::{Error, Result};

/// How a weight lies.
#[derive(Clone, Debug)]
pub(super) enum Weight {
    /// Row-major.
    Rows,
    /// As columns of a weight of this shape.
    Columns(Vec<usize>),
}

impl Weight {
    /// Shape (O,C/g,kh,kw) or (O,F) of a weight of type `ty`, which is checked.
    pub fn shape<'a>(&'a self, op: &'static str, ty: &'a Type, groups: usize) -> Result<&'a [usize]> {
        let Self::Columns(shape) = self else { return Ok(&ty.shape) };
        let fits = groups > 0 && *ty == columns_type(shape, groups);
        if fits { Ok(shape) } else { Err(Error::shape(op, format!("{ty} are not the columns of a weight {shape:?}"))) }
    }

    pub fn lies_in_rows(&self) -> bool {
        matches!(self, Self::Rows)
    }

    /// A row-major weight as the reference needs it.
    pub fn rows(&self, given: &Array, groups: usize) -> Array {
        match self {
            Self::Rows => given.clone(),
            Self::Columns(shape) => rows_of(given, shape, groups),
        }
    }

    /// A row-major weight for grouped convolutions, which have no kernels for columns: those of depthwise ones would be
    /// mostly padding.
    pub fn launch_rows(&self, launch: &mut Launch<'_>, given: Slot, groups: usize) -> Slot {
        match self {
            Self::Rows => given,
            Self::Columns(shape) => {
                let rows = launch.scratch("rows", shape.iter().product());
                launch_rows(launch, given, (shape, groups), rows);
                rows
            }
        }
    }
}
