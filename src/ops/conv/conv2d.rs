//! Convolution and linear layers.
//!
//! `y[n,o,i,j] = b[o] + sum_{c,u,v} x[n,c, i s + u d - p, j s + v d - p] w[o,c,u,v]`, zero outside the map.
//! 2 N Ho Wo O (C/g) kh kw floating-point operations, as many again for each gradient.

use super::centering::{MeanGrad, launch_shifted_bias, mean_type};
use super::input_grad::ConvInputGrad;
use super::kind::Kind;
use super::weight::Weight;
use super::weight_grad::ConvWeightGrad;
use super::{grouped, implicit, pointwise, reference};
use crate::ops::patches::geometry::{ConvOptions, Geometry};
use crate::ops::sums::column_sum::ColumnSum;
use crate::ops::{expect_activation, expect_same};
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

/// What a convolution adds to its sums, before its ReLU.
///
/// ```
/// use mexhat::nn::{Tape, functional::{self as f, ConvOptions, Epilogue}};
/// let mut tape = Tape::new();
/// let (x, weight) = (tape.leaf("x", &[1, 1, 1, 2]), tape.leaf("weight", &[1, 1, 1, 1]));
/// let x = f::to_vec4(&mut tape, x)?;
/// // max(weight * x + x, 0), a residual block of one convolution.
/// let relu = ConvOptions { relu: true, ..Default::default() };
/// let y = f::conv2d(&mut tape, x, weight, Epilogue { bias: None, added: Some(x) }, relu)?;
/// assert_eq!(tape.compute(y, &[&[1.0, -1.0], &[2.0]])?, [3.0, 0.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue {
    /// One number for each output channel, (O).
    pub bias: Option<Var>,
    /// A tensor of the result's shape: the other branch of a residual block.
    pub added: Option<Var>,
}

impl From<Option<Var>> for Epilogue {
    fn from(bias: Option<Var>) -> Self {
        Self { bias, added: None }
    }
}

/// Convolution of `x` (N,C,H,W) with `weight` (O,C/groups,kh,kw) to (N,O,Ho,Wo),
/// `Ho = floor((H + 2 padding - dilation (kh - 1) - 1) / stride) + 1`, with an optional bias (O), or all that an
/// [`Epilogue`] adds.
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (x, weight) = (tape.leaf("x", &[1, 1, 3, 3]), tape.leaf("weight", &[1, 1, 2, 2]));
/// let (x, bias) = (f::to_vec4(&mut tape, x)?, tape.leaf("bias", &[1]));
/// let y = f::conv2d(&mut tape, x, weight, Some(bias), Default::default())?;
/// assert_eq!(tape.shape(y), [1, 1, 2, 2]);
/// let image = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
/// assert_eq!(tape.compute(y, &[&image, &[1.0; 4], &[100.0]])?, [112.0, 116.0, 124.0, 128.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// Channels do not match, or the kernel does not fit into the padded map.
pub fn conv2d(
    tape: &mut Tape,
    x: Var,
    weight: Var,
    epilogue: impl Into<Epilogue>,
    options: ConvOptions,
) -> Result<Var> {
    convolve(tape, ([x, weight], None), Weight::Rows, epilogue.into(), options)
}

/// As [`conv2d`] with the [columns](crate::ops::weight_columns) of a weight of the given shape.
///
/// # Errors
/// As [`conv2d`], or the columns are not those of such a weight.
pub fn conv2d_columns(
    tape: &mut Tape,
    x: Var,
    columns: Var,
    shape: &[usize],
    epilogue: impl Into<Epilogue>,
    options: ConvOptions,
) -> Result<Var> {
    convolve(tape, ([x, columns], None), Weight::Columns(shape.to_vec()), epilogue.into(), options)
}

/// As [`conv2d_columns`] of patches less their mean (1, F), one number for each feature of the weight, in the order of
/// its columns' rows; it is taken off the zeros of the padding too (method, section 6).
///
/// # Errors
/// As [`conv2d_columns`], or the mean does not fit.
pub fn conv2d_centered(
    tape: &mut Tape,
    [x, mean]: [Var; 2],
    columns: Var,
    shape: &[usize],
    epilogue: impl Into<Epilogue>,
    options: ConvOptions,
) -> Result<Var> {
    convolve(tape, ([x, columns], Some(mean)), Weight::Columns(shape.to_vec()), epilogue.into(), options)
}

fn convolve(
    tape: &mut Tape,
    ([x, w], mean): ([Var; 2], Option<Var>),
    weight: Weight,
    Epilogue { bias, added }: Epilogue,
    options: ConvOptions,
) -> Result<Var> {
    let (name, centered) = ("conv2d", mean.is_some());
    let shape = weight.shape(name, tape.ty(w), options.groups)?;
    let g = Geometry::new(name, tape.shape(x), shape, options)?;
    let inputs = [x, w].into_iter().chain(mean).chain(bias);
    if let Some(added) = added.filter(|_| !Kind::of(&g, &weight).adds()) {
        let plain = ConvOptions { relu: false, ..options };
        let inputs: Vec<Var> = inputs.collect();
        let y = tape.apply1(Conv { options: plain, name, weight, centered, added: false }, &inputs)?;
        return if options.relu { crate::ops::add_relu(tape, y, added) } else { crate::ops::add(tape, y, added) };
    }
    let inputs: Vec<Var> = inputs.chain(added).collect();
    tape.apply1(Conv { options, name, weight, centered, added: added.is_some() }, &inputs)
}

/// `y = x weight^T + bias` of `x` (N,F), `weight` (O,F) and optional `bias` (O).
///
/// ```
/// use mexhat::nn::{Tape, functional as f};
/// let mut tape = Tape::new();
/// let (x, weight, bias) = (tape.leaf("x", &[1, 2]), tape.leaf("weight", &[3, 2]), tape.leaf("bias", &[3]));
/// let x = f::to_vec4(&mut tape, x)?;
/// let y = f::linear(&mut tape, x, weight, Some(bias))?;
/// assert_eq!(tape.shape(y), [1, 3]);
/// let y = tape.compute(y, &[&[1.0, 2.0], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0], &[10.0; 3]])?;
/// assert_eq!(y, [11.0, 12.0, 13.0]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub fn linear(tape: &mut Tape, x: Var, weight: Var, bias: Option<Var>) -> Result<Var> {
    tape.apply1(Conv::linear(Weight::Rows), &[x, weight].into_iter().chain(bias).collect::<Vec<_>>())
}

/// As [`linear`] with the [columns](crate::ops::weight_columns) of a weight of the given shape.
///
/// # Errors
/// As [`linear`], or the columns are not those of such a weight.
pub fn linear_columns(tape: &mut Tape, x: Var, columns: Var, shape: &[usize], bias: Option<Var>) -> Result<Var> {
    let inputs: Vec<Var> = [x, columns].into_iter().chain(bias).collect();
    tape.apply1(Conv::linear(Weight::Columns(shape.to_vec())), &inputs)
}

#[derive(Debug)]
struct Conv {
    options: ConvOptions,
    name: &'static str,
    weight: Weight,
    /// The third input is the mean of the patches, which is taken off them.
    centered: bool,
    /// The last input is added to the result.
    added: bool,
}

impl Conv {
    fn linear(weight: Weight) -> Self {
        Self { options: ConvOptions::default(), name: "linear", weight, centered: false, added: false }
    }

    /// The mean among inputs, if there is one.
    fn mean<T: Copy>(&self, inputs: &[T]) -> Option<T> {
        self.centered.then(|| inputs[2])
    }

    /// The bias among inputs, if there is one, and what is added.
    fn epilogue<T: Copy>(&self, inputs: &[T]) -> [Option<T>; 2] {
        match (self.added, &inputs[2 + usize::from(self.centered)..]) {
            (true, [bias @ .., added]) => [bias.first().copied(), Some(*added)],
            (_, rest) => [rest.first().copied(), None],
        }
    }
}

impl Op for Conv {
    fn name(&self) -> &'static str {
        self.name
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let x = inputs[0];
        expect_activation(self.name, x)?;
        let weight = self.weight.shape(self.name, inputs[1], self.options.groups)?;
        let g = Geometry::new(self.name, &x.shape, weight, self.options)?;
        if let Some(mean) = self.mean(inputs) {
            expect_same(self.name, mean, &mean_type(weight, self.options.groups))?;
        }
        let [bias, added] = self.epilogue(inputs);
        if let Some(bias) = bias.filter(|bias| bias.shape != [g.o]) {
            return Err(Error::shape(self.name, format!("expected a bias [{}], found {bias}", g.o)));
        }
        let y = Type::vec4(&if x.shape.len() == 2 { vec![g.n, g.o] } else { vec![g.n, g.o, g.oh, g.ow] });
        if let Some(added) = added {
            expect_same(self.name, &y, added)?;
        }
        Ok(vec![y])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn rectified(&self) -> bool {
        self.options.relu
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (x, w, mut gy) = (context.inputs[0], context.inputs[1], context.grad(0)?);
        if self.options.relu {
            gy = crate::ops::pointwise::unary::relu_grad(context, gy)?;
        }
        let (x_ty, w_ty) = (context.tape.ty(x).clone(), context.tape.ty(w).clone());
        let (options, weight) = (self.options, self.weight.clone());
        let shape = weight.shape(self.name, &w_ty, options.groups)?.to_vec();
        let g = Geometry::new(self.name, &x_ty.shape, &shape, options)?;
        let gathered = if context.needs(0) && Kind::of(&g, &weight).adds() { context.take(0) } else { None };
        let inputs: Vec<Var> = [gy, w].into_iter().chain(gathered).collect();
        let gx = context.when(0, ConvInputGrad { options, x: x_ty, weight: weight.clone() }, &inputs)?;
        let (mean, [bias, _]) = (self.mean(context.inputs), self.epilogue(context.inputs));
        let inputs: Vec<Var> = [x, gy].into_iter().chain(mean).collect();
        let gw = context.when(1, ConvWeightGrad { options, w: w_ty, weight }, &inputs)?;
        let mut grads = vec![gx, gw];
        let summed = [mean, bias].into_iter().flatten().any(|var| context.tape.needs_grad(var));
        let sum = if summed { Some(context.tape.apply1(ColumnSum, &[gy])?) } else { None };
        if mean.is_some() {
            let adjoint = MeanGrad { shape, groups: options.groups };
            grads.push(sum.map(|sum| context.when(2, adjoint, &[w, sum])).transpose()?.flatten());
        }
        grads.extend(bias.map(|_| sum));
        if self.added {
            grads.push(Some(gy));
        }
        Ok(grads)
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let [x_ty, w_ty] = [0, 1].map(|i| launch.inputs[i]);
        let groups = self.options.groups;
        let shape = self.weight.shape(self.name, w_ty, groups);
        let Ok((g, shape)) =
            shape.and_then(|w| Ok((Geometry::new(self.name, &x_ty.shape, w, self.options)?, w.to_vec())))
        else {
            return;
        };
        let [mut bias, added] = self.epilogue(&launch.reads);
        if let Some(mean) = self.mean(&launch.reads) {
            let shifted = launch.scratch("shifted_bias", g.o.next_multiple_of(4));
            launch_shifted_bias(launch, [launch.reads[1], mean], bias, (&shape, groups), shifted);
            bias = Some(shifted);
        }
        match Kind::launched(&g, &self.weight, launch.profile, added.is_some()) {
            Kind::Grouped => {
                let weight = self.weight.launch_rows(launch, launch.reads[1], groups);
                grouped::launch_forward(launch, &g, weight, bias);
            }
            Kind::Product => pointwise::launch_forward(launch, &g, self.weight.lies_in_rows(), bias),
            Kind::Implicit => implicit::launch_forward(launch, g, &self.weight, [bias, added]),
        }
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let weight = self.weight.rows(inputs[1], self.options.groups);
        let [bias, added] = self.epilogue(inputs);
        let shifted = self.mean(inputs).map(|mean| reference::shifted_bias(&weight, mean, bias, self.options.groups));
        vec![reference::forward([inputs[0], &weight], shifted.as_ref().or(bias), added, self.options)]
    }
}
