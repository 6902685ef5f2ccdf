//! Weights as columns: a row for each input feature, the outputs along it.
//!
//! Convolutions sum over features and load outputs in vectors; whitening mixes features of a block. Both then work on
//! whole rows, and the blocks of both modes are views (method, section 6): contiguous blocks a batch of matrices,
//! interleaved ones a single wide matrix.

use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::ops::patches::blocks::BlockLayout;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct ColumnsParams { items: u32, outputs: u32, outputs4: u32, features: u32, features4: u32 }
}
kernel_params! {
    struct RowsParams {
        items: u32, outputs: u32, outputs4: u32, features: u32, features4: u32, parts: u32, part: u32,
    }
}

static COLUMNS: Shader = Shader::new::<ColumnsParams>("conv/weight_columns.wgsl", 1, 1);
static ROWS: Shader = Shader::new::<RowsParams>("conv/weight_rows.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&COLUMNS, &ROWS];

/// (O,C/g,k,k) or (O,F/g), row-major, to columns (F, O/g): feature f of group g's rows stands in row `g F/g + f`, whose
/// outputs are those of the group, filled up with zeros to a multiple of four.
///
/// # Errors
/// The groups do not divide the outputs.
pub fn weight_columns(tape: &mut Tape, weight: Var, groups: usize) -> Result<Var> {
    let shape = tape.shape(weight).to_vec();
    tape.apply1(WeightColumns { shape, groups }, &[weight])
}

/// The inverse of [`weight_columns`] to a weight of the given shape.
///
/// # Errors
/// The columns are not those of such a weight.
pub fn weight_rows(tape: &mut Tape, columns: Var, shape: &[usize], groups: usize) -> Result<Var> {
    tape.apply1(WeightRows { shape: shape.to_vec(), groups }, &[columns])
}

/// The type of the columns of a weight of this shape.
pub(in crate::ops) fn columns_type(shape: &[usize], groups: usize) -> Type {
    let features: usize = shape.iter().skip(1).product();
    Type::vec4(&[features * groups, (shape.first().copied().unwrap_or(0) / groups).next_multiple_of(4)])
}

impl BlockLayout {
    /// Shape (S,d,n) of columns (F, O/g) seen as matrices, one for each block or, interleaved, one for all blocks side
    /// by side; `outputs` is O/g, filled up.
    pub(in crate::ops) fn matrices(&self, outputs: usize) -> [usize; 3] {
        let [wide, tall] = if self.interleaved { [self.blocks, 1] } else { [1, self.blocks] };
        [tall, self.d, wide * outputs]
    }
}

/// Appends the launch that turns columns back into a row-major weight.
pub(in crate::ops) fn launch_rows(launch: &mut Launch<'_>, columns: Slot, shape: (&[usize], usize), weight: Slot) {
    launch_rows_of_sum(launch, (columns, 1), shape, weight);
}

/// As [`launch_rows`] of the sum of several columns, one behind the other.
pub(in crate::ops) fn launch_rows_of_sum(
    launch: &mut Launch<'_>,
    (columns, parts): (Slot, usize),
    (shape, groups): (&[usize], usize),
    weight: Slot,
) {
    let ColumnsParams { items, outputs, outputs4, features, features4 } = params(shape, groups);
    let part = (groups as u32) * features * outputs4;
    let parts = parts as u32;
    let params = RowsParams { items, outputs, outputs4, features, features4, parts, part };
    launch.flat(Kernel::new(&ROWS, 0), &params, &[columns], &[weight], items as usize);
}

/// Appends the launch that turns a row-major weight into columns.
pub(in crate::ops) fn launch_columns(
    launch: &mut Launch<'_>,
    weight: Slot,
    shape: &[usize],
    groups: usize,
    columns: Slot,
) {
    let params = params(shape, groups);
    launch.flat(Kernel::new(&COLUMNS, 0), &params, &[weight], &[columns], params.items as usize);
}

fn params(shape: &[usize], groups: usize) -> ColumnsParams {
    let (outputs, features): (usize, usize) = (shape[0] / groups, shape[1..].iter().product());
    ColumnsParams {
        items: (groups * outputs.div_ceil(4) * features.div_ceil(4)) as u32,
        outputs: outputs as u32,
        outputs4: outputs.div_ceil(4) as u32,
        features: features as u32,
        features4: features.div_ceil(4) as u32,
    }
}

/// For each element of a row-major weight in order, its place in the columns as row-major values.
fn places(shape: &[usize], groups: usize) -> impl Iterator<Item = usize> + use<> {
    let (outputs, features): (usize, usize) = (shape[0] / groups, shape[1..].iter().product());
    let width = outputs.next_multiple_of(4);
    (0..shape[0] * features).map(move |i| {
        let (output, feature) = (i / features, i % features);
        (output / outputs * features + feature) * width + output % outputs
    })
}

/// The row-major weight of columns, on the CPU.
pub(in crate::ops) fn rows_of(columns: &Array, shape: &[usize], groups: usize) -> Array {
    Array { shape: shape.to_vec(), data: places(shape, groups).map(|at| columns.data[at]).collect() }
}

/// The columns of a row-major weight, on the CPU.
pub(in crate::ops) fn columns_of(weight: &Array, groups: usize) -> Array {
    let mut columns = Array::zeros(&columns_type(&weight.shape, groups).shape);
    for (value, at) in weight.data.iter().zip(places(&weight.shape, groups)) {
        columns.data[at] = *value;
    }
    columns
}

#[derive(Debug)]
struct WeightColumns {
    shape: Vec<usize>,
    groups: usize,
}

impl Op for WeightColumns {
    fn name(&self) -> &'static str {
        "weight_columns"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_weight(self.name(), &self.shape, self.groups)?;
        crate::ops::expect_same(self.name(), inputs[0], &Type::plain(&self.shape))?;
        Ok(vec![columns_type(&self.shape, self.groups)])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        let adjoint = WeightRows { shape: self.shape.clone(), groups: self.groups };
        Ok(vec![context.when(0, adjoint, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (weight, columns) = (launch.reads[0], launch.writes[0]);
        launch_columns(launch, weight, &self.shape, self.groups, columns);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![columns_of(inputs[0], self.groups)]
    }
}

#[derive(Debug)]
struct WeightRows {
    shape: Vec<usize>,
    groups: usize,
}

impl Op for WeightRows {
    fn name(&self) -> &'static str {
        "weight_rows"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        expect_weight(self.name(), &self.shape, self.groups)?;
        crate::ops::expect_same(self.name(), inputs[0], &columns_type(&self.shape, self.groups))?;
        Ok(vec![Type::plain(&self.shape)])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        let adjoint = WeightColumns { shape: self.shape.clone(), groups: self.groups };
        Ok(vec![context.when(0, adjoint, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (columns, weight) = (launch.reads[0], launch.writes[0]);
        launch_rows(launch, columns, (&self.shape, self.groups), weight);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        vec![rows_of(inputs[0], &self.shape, self.groups)]
    }
}

fn expect_weight(op: &'static str, shape: &[usize], groups: usize) -> Result<()> {
    if groups > 0 && shape.len() > 1 && !shape.contains(&0) && shape[0].is_multiple_of(groups) {
        return Ok(());
    }
    Err(Error::shape(op, format!("expected a weight (O,C/groups,k,k) or (O,F), found {shape:?} in {groups} groups")))
}
