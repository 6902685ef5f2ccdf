//! The mean folded into the bias: `b'_o = b_o - sum_j <W'_j[o], mean_j>` (spec 6), and its gradient (spec 9.2).

use super::blocks::BlockLayout;
use super::column_sum::launch_column_sum;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct FoldBiasParams {
        items: u32, outputs: u32, d4: u32, rows: u32, blocks: u32, blocks_per_group: u32, outputs_per_group: u32,
        pooled: u32, has_bias: u32,
    }
}
kernel_params! {
    struct FoldBiasGradParams {
        vectors: u32, d4: u32, rows: u32, blocks: u32, blocks_per_group: u32, outputs_per_group: u32, pooled: u32,
    }
}

static FOLD_BIAS: Shader = Shader::new::<FoldBiasParams>("fold_bias.wgsl", 3, 1);
static FOLD_BIAS_GRAD: Shader =
    Shader::with_variants::<FoldBiasGradParams>("fold_bias_grad.wgsl", 2, 1, &[&[("BY_ROW", 0)], &[("BY_ROW", 1)]]);
pub(super) const SHADERS: &[&Shader] = &[&FOLD_BIAS, &FOLD_BIAS_GRAD];

/// Bias (O) of a layer whose blocked weight `weight` (S,rows,d) has been multiplied by D and whose input has mean `mean` (S,d).
///
/// # Errors
/// The weight's rows are not those of `outputs` output channels.
pub fn fold_bias(
    tape: &mut Tape,
    weight: Var,
    mean: Var,
    bias: Option<Var>,
    layout: BlockLayout,
    outputs: usize,
) -> Result<Var> {
    let inputs: Vec<Var> = [weight, mean].into_iter().chain(bias).collect();
    tape.apply1(FoldBias { layout, outputs }, &inputs)
}

#[derive(Debug)]
struct FoldBias {
    layout: BlockLayout,
    outputs: usize,
}

impl Op for FoldBias {
    fn name(&self) -> &'static str {
        "fold_bias"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let (s, d) = (self.layout.statistics(), self.layout.d);
        let expected = [Type::vec4(&[s, self.layout.weight_rows(self.outputs), d]), Type::vec4(&[s, d])];
        let bias_fits = inputs.get(2).is_none_or(|bias| bias.shape == [self.outputs]);
        if *inputs[0] != expected[0] || *inputs[1] != expected[1] || !bias_fits {
            let found = inputs.iter().map(|ty| ty.to_string()).collect::<Vec<_>>().join(", ");
            let what =
                format!("expected {}, {} and a bias [{}], found {found}", expected[0], expected[1], self.outputs);
            return Err(Error::shape(self.name(), what));
        }
        Ok(vec![Type::plain(&[self.outputs])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (weight, mean, g) = (context.inputs[0], context.inputs[1], context.grad(0)?);
        let grad = |mean| FoldBiasGrad { layout: self.layout, outputs: self.outputs, mean };
        let g_weight = context.when(0, grad(false), &[g, mean])?;
        let g_mean = context.when(1, grad(true), &[g, weight])?;
        let mut grads = vec![g_weight, g_mean];
        if context.inputs.len() > 2 {
            grads.push(Some(g));
        }
        Ok(grads)
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (layout, outputs) = (self.layout, self.outputs);
        let items = outputs.next_multiple_of(4);
        let params = FoldBiasParams {
            items: items as u32,
            outputs: outputs as u32,
            d4: layout.d.div_ceil(4) as u32,
            rows: layout.weight_rows(outputs) as u32,
            blocks: layout.blocks as u32,
            blocks_per_group: layout.blocks_per_group() as u32,
            outputs_per_group: (outputs / layout.groups) as u32,
            pooled: u32::from(layout.pooled),
            has_bias: u32::from(launch.reads.len() > 2),
        };
        let bias = launch.reads.get(2).copied().unwrap_or(launch.reads[1]);
        let (reads, write) = ([launch.reads[0], launch.reads[1], bias], launch.writes[0]);
        launch.flat(Kernel::new(&FOLD_BIAS, 0), &params, &reads, &[write], items);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let (layout, weight, mean) = (self.layout, inputs[0], inputs[1]);
        let mut folded = Array::zeros(&[self.outputs]);
        if let Some(bias) = inputs.get(2) {
            folded.data.clone_from(&bias.data);
        }
        let (rows, d) = (weight.shape[1], layout.d);
        for (index, w) in weight.data.iter().enumerate() {
            let (s, r, i) = (index / (rows * d), index / d % rows, index % d);
            folded.data[layout.output_of(s, r, self.outputs)] -= w * mean.data[s * d + i];
        }
        vec![folded]
    }
}

/// Gradient of the weight `-g_o mean` from (g, mean), or of the mean `-sum over rows of g_o W'` from (g, weight).
#[derive(Debug)]
struct FoldBiasGrad {
    layout: BlockLayout,
    outputs: usize,
    mean: bool,
}

impl Op for FoldBiasGrad {
    fn name(&self) -> &'static str {
        "fold_bias_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        let (s, d) = (self.layout.statistics(), self.layout.d);
        Ok(vec![if self.mean {
            Type::vec4(&[s, d])
        } else {
            Type::vec4(&[s, self.layout.weight_rows(self.outputs), d])
        }])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (layout, outputs) = (self.layout, self.outputs);
        let (s, rows, d4) = (layout.statistics(), layout.weight_rows(outputs), layout.d.div_ceil(4));
        let vectors = s * rows * d4;
        let params = FoldBiasGradParams {
            vectors: vectors as u32,
            d4: d4 as u32,
            rows: rows as u32,
            blocks: layout.blocks as u32,
            blocks_per_group: layout.blocks_per_group() as u32,
            outputs_per_group: (outputs / layout.groups) as u32,
            pooled: u32::from(layout.pooled),
        };
        let (reads, out) = (launch.reads.clone(), launch.writes[0]);
        let kernel = Kernel::new(&FOLD_BIAS_GRAD, usize::from(self.mean));
        if self.mean {
            let products = launch.scratch("products", vectors * 4);
            launch.flat(kernel, &params, &reads, &[products], vectors);
            launch_column_sum(launch, [s, rows, d4], 1.0, products, out);
        } else {
            launch.flat(kernel, &params, &reads, &[out], vectors);
        }
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let (layout, g, x) = (self.layout, inputs[0], inputs[1]);
        let (s, rows, d) = (layout.statistics(), layout.weight_rows(self.outputs), layout.d);
        let shape = if self.mean { vec![s, d] } else { vec![s, rows, d] };
        let mut out = Array::zeros(&shape);
        for index in 0..s * rows * d {
            let (s, r, i) = (index / (rows * d), index / d % rows, index % d);
            let g = g.data[layout.output_of(s, r, self.outputs)];
            if self.mean {
                out.data[s * d + i] -= g * x.data[index];
            } else {
                out.data[index] = -g * x.data[s * d + i];
            }
        }
        vec![out]
    }
}
