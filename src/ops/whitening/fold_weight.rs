//! Whitening folded into a layer: `W' = W D` and `b'_o = b_o - sum_j <W'_j[o], mean_j>` (method, section 6), and the
//! gradient (method, section 9.2).
//!
//! With `T` the weight as columns, `G` the gradient of the folded columns and `g` that of the folded bias, the mean's share of the
//! weight's gradient is an outer product, `G - mean g^T`. It is never added to `G`, which is as large as the weight, but to
//! what is made of it:
//!
//! `gD = T G^T - (T g) mean^T`, `gT = D G - (D mean) g^T`, `g_mean = -D^T (T g)`.

use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::ops::conv::weight_columns::{Shift, columns_of, columns_type, launch_columns, launch_rows, rows_of};
use crate::ops::norm::column_sum::launch_single_sum;
use crate::ops::patches::blocks::BlockLayout;
use crate::ops::pointwise::relayout::launch_padded;
use crate::ops::products::matmul::{Product, product};
use crate::ops::products::transpose::{launch_transpose, transposed};
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct ShiftParams { items: u32, outputs4: u32, blocks: u32, d: u32, d4: u32, pooled: u32, interleaved: u32 }
}
kernel_params! {
    struct FoldBiasParams { outputs: u32, outputs_per_group: u32, outputs4: u32, blocks_per_group: u32, has_bias: u32 }
}
kernel_params! {
    struct FeatureDotParams {
        items: u32, outputs4: u32, blocks: u32, d: u32, d4: u32, interleaved: u32, blocks_per_group: u32,
    }
}
kernel_params! {
    struct AddOuterParams { vectors: u32, m: u32, m4: u32, n4: u32 }
}

static SHIFT: Shader = Shader::new::<ShiftParams>("whitening/fold_shift.wgsl", 2, 1);
static FOLD_BIAS: Shader = Shader::new::<FoldBiasParams>("whitening/fold_bias.wgsl", 2, 1);
static FEATURE_DOT: Shader = Shader::new::<FeatureDotParams>("whitening/feature_dot.wgsl", 2, 1);
static ADD_OUTER: Shader = Shader::new::<AddOuterParams>("whitening/add_outer.wgsl", 3, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&SHIFT, &FOLD_BIAS, &FEATURE_DOT, &ADD_OUTER];

/// Appends `y = x + u v^T` of `[S, d]` square matrices; reads x, u, v.
fn launch_add_outer(launch: &mut Launch<'_>, [s, d]: [usize; 2], reads: [Slot; 3], y: Slot) {
    let d4 = d.div_ceil(4);
    let vectors = s * d * d4;
    let params = AddOuterParams { vectors: vectors as u32, m: d as u32, m4: d4 as u32, n4: d4 as u32 };
    launch.flat(Kernel::new(&ADD_OUTER, 0), &params, &reads, &[y], vectors);
}

/// Results of [`fold_weight`].
#[derive(Clone, Copy, Debug)]
pub struct FoldedWeight {
    /// The weight with D folded in, as [columns](crate::ops::weight_columns).
    pub columns: Var,
    /// The bias with the mean folded in, (O).
    pub bias: Var,
}

/// Folds D (S,d,d) and the mean (S,d) of a layer's input into its weight (O,C/g,k,k) or (O,F) and its bias (O), 0 if there is none.
///
/// # Errors
/// The weight does not have the layout's features, or D, the mean or the bias do not fit.
pub fn fold_weight(
    tape: &mut Tape,
    weight: Var,
    deconv: Var,
    mean: Var,
    bias: Option<Var>,
    layout: BlockLayout,
) -> Result<FoldedWeight> {
    let shape = tape.shape(weight).to_vec();
    let inputs: Vec<Var> = [weight, deconv, mean].into_iter().chain(bias).collect();
    let outputs = tape.apply(FoldWeight(Fold { layout, shape }), &inputs)?;
    Ok(FoldedWeight { columns: outputs[0], bias: outputs[1] })
}

/// A weight's shape and its cut into blocks.
#[derive(Clone, Debug)]
struct Fold {
    layout: BlockLayout,
    shape: Vec<usize>,
}

impl Fold {
    fn outputs(&self) -> usize {
        self.shape[0]
    }

    /// Vectors of outputs in a row of columns.
    fn outputs4(&self) -> usize {
        (self.outputs() / self.layout.groups).div_ceil(4)
    }

    fn columns(&self) -> Type {
        columns_type(&self.shape, self.layout.groups)
    }

    fn deconv(&self) -> Type {
        let (s, d) = (self.layout.statistics(), self.layout.d);
        Type::vec4(&[s, d, d])
    }

    fn mean(&self) -> Type {
        Type::vec4(&[self.layout.statistics(), self.layout.d])
    }

    /// Matrices, rows and columns of the columns cut into blocks.
    fn matrices(&self) -> [usize; 3] {
        self.layout.matrices(self.outputs4() * 4)
    }

    /// One D for many matrices.
    fn shared(&self) -> bool {
        self.layout.statistics() != self.matrices()[0]
    }

    /// Row in columns, statistic and entry of entry `i` of block `j`.
    fn places(&self) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let layout = self.layout;
        let entries = move |j| (0..layout.d).map(move |i| (j, i));
        (0..layout.blocks)
            .flat_map(entries)
            .map(move |(j, i)| (layout.feature(j, i), if layout.pooled { 0 } else { j }, i))
    }

    /// For the columns of feature `f`, their places and the outputs that they belong to.
    fn outputs_of(&self, f: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (per_group, width) = (self.outputs() / self.layout.groups, self.outputs4() * 4);
        let owner = f / (self.layout.features() / self.layout.groups);
        (0..per_group).map(move |o| (f * width + o, owner * per_group + o))
    }

    /// The gradient of the bias with each group's outputs filled up to whole vectors.
    fn padded(&self, launch: &mut Launch<'_>, g: Slot) -> Slot {
        let groups = self.layout.groups;
        launch_padded(launch, [groups, self.outputs() / groups], g)
    }

    /// Columns as matrices, on the CPU.
    fn cut(&self, columns: &Array) -> Array {
        Array { shape: self.matrices().to_vec(), data: columns.data.clone() }
    }
}

/// Outputs: folded columns, folded bias, and the weight as columns, which the gradient needs again.
#[derive(Debug)]
struct FoldWeight(Fold);

impl Op for FoldWeight {
    fn name(&self) -> &'static str {
        "fold_weight"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let Fold { layout, shape } = &self.0;
        let (groups, outputs) = (layout.groups, shape.first().copied().unwrap_or(0));
        let fits = outputs > 0
            && outputs.is_multiple_of(groups)
            && shape.iter().skip(1).product::<usize>() * groups == layout.features();
        if !fits || *inputs[0] != Type::plain(shape) {
            let what = format!("weight {} does not have the {} features of {layout:?}", inputs[0], layout.features());
            return Err(Error::shape(self.name(), what));
        }
        let expected = [self.0.deconv(), self.0.mean()];
        let bias_fits = inputs.get(3).is_none_or(|bias| bias.shape == [outputs]);
        if *inputs[1] != expected[0] || *inputs[2] != expected[1] || !bias_fits {
            let found = inputs[1..].iter().map(|ty| ty.to_string()).collect::<Vec<_>>().join(", ");
            let what = format!("expected {}, {} and a bias [{outputs}], found {found}", expected[0], expected[1]);
            return Err(Error::shape(self.name(), what));
        }
        Ok(vec![self.0.columns(), Type::plain(&[outputs]), self.0.columns()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (deconv, mean, columns) = (context.inputs[1], context.inputs[2], context.outputs[2]);
        let mut grads = [0, 1].map(|i| context.grads[i]);
        for (i, grad) in grads.iter_mut().enumerate() {
            if grad.is_none() {
                let ty = context.tape.ty(context.outputs[i]).clone();
                *grad = Some(crate::ops::constant(context.tape, ty, 0.0)?);
            }
        }
        let [Some(g_columns), Some(g_bias)] = grads else { return Ok(vec![None; context.inputs.len()]) };
        let fold = || self.0.clone();
        let g_weight = context.when(0, WeightGrad(fold()), &[deconv, g_columns, mean, g_bias])?;
        let [mut g_deconv, mut g_mean] = [None; 2];
        if context.needs(1) || context.needs(2) {
            let dot = context.tape.apply1(FeatureDot(fold()), &[columns, g_bias])?;
            g_deconv = context.when(1, DeconvGrad(fold()), &[columns, g_columns, dot, mean])?;
            g_mean = context.when(2, MeanGrad(fold()), &[dot, deconv])?;
        }
        let mut grads = vec![g_weight, g_deconv, g_mean];
        if context.inputs.len() > 3 {
            grads.push(Some(g_bias));
        }
        Ok(grads)
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let Fold { layout, shape } = &self.0;
        let [s, d, n] = self.0.matrices();
        let (reads, [folded, folded_bias, columns]) = (launch.reads.clone(), [0, 1, 2].map(|i| launch.writes[i]));
        launch_columns(launch, reads[0], shape, layout.groups, columns);
        // (W D)^T = D^T W^T, block by block.
        let turned = launch.scratch("turned", layout.statistics() * d * d.next_multiple_of(4));
        launch_transpose(launch, [layout.statistics(), d, d], [0.0, 1.0], reads[1], turned);
        let product = Product { shared_a: self.0.shared(), ..Product::new(turned, columns) };
        product.launch(launch, [s, d, n, d], folded);

        let outputs4 = self.0.outputs4();
        let items = layout.blocks * outputs4;
        let shift = launch.scratch("shift", items * 4);
        let params = ShiftParams {
            items: items as u32,
            outputs4: outputs4 as u32,
            blocks: layout.blocks as u32,
            d: d as u32,
            d4: d.div_ceil(4) as u32,
            pooled: u32::from(layout.pooled),
            interleaved: u32::from(layout.interleaved),
        };
        launch.flat(Kernel::new(&SHIFT, 0), &params, &[folded, reads[2]], &[shift], items);
        let outputs = self.0.outputs();
        let params = FoldBiasParams {
            outputs: outputs as u32,
            outputs_per_group: (outputs / layout.groups) as u32,
            outputs4: outputs4 as u32,
            blocks_per_group: layout.blocks_per_group() as u32,
            has_bias: u32::from(reads.len() > 3),
        };
        let bias = reads.get(3).copied().unwrap_or(shift);
        let kernel = Kernel::new(&FOLD_BIAS, 0);
        launch.flat(kernel, &params, &[shift, bias], &[folded_bias], outputs.next_multiple_of(4));
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let columns = columns_of(inputs[0], self.0.layout.groups);
        let folded = product(&transposed(inputs[1]), &self.0.cut(&columns));
        let folded = Array { shape: columns.shape.clone(), data: folded.data };
        let mut bias = Array::zeros(&[self.0.outputs()]);
        if let Some(given) = inputs.get(3) {
            bias.data.clone_from(&given.data);
        }
        for (f, s, i) in self.0.places() {
            for (at, o) in self.0.outputs_of(f) {
                bias.data[o] -= folded.data[at] * inputs[2].data[s * self.0.layout.d + i];
            }
        }
        vec![folded, bias, columns]
    }
}

/// `gT = D G - (D mean) g^T`, as the row-major weight; inputs: D, G, mean, g.
#[derive(Debug)]
struct WeightGrad(Fold);

impl Op for WeightGrad {
    fn name(&self) -> &'static str {
        "fold_weight_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![Type::plain(&self.0.shape)])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let Fold { layout, shape } = &self.0;
        let ([s, d, n], statistics) = (self.0.matrices(), layout.statistics());
        let ([deconv, g_columns, mean, g_bias], write) = ([0, 1, 2, 3].map(|i| launch.reads[i]), launch.writes[0]);
        let columns = launch.scratch("columns", s * d * n);
        let product = Product { shared_a: self.0.shared(), ..Product::new(deconv, g_columns) };
        product.launch(launch, [s, d, n, d], columns);
        let u = launch.scratch("u", statistics * d.next_multiple_of(4));
        Product { turned: true, ..Product::new(mean, deconv) }.launch(launch, [statistics, 1, d, d], u);
        let g = self.0.padded(launch, g_bias);
        launch_rows(launch, columns, (shape, layout.groups), Some(Shift { layout: *layout, u, g }), write);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let [deconv, g_columns, mean, g_bias] = [0, 1, 2, 3].map(|i| inputs[i]);
        let d = self.0.layout.d;
        let mut columns = product(deconv, &self.0.cut(g_columns));
        for (f, s, i) in self.0.places() {
            let u: f64 = (0..d).map(|k| deconv.data[(s * d + i) * d + k] * mean.data[s * d + k]).sum();
            for (at, o) in self.0.outputs_of(f) {
                columns.data[at] -= u * g_bias.data[o];
            }
        }
        vec![rows_of(&columns, &self.0.shape, self.0.layout.groups)]
    }
}

/// `-T g`, (S,d); inputs: T, g.
#[derive(Debug)]
struct FeatureDot(Fold);

impl Op for FeatureDot {
    fn name(&self) -> &'static str {
        "fold_weight_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.0.mean()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let layout = self.0.layout;
        let d4 = layout.d.div_ceil(4);
        let items = layout.blocks * d4;
        let params = FeatureDotParams {
            items: items as u32,
            outputs4: self.0.outputs4() as u32,
            blocks: layout.blocks as u32,
            d: layout.d as u32,
            d4: d4 as u32,
            interleaved: u32::from(layout.interleaved),
            blocks_per_group: layout.blocks_per_group() as u32,
        };
        let (columns, g_bias, write) = (launch.reads[0], launch.reads[1], launch.writes[0]);
        let g = self.0.padded(launch, g_bias);
        let summed = layout.pooled && layout.blocks > 1;
        let each = if summed { launch.scratch("each", items * 4) } else { write };
        launch.flat(Kernel::new(&FEATURE_DOT, 0), &params, &[g, columns], &[each], items);
        if summed {
            launch_single_sum(launch, [layout.blocks, d4], each, write);
        }
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let (columns, g) = (inputs[0], inputs[1]);
        let mut out = Array::zeros(&self.0.mean().shape);
        for (f, s, i) in self.0.places() {
            for (at, o) in self.0.outputs_of(f) {
                out.data[s * self.0.layout.d + i] -= g.data[o] * columns.data[at];
            }
        }
        vec![out]
    }
}

/// `gD = T G^T - (T g) mean^T`; inputs: T, G, `-T g`, mean.
#[derive(Debug)]
struct DeconvGrad(Fold);

impl Op for DeconvGrad {
    fn name(&self) -> &'static str {
        "fold_weight_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.0.deconv()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let ([s, d, n], d4) = (self.0.matrices(), self.0.layout.d.div_ceil(4));
        let ([columns, g_columns, dot, mean], write) = ([0, 1, 2, 3].map(|i| launch.reads[i]), launch.writes[0]);
        let size = d * d4;
        let mut products = launch.scratch("products", s * size * 4);
        Product { turned: true, ..Product::new(columns, g_columns) }.launch(launch, [s, d, d, n], products);
        if self.0.shared() {
            let sum = launch.scratch("sum", size * 4);
            launch_single_sum(launch, [s, size], products, sum);
            products = sum;
        }
        launch_add_outer(launch, [self.0.layout.statistics(), d], [products, dot, mean], write);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let [columns, g_columns, dot, mean] = [0, 1, 2, 3].map(|i| inputs[i]);
        let d = self.0.layout.d;
        let mut out = Array::zeros(&self.0.deconv().shape);
        let products = product(&self.0.cut(columns), &transposed(&self.0.cut(g_columns)));
        let size = out.data.len();
        products.data.iter().enumerate().for_each(|(i, v)| out.data[i % size] += v);
        for (i, v) in out.data.iter_mut().enumerate() {
            let (s, row, column) = (i / (d * d), i / d % d, i % d);
            *v += dot.data[s * d + row] * mean.data[s * d + column];
        }
        vec![out]
    }
}

/// `g_mean = -D^T (T g)`; inputs: `-T g`, D.
#[derive(Debug)]
struct MeanGrad(Fold);

impl Op for MeanGrad {
    fn name(&self) -> &'static str {
        "fold_weight_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.0.mean()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (s, d) = (self.0.layout.statistics(), self.0.layout.d);
        let (dot, deconv, write) = (launch.reads[0], launch.reads[1], launch.writes[0]);
        Product::new(dot, deconv).launch(launch, [s, 1, d, d], write);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let (s, d) = (self.0.layout.statistics(), self.0.layout.d);
        let rows = Array { shape: vec![s, 1, d], data: inputs[0].data.clone() };
        vec![Array { shape: vec![s, d], data: product(&rows, inputs[1]).data }]
    }
}
