//! The mean of a convolution's patches, which is taken off them before the product (method, section 6).
//!
//! Forward it goes into the bias, `b' = b - mean w`, so that no kernel loads it. The weight's gradient has it taken off
//! each patch, where the share of the mean would cancel: `weight_grad.rs`. Its own gradient is `-w g`, `g` the sum of
//! the output's gradients.

use super::reference;
use super::weight_columns::{columns_type, rows_of};
use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::ops::expect_same;
use crate::ops::pointwise::relayout::launch_padded;
use crate::tape::{Array, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct ShiftParams { items: u32, outputs4: u32, features: u32, chunk: u32, chunks: u32 }
}
kernel_params! {
    struct ShiftedBiasParams { outputs: u32, outputs_per_group: u32, outputs4: u32, chunks: u32, has_bias: u32 }
}
kernel_params! {
    struct MeanGradParams { items: u32, outputs4: u32, features: u32, features_per_group: u32 }
}

static SHIFT: Shader = Shader::new::<ShiftParams>("conv/mean_shift.wgsl", 2, 1);
static SHIFTED_BIAS: Shader = Shader::new::<ShiftedBiasParams>("conv/shifted_bias.wgsl", 2, 1);
static MEAN_GRAD: Shader = Shader::new::<MeanGradParams>("conv/mean_grad.wgsl", 2, 1);
/// What the share of the mean takes in a forward pass.
pub(crate) static MEAN_SHIFTS: &[&Shader] = &[&SHIFT, &SHIFTED_BIAS];
pub(in crate::ops) const SHADERS: &[&Shader] = &[&SHIFT, &SHIFTED_BIAS, &MEAN_GRAD];

/// Features that an invocation of `mean_shift.wgsl` adds up.
const CHUNK: usize = 64;

/// Type of the mean of patches: one number for each feature of a weight of this shape, in the order of its columns'
/// rows.
pub(super) fn mean_type(shape: &[usize], groups: usize) -> Type {
    Type::vec4(&[1, columns_type(shape, groups).shape[0]])
}

/// `b - mean w`, (O), the bias that takes the mean (1, F) of the patches off: `columns` are those of a weight of the
/// given shape, and `b` counts as 0 where there is none.
///
/// # Errors
/// The columns are not those of such a weight, or the mean or the bias do not fit.
pub fn shifted_bias(
    tape: &mut Tape,
    [columns, mean]: [Var; 2],
    bias: Option<Var>,
    shape: &[usize],
    groups: usize,
) -> Result<Var> {
    let inputs: Vec<Var> = [columns, mean].into_iter().chain(bias).collect();
    tape.apply1(ShiftedBias { shape: shape.to_vec(), groups }, &inputs)
}

/// Appends what [`shifted_bias`] computes.
pub(super) fn launch_shifted_bias(
    launch: &mut Launch<'_>,
    [columns, mean]: [Slot; 2],
    bias: Option<Slot>,
    (shape, groups): (&[usize], usize),
    write: Slot,
) {
    let (outputs, features): (usize, usize) = (shape[0], shape[1..].iter().product());
    let outputs4 = (outputs / groups).div_ceil(4);
    let chunks = features.div_ceil(CHUNK);
    let items = groups * chunks * outputs4;
    let shift = launch.scratch("shift", items * 4);
    let params = ShiftParams {
        items: items as u32,
        outputs4: outputs4 as u32,
        features: features as u32,
        chunk: CHUNK as u32,
        chunks: chunks as u32,
    };
    launch.flat(Kernel::new(&SHIFT, 0), &params, &[columns, mean], &[shift], items);
    let params = ShiftedBiasParams {
        outputs: outputs as u32,
        outputs_per_group: (outputs / groups) as u32,
        outputs4: outputs4 as u32,
        chunks: chunks as u32,
        has_bias: u32::from(bias.is_some()),
    };
    let reads = [shift, bias.unwrap_or(shift)];
    launch.flat(Kernel::new(&SHIFTED_BIAS, 0), &params, &reads, &[write], outputs.next_multiple_of(4));
}

/// What a kernel of the weight's gradient reads: `x`, the output's gradient, and the mean or, where a launch has none,
/// anything.
pub(super) fn with_mean(launch: &mut Launch<'_>, x: Slot) -> [Slot; 3] {
    // What is not read is small, in case that it is copied.
    let mean = launch.reads.get(2).copied().unwrap_or_else(|| launch.scratch("unread", 4));
    [x, launch.reads[1], mean]
}

#[derive(Debug)]
struct ShiftedBias {
    shape: Vec<usize>,
    groups: usize,
}

impl Op for ShiftedBias {
    fn name(&self) -> &'static str {
        "shifted_bias"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let Self { shape, groups } = self;
        expect_same(self.name(), inputs[0], &columns_type(shape, *groups))?;
        expect_same(self.name(), inputs[1], &mean_type(shape, *groups))?;
        if let Some(bias) = inputs.get(2).filter(|bias| bias.shape != shape[..1]) {
            return Err(Error::shape(self.name(), format!("expected a bias [{}], found {bias}", shape[0])));
        }
        Ok(vec![Type::plain(&shape[..1])])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (columns, mean, bias) = (launch.reads[0], launch.reads[1], launch.reads.get(2).copied());
        let write = launch.writes[0];
        launch_shifted_bias(launch, [columns, mean], bias, (&self.shape, self.groups), write);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let rows = rows_of(inputs[0], &self.shape, self.groups);
        vec![reference::shifted_bias(&rows, inputs[1], inputs.get(2).copied(), self.groups)]
    }
}

/// `-w g`, (1, F), the gradient of the mean; inputs: the weight's columns and g (O).
#[derive(Debug)]
pub(super) struct MeanGrad {
    pub shape: Vec<usize>,
    pub groups: usize,
}

impl Op for MeanGrad {
    fn name(&self) -> &'static str {
        "mean_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![mean_type(&self.shape, self.groups)])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let Self { shape, groups } = self;
        let (columns, write) = (launch.reads[0], launch.writes[0]);
        let outputs = shape[0] / groups;
        let features: usize = shape[1..].iter().product();
        let g = launch_padded(launch, [*groups, outputs], launch.reads[1]);
        let items = (groups * features).div_ceil(4);
        let params = MeanGradParams {
            items: items as u32,
            outputs4: outputs.div_ceil(4) as u32,
            features: (groups * features) as u32,
            features_per_group: features as u32,
        };
        launch.flat(Kernel::new(&MEAN_GRAD, 0), &params, &[columns, g], &[write], items);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let rows = rows_of(inputs[0], &self.shape, self.groups);
        let mut grad = Array::zeros(&mean_type(&self.shape, self.groups).shape);
        for (feature, output, at) in reference::features(&self.shape, self.groups) {
            grad.data[feature] -= rows.data[at] * inputs[1].data[output];
        }
        vec![grad]
    }
}
