//! D folded into a layer's weight: `W' = W D` (method, section 6), and the gradient (method, section 9.2).
//!
//! With `T` the weight as columns and `G` the gradient of the folded columns: `gT = D G`, `gD = T G^T`. The mean is not
//! folded but taken off the input, so that nothing here cancels: [`center_rows`](crate::ops::center_rows),
//! [`conv2d_centered`](crate::ops::conv2d_centered).

use crate::ops::conv::weight_columns::{columns_of, columns_type, launch_columns, launch_rows, rows_of};
use crate::ops::expect_same;
use crate::ops::patches::blocks::BlockLayout;
use crate::ops::products::matrix::{product, transposed};
use crate::ops::products::product::Product;
use crate::ops::products::transpose::launch_transpose;
use crate::ops::sums::column_sum::launch_single_sum;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

/// Folds D (S,d,d) of a layer's input into its weight (O,C/g,k,k) or (O,F): the result as
/// [columns](crate::ops::weight_columns).
///
/// # Errors
/// The weight does not have the layout's features, or D does not fit.
pub fn fold_weight(tape: &mut Tape, weight: Var, deconv: Var, layout: BlockLayout) -> Result<Var> {
    let shape = tape.shape(weight).to_vec();
    let outputs = tape.apply(FoldWeight(Fold { layout, shape }), &[weight, deconv])?;
    Ok(outputs[0])
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

    /// Matrices, rows and columns of the columns cut into blocks.
    fn matrices(&self) -> [usize; 3] {
        self.layout.matrices(self.outputs4() * 4)
    }

    /// One D for many matrices.
    fn shared(&self) -> bool {
        self.layout.statistics() != self.matrices()[0]
    }

    /// Columns as matrices, on the CPU.
    fn cut(&self, columns: &Array) -> Array {
        Array { shape: self.matrices().to_vec(), data: columns.data.clone() }
    }
}

/// Outputs: folded columns, and the weight as columns, which the gradient needs again.
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
        expect_same(self.name(), inputs[1], &self.0.deconv())?;
        Ok(vec![self.0.columns(); 2])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (deconv, columns, grad) = (context.inputs[1], context.outputs[1], context.grad(0)?);
        let g_weight = context.when(0, WeightGrad(self.0.clone()), &[deconv, grad])?;
        let g_deconv = context.when(1, DeconvGrad(self.0.clone()), &[columns, grad])?;
        Ok(vec![g_weight, g_deconv])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let Fold { layout, shape } = &self.0;
        let [s, d, n] = self.0.matrices();
        let (reads, [folded, columns]) = (launch.reads.clone(), [0, 1].map(|i| launch.writes[i]));
        launch_columns(launch, reads[0], shape, layout.groups, columns);
        // (W D)^T = D^T W^T, block by block.
        let transposed = launch.scratch("transposed", layout.statistics() * d * d.next_multiple_of(4));
        launch_transpose(launch, [layout.statistics(), d, d], [0.0, 1.0], reads[1], transposed);
        let product = Product { shared_a: self.0.shared(), ..Product::new(transposed, columns) };
        product.launch(launch, [s, d, n, d], folded);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let columns = columns_of(inputs[0], self.0.layout.groups);
        let folded = product(&transposed(inputs[1]), &self.0.cut(&columns));
        vec![Array { shape: columns.shape.clone(), data: folded.data }, columns]
    }
}

/// `gT = D G`, as the row-major weight; inputs: D, G.
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
        let [s, d, n] = self.0.matrices();
        let ([deconv, grad], write) = ([0, 1].map(|i| launch.reads[i]), launch.writes[0]);
        let columns = launch.scratch("columns", s * d * n);
        let product = Product { shared_a: self.0.shared(), ..Product::new(deconv, grad) };
        product.launch(launch, [s, d, n, d], columns);
        launch_rows(launch, columns, (shape, layout.groups), write);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let columns = product(inputs[0], &self.0.cut(inputs[1]));
        vec![rows_of(&columns, &self.0.shape, self.0.layout.groups)]
    }
}

/// `gD = T G^T`; inputs: T, G.
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
        let ([columns, grad], write) = ([0, 1].map(|i| launch.reads[i]), launch.writes[0]);
        let size = d * d4;
        let summed = self.0.shared();
        let products = if summed { launch.scratch("products", s * size * 4) } else { write };
        Product { transposed: true, ..Product::new(columns, grad) }.launch(launch, [s, d, d, n], products);
        if summed {
            launch_single_sum(launch, [s, size], products, write);
        }
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let mut out = Array::zeros(&self.0.deconv().shape);
        let products = product(&self.0.cut(inputs[0]), &transposed(&self.0.cut(inputs[1])));
        let size = out.data.len();
        products.data.iter().enumerate().for_each(|(i, v)| out.data[i % size] += v);
        vec![out]
    }
}
