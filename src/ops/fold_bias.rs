//! The mean folded into the bias: `b'_o = b_o - sum_j <W'_j[o], mean_j>` (spec 6), and its gradient (spec 9.2).

use super::blocks::BlockLayout;
use super::column_sum::launch_column_sum;
use super::relayout::launch_padded;
use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct ShiftParams { items: u32, outputs4: u32, blocks: u32, d: u32, d4: u32, pooled: u32, interleaved: u32 }
}
kernel_params! {
    struct FoldBiasParams { outputs: u32, outputs_per_group: u32, outputs4: u32, blocks_per_group: u32, has_bias: u32 }
}
kernel_params! {
    struct FoldBiasGradParams {
        items: u32, outputs4: u32, blocks: u32, d: u32, d4: u32, pooled: u32, interleaved: u32, blocks_per_group: u32,
        add: u32,
    }
}

static SHIFT: Shader = Shader::new::<ShiftParams>("fold_shift.wgsl", 2, 1);
static FOLD_BIAS: Shader = Shader::new::<FoldBiasParams>("fold_bias.wgsl", 2, 1);
static WEIGHT_GRAD: Shader = Shader::new::<FoldBiasGradParams>("fold_bias_grad.wgsl", 3, 1);
static MEAN_GRAD: Shader = Shader::new::<FoldBiasGradParams>("fold_mean_grad.wgsl", 2, 1);
pub(super) const SHADERS: &[&Shader] = &[&SHIFT, &FOLD_BIAS, &WEIGHT_GRAD, &MEAN_GRAD];

/// Bias (O) of a layer whose weight, as [columns](super::weight_columns) (F, O/g) with D folded in, is `columns`, and
/// whose input has mean `mean` (S,d).
///
/// # Errors
/// The columns do not have the layout's features, or are not those of `outputs` output channels.
pub fn fold_bias(
    tape: &mut Tape,
    columns: Var,
    mean: Var,
    bias: Option<Var>,
    layout: BlockLayout,
    outputs: usize,
) -> Result<Var> {
    let inputs: Vec<Var> = [columns, mean].into_iter().chain(bias).collect();
    tape.apply1(FoldBias(Fold { layout, outputs }), &inputs)
}

/// A weight's blocks and its outputs.
#[derive(Clone, Copy, Debug)]
struct Fold {
    layout: BlockLayout,
    outputs: usize,
}

impl Fold {
    /// Vectors of outputs in a row of columns.
    fn outputs4(&self) -> usize {
        (self.outputs / self.layout.groups).div_ceil(4)
    }

    fn columns(&self) -> Type {
        Type::vec4(&[self.layout.features(), self.outputs4() * 4])
    }

    fn mean(&self) -> Type {
        Type::vec4(&[self.layout.statistics(), self.layout.d])
    }

    /// Row in columns, statistic and entry of entry `i` of block `j`.
    fn places(&self) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let layout = self.layout;
        let entries = move |j| (0..layout.d).map(move |i| (j, i));
        (0..layout.blocks)
            .flat_map(entries)
            .map(move |(j, i)| (layout.feature(j, i), if layout.pooled { 0 } else { j }, i))
    }

    /// For the columns of feature `f`, the outputs that they belong to.
    fn outputs_of(&self, f: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (per_group, width) = (self.outputs / self.layout.groups, self.outputs4() * 4);
        let owner = f / (self.layout.features() / self.layout.groups);
        (0..per_group).map(move |o| (f * width + o, owner * per_group + o))
    }

    fn params(&self, items: usize, add: bool) -> FoldBiasGradParams {
        let layout = self.layout;
        FoldBiasGradParams {
            items: items as u32,
            outputs4: self.outputs4() as u32,
            blocks: layout.blocks as u32,
            d: layout.d as u32,
            d4: layout.d.div_ceil(4) as u32,
            pooled: u32::from(layout.pooled),
            interleaved: u32::from(layout.interleaved),
            blocks_per_group: layout.blocks_per_group() as u32,
            add: u32::from(add),
        }
    }

    /// The gradient of the bias with each group's outputs filled up to whole vectors.
    fn padded(&self, launch: &mut Launch<'_>, g: Slot) -> Slot {
        let groups = self.layout.groups;
        launch_padded(launch, [groups, self.outputs / groups], g)
    }
}

#[derive(Debug)]
struct FoldBias(Fold);

impl Op for FoldBias {
    fn name(&self) -> &'static str {
        "fold_bias"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let outputs = self.0.outputs;
        let expected = [self.0.columns(), self.0.mean()];
        let bias_fits = inputs.get(2).is_none_or(|bias| bias.shape == [outputs]);
        if *inputs[0] != expected[0] || *inputs[1] != expected[1] || !bias_fits {
            let found = inputs.iter().map(|ty| ty.to_string()).collect::<Vec<_>>().join(", ");
            let what = format!("expected {}, {} and a bias [{outputs}], found {found}", expected[0], expected[1]);
            return Err(Error::shape(self.name(), what));
        }
        Ok(vec![Type::plain(&[outputs])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (columns, mean, g) = (context.inputs[0], context.inputs[1], context.grad(0)?);
        let gathered = context.take(0);
        let inputs: Vec<Var> = [g, mean].into_iter().chain(gathered).collect();
        let g_columns = context.when(0, WeightGrad(self.0), &inputs)?;
        let g_mean = context.when(1, MeanGrad(self.0), &[g, columns])?;
        let mut grads = vec![g_columns, g_mean];
        if context.inputs.len() > 2 {
            grads.push(Some(g));
        }
        Ok(grads)
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let Fold { layout, outputs } = self.0;
        let outputs4 = self.0.outputs4();
        let items = layout.blocks * outputs4;
        let shift = launch.scratch("shift", items * 4);
        let params = ShiftParams {
            items: items as u32,
            outputs4: outputs4 as u32,
            blocks: layout.blocks as u32,
            d: layout.d as u32,
            d4: layout.d.div_ceil(4) as u32,
            pooled: u32::from(layout.pooled),
            interleaved: u32::from(layout.interleaved),
        };
        let (columns, mean, write) = (launch.reads[0], launch.reads[1], launch.writes[0]);
        launch.flat(Kernel::new(&SHIFT, 0), &params, &[columns, mean], &[shift], items);
        let params = FoldBiasParams {
            outputs: outputs as u32,
            outputs_per_group: (outputs / layout.groups) as u32,
            outputs4: outputs4 as u32,
            blocks_per_group: layout.blocks_per_group() as u32,
            has_bias: u32::from(launch.reads.len() > 2),
        };
        let bias = launch.reads.get(2).copied().unwrap_or(shift);
        launch.flat(Kernel::new(&FOLD_BIAS, 0), &params, &[shift, bias], &[write], outputs.next_multiple_of(4));
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let (columns, mean) = (inputs[0], inputs[1]);
        let mut folded = Array::zeros(&[self.0.outputs]);
        if let Some(bias) = inputs.get(2) {
            folded.data.clone_from(&bias.data);
        }
        for (f, s, i) in self.0.places() {
            for (at, o) in self.0.outputs_of(f) {
                folded.data[o] -= columns.data[at] * mean.data[s * self.0.layout.d + i];
            }
        }
        vec![folded]
    }
}

/// Gradient of the columns, added to what they have gathered; inputs: gradient of the bias, mean, perhaps that.
#[derive(Debug)]
struct WeightGrad(Fold);

impl Op for WeightGrad {
    fn name(&self) -> &'static str {
        "fold_bias_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.0.columns()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let items = self.0.layout.features().div_ceil(LINES) * self.0.outputs4();
        let params = self.0.params(items, launch.reads.len() > 2);
        let g = self.0.padded(launch, launch.reads[0]);
        let (mean, write) = (launch.reads[1], launch.writes[0]);
        let gathered = launch.reads.get(2).copied().unwrap_or(g);
        launch.flat(Kernel::new(&WEIGHT_GRAD, 0), &params, &[g, mean, gathered], &[write], items);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let (g, mean) = (inputs[0], inputs[1]);
        let mut out =
            inputs.get(2).map_or_else(|| Array::zeros(&self.0.columns().shape), |gathered| (*gathered).clone());
        for (f, s, i) in self.0.places() {
            for (at, o) in self.0.outputs_of(f) {
                out.data[at] -= g.data[o] * mean.data[s * self.0.layout.d + i];
            }
        }
        vec![out]
    }
}

/// Features that an invocation of `fold_bias_grad.wgsl` walks over.
const LINES: usize = 8;

/// Gradient of the mean; inputs: gradient of the bias, columns.
#[derive(Debug)]
struct MeanGrad(Fold);

impl Op for MeanGrad {
    fn name(&self) -> &'static str {
        "fold_bias_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.0.mean()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let layout = self.0.layout;
        let d4 = layout.d.div_ceil(4);
        let items = layout.blocks * d4;
        let g = self.0.padded(launch, launch.reads[0]);
        let (columns, write) = (launch.reads[1], launch.writes[0]);
        let summed = layout.pooled && layout.blocks > 1;
        let each = if summed { launch.scratch("each", items * 4) } else { write };
        launch.flat(Kernel::new(&MEAN_GRAD, 0), &self.0.params(items, false), &[g, columns], &[each], items);
        if summed {
            launch_column_sum(launch, [1, layout.blocks, d4], 1.0, each, write);
        }
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let (g, columns) = (inputs[0], inputs[1]);
        let mut out = Array::zeros(&self.0.mean().shape);
        for (f, s, i) in self.0.places() {
            for (at, o) in self.0.outputs_of(f) {
                out.data[s * self.0.layout.d + i] -= g.data[o] * columns.data[at];
            }
        }
        vec![out]
    }
}
