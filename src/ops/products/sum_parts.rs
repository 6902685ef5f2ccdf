//! The sum of a product's parts, and what becomes of it.

use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::tape::Launch;

kernel_params! {
    struct SumPartsParams {
        items: u32, m: u32, n: u32, parts: u32, alpha: f32, beta: f32, diagonal: f32, row_added: u32, relu: u32,
    }
}

static SUM: Shader = Shader::with_variants::<SumPartsParams>(
    "products/sum_parts.wgsl",
    2,
    1,
    &[&[("SYMMETRIC", 0)], &[("SYMMETRIC", 1)]],
);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&SUM];

/// Elements of the partial sums of `[batches, parts, m, n]`.
pub(super) fn stored([batches, parts, m, n]: [usize; 4]) -> usize {
    batches * parts * m.next_multiple_of(4) * n.next_multiple_of(4)
}

/// `c = alpha (sum of parts) [+ beta added] + diagonal I`, or `c = relu(...)`; as in
/// [`Product`](super::product::Product).
#[derive(Clone, Copy, Debug)]
pub(super) struct SumParts {
    pub alpha: f32,
    pub added: Option<(Slot, f32)>,
    pub diagonal: f32,
    pub relu: bool,
    pub symmetric: bool,
}

impl SumParts {
    /// Appends the launch; `[batches, parts, m, n]`.
    pub fn launch(self, launch: &mut Launch<'_>, [batches, parts, m, n]: [usize; 4], partial: Slot, c: Slot) {
        let items = batches * m.div_ceil(4) * n.div_ceil(4);
        let (added, beta) = self.added.unwrap_or((partial, 0.0));
        let params = SumPartsParams {
            items: items as u32,
            m: m as u32,
            n: n as u32,
            parts: parts as u32,
            alpha: self.alpha,
            beta,
            diagonal: self.diagonal,
            row_added: u32::from(self.added.is_some() && !self.symmetric),
            relu: u32::from(self.relu),
        };
        let kernel = Kernel::new(&SUM, usize::from(self.symmetric));
        launch.flat(kernel, &params, &[partial, added], &[c], items);
    }
}
