//! Weights cut into the blocks of their input features, and back: a permutation (spec 6).

use super::blocks::BlockLayout;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct BlockWeightParams {
        items: u32, d: u32, d4: u32, rows: u32, blocks: u32, blocks_per_group: u32, outputs_per_group: u32, features: u32,
        pooled: u32, interleaved: u32,
    }
}

static BLOCK_WEIGHT: Shader =
    Shader::with_variants::<BlockWeightParams>("block_weight.wgsl", 1, 1, &[&[("TO_BLOCKS", 0)], &[("TO_BLOCKS", 1)]]);
pub(super) const SHADERS: &[&Shader] = &[&BLOCK_WEIGHT];

/// (O,C/g,k,k) or (O,F), row-major, to (S,rows,d): one row per output and block.
///
/// # Errors
/// The weight does not have the layout's features.
pub fn block_weight(tape: &mut Tape, weight: Var, layout: BlockLayout) -> Result<Var> {
    let shape = tape.shape(weight).to_vec();
    tape.apply1(BlockWeight { layout, shape, to_blocks: true }, &[weight])
}

/// The inverse of [`block_weight`] to a weight of the given shape.
///
/// # Errors
/// The rows are not those of such a weight.
pub fn unblock_weight(tape: &mut Tape, blocked: Var, layout: BlockLayout, shape: &[usize]) -> Result<Var> {
    tape.apply1(BlockWeight { layout, shape: shape.to_vec(), to_blocks: false }, &[blocked])
}

impl BlockLayout {
    /// Weight rows of one statistic for `outputs` output channels.
    pub(super) fn weight_rows(&self, outputs: usize) -> usize {
        if self.pooled { outputs * self.blocks } else { outputs / self.groups }
    }

    /// Output channel of row `r` of statistic `s`.
    pub(super) fn output_of(&self, s: usize, r: usize, outputs: usize) -> usize {
        if self.pooled { r / self.blocks } else { s / self.blocks_per_group() * (outputs / self.groups) + r }
    }
}

#[derive(Debug)]
struct BlockWeight {
    layout: BlockLayout,
    shape: Vec<usize>,
    to_blocks: bool,
}

impl BlockWeight {
    fn outputs(&self) -> usize {
        self.shape[0]
    }

    /// For each (s, r, i) in order, its place in the row-major weight.
    fn sources(&self) -> impl Iterator<Item = usize> {
        let (layout, outputs) = (self.layout, self.outputs());
        let (rows, per_row) = (layout.weight_rows(outputs), layout.features() / layout.groups);
        (0..layout.statistics() * rows * layout.d).map(move |index| {
            let (s, r, i) = (index / (rows * layout.d), index / layout.d % rows, index % layout.d);
            let j = if layout.pooled { r % layout.blocks } else { s };
            let owner = j / layout.blocks_per_group();
            layout.output_of(s, r, outputs) * per_row + layout.feature(j, i) - owner * per_row
        })
    }
}

impl Op for BlockWeight {
    fn name(&self) -> &'static str {
        if self.to_blocks { "block_weight" } else { "unblock_weight" }
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let layout = self.layout;
        let rows = layout.weight_rows(self.outputs());
        let blocked = Type::vec4(&[layout.statistics(), rows, layout.d]);
        let fits = self.shape.iter().product::<usize>() * layout.groups == self.outputs() * layout.features()
            && self.outputs().is_multiple_of(layout.groups);
        let given = if self.to_blocks { Type::plain(&self.shape) } else { blocked.clone() };
        if !fits || *inputs[0] != given {
            let what = format!("weight {} does not have the {} features of {layout:?}", inputs[0], layout.features());
            return Err(Error::shape(self.name(), what));
        }
        Ok(vec![if self.to_blocks { blocked } else { Type::plain(&self.shape) }])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        let adjoint = Self { layout: self.layout, shape: self.shape.clone(), to_blocks: !self.to_blocks };
        Ok(vec![context.when(0, adjoint, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (layout, outputs) = (self.layout, self.outputs());
        let (rows, d4) = (layout.weight_rows(outputs), layout.d.div_ceil(4));
        let features = layout.features() / layout.groups;
        let items = layout.statistics() * rows * d4;
        let params = BlockWeightParams {
            items: items as u32,
            d: layout.d as u32,
            d4: d4 as u32,
            rows: rows as u32,
            blocks: layout.blocks as u32,
            blocks_per_group: layout.blocks_per_group() as u32,
            outputs_per_group: (outputs / layout.groups) as u32,
            features: features as u32,
            pooled: u32::from(layout.pooled),
            interleaved: u32::from(layout.interleaved),
        };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&BLOCK_WEIGHT, usize::from(self.to_blocks)), &params, &reads, &writes, items);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let x = inputs[0];
        if self.to_blocks {
            let shape = vec![self.layout.statistics(), self.layout.weight_rows(self.outputs()), self.layout.d];
            return vec![Array { shape, data: self.sources().map(|at| x.data[at]).collect() }];
        }
        let mut y = Array::zeros(&self.shape);
        for (value, at) in x.data.iter().zip(self.sources()) {
            y.data[at] = *value;
        }
        vec![y]
    }
}
