//! Convolution and linear layers: implicit matrix products, forward and both gradients.
//!
//! `y[n,o,i,j] = b[o] + sum_{c,u,v} x[n,c, i s + u d - p, j s + v d - p] w[o,c,u,v]`, zero outside the map.
//! 2 N Ho Wo O (C/g) kh kw floating-point operations, as many again for each gradient. Row-major weights are packed for the
//! kernel on the way (O C kh kw moves); columns (`weight_columns.rs`) are taken as they lie. Grouped convolutions are in
//! `grouped.rs`.

use super::grouped;
use super::pointwise;
use super::weight_columns::{columns_of, columns_type, launch_columns, launch_rows, launch_rows_of_sum, rows_of};
use crate::gpu::{Kernel, Shader, Slot};
use crate::kernel_params;
use crate::ops::expect_activation;
use crate::ops::norm::column_sum::{ColumnSum, launch_single_sum};
use crate::ops::patches::blocks::Sampling;
use crate::ops::products::tiles::{Tile, Tiles, tile_variant};
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct ConvParams {
        height: u32, width: u32, channels4: u32, out_height: u32, out_width: u32, outputs4: u32,
        kernel_height: u32, kernel_width: u32, stride: u32, padding: u32, dilation: u32, pixels: u32,
        has_bias: u32, has_added: u32, relu: u32, tap_rows: u32, channel_rows: u32, last_row: u32,
    }
}
kernel_params! {
    struct WeightGradParams {
        height: u32, width: u32, channels4: u32, out_height: u32, out_width: u32, outputs4: u32,
        kernel_width: u32, stride: u32, padding: u32, dilation: u32, taps: u32, pixels: u32, pixels_per_split: u32,
        channels: u32,
    }
}
kernel_params! {
    struct PackParams {
        blocks: u32, taps: u32, rows: u32, rows4: u32, columns: u32, columns4: u32, row_stride: u32, column_stride: u32,
        flipped: u32,
    }
}
kernel_params! {
    struct PackColumnsParams { blocks: u32, taps: u32, outputs4: u32, channels: u32, channels4: u32, flipped: u32 }
}

static CONV: Shader = Shader::with_variants::<ConvParams>(
    "conv/conv.wgsl",
    4,
    1,
    &[
        tile_variant!(8, 4, 2, 4, TRANSPOSED = 0),
        tile_variant!(8, 2, 1, 8, TRANSPOSED = 0),
        tile_variant!(8, 4, 2, 4, TRANSPOSED = 1),
        tile_variant!(8, 2, 1, 8, TRANSPOSED = 1),
    ],
);
static CONV_SUBGROUP: Shader = Shader::with_variants::<ConvParams>(
    "conv/conv_subgroup.wgsl",
    4,
    1,
    &[
        tile_variant!(64, 1, 8, 1, TRANSPOSED = 0),
        tile_variant!(16, 1, 4, 2, TRANSPOSED = 0),
        tile_variant!(8, 1, 2, 4, TRANSPOSED = 0),
        tile_variant!(8, 1, 1, 8, TRANSPOSED = 0),
        tile_variant!(64, 1, 8, 1, TRANSPOSED = 1),
        tile_variant!(16, 1, 4, 2, TRANSPOSED = 1),
        tile_variant!(8, 1, 2, 4, TRANSPOSED = 1),
        tile_variant!(8, 1, 1, 8, TRANSPOSED = 1),
    ],
);
static CONV_SHARED: Shader = Shader::with_variants::<ConvParams>(
    "conv/conv_shared.wgsl",
    4,
    1,
    &[
        tile_variant!(8, 2, 8, 8, TRANSPOSED = 0),
        tile_variant!(8, 1, 8, 8, TRANSPOSED = 0),
        tile_variant!(8, 1, 4, 16, TRANSPOSED = 0),
        tile_variant!(4, 1, 2, 32, TRANSPOSED = 0),
        tile_variant!(8, 2, 8, 8, TRANSPOSED = 1),
        tile_variant!(8, 1, 8, 8, TRANSPOSED = 1),
        tile_variant!(8, 1, 4, 16, TRANSPOSED = 1),
        tile_variant!(4, 1, 2, 32, TRANSPOSED = 1),
    ],
);
/// A convolution of so few pixels, such as a linear layer's, with a pixel for each image, is done with any kernel sooner than with one of
/// its own, which has to be compiled.
pub(in crate::ops) const FEW_PIXELS: usize = 256;
/// Vectors of columns for which it takes its tile, however many it has.
const FEW: usize = 32;

/// Pixels whose gradients, `outputs4` vectors each, stay in a core's cache while all rows of the weight's gradient are summed; sums of fewer
/// than these cost more to add than they save.
fn cached_pixels(outputs4: usize) -> usize {
    ((1 << 16) / outputs4).max(512)
}

fn columns_of_tile(pixels: usize, columns4: usize) -> usize {
    if pixels > FEW_PIXELS { columns4 } else { FEW }
}

const CONV_TILES: Tiles = Tiles {
    alone: (&CONV, &[(5, [8, 4, 2, 4]), (1, [8, 2, 1, 8])]),
    subgroup: (&CONV_SUBGROUP, &[(8, [64, 1, 8, 1]), (4, [16, 1, 4, 2]), (2, [8, 1, 2, 4]), (1, [8, 1, 1, 8])]),
    shared: Some((&CONV_SHARED, &[(16, [8, 2, 8, 8]), (8, [8, 1, 8, 8]), (4, [8, 1, 4, 16]), (1, [4, 1, 2, 32])])),
};

static WEIGHT_GRAD: Shader = Shader::with_variants::<WeightGradParams>(
    "conv/conv_weight_grad.wgsl",
    2,
    1,
    &[tile_variant!(4, 2, 4, 2), tile_variant!(4, 2, 1, 8)],
);
static WEIGHT_GRAD_SUBGROUP: Shader = Shader::with_variants::<WeightGradParams>(
    "conv/conv_weight_grad_subgroup.wgsl",
    2,
    1,
    &[
        tile_variant!(16, 1, 8, 1),
        tile_variant!(8, 1, 8, 1),
        tile_variant!(4, 1, 4, 2),
        tile_variant!(4, 1, 2, 4),
        tile_variant!(4, 1, 1, 8),
    ],
);
static WEIGHT_GRAD_SHARED: Shader = Shader::with_variants::<WeightGradParams>(
    "conv/conv_weight_grad_shared.wgsl",
    2,
    1,
    &[tile_variant!(2, 2, 8, 8), tile_variant!(2, 1, 8, 8), tile_variant!(2, 1, 4, 16), tile_variant!(1, 1, 2, 32)],
);
const WEIGHT_GRAD_TILES: Tiles = Tiles {
    alone: (&WEIGHT_GRAD, &[(5, [4, 2, 4, 2]), (1, [4, 2, 1, 8])]),
    subgroup: (
        &WEIGHT_GRAD_SUBGROUP,
        &[(25, [16, 1, 8, 1]), (8, [8, 1, 8, 1]), (4, [4, 1, 4, 2]), (2, [4, 1, 2, 4]), (1, [4, 1, 1, 8])],
    ),
    shared: Some((
        &WEIGHT_GRAD_SHARED,
        &[(16, [2, 2, 8, 8]), (8, [2, 1, 8, 8]), (4, [2, 1, 4, 16]), (1, [1, 1, 2, 32])],
    )),
};
static PACK: Shader = Shader::new::<PackParams>("conv/pack_weight.wgsl", 1, 1);
static PACK_COLUMNS: Shader = Shader::new::<PackColumnsParams>("conv/pack_columns.wgsl", 1, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[
    &CONV,
    &CONV_SUBGROUP,
    &CONV_SHARED,
    &WEIGHT_GRAD,
    &WEIGHT_GRAD_SUBGROUP,
    &WEIGHT_GRAD_SHARED,
    &PACK,
    &PACK_COLUMNS,
];

/// Stride, zero padding, dilation (each the same in both directions) and groups of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions {
    /// Step between output positions.
    pub stride: usize,
    /// Zeros around the map.
    pub padding: usize,
    /// Step between taps.
    pub dilation: usize,
    /// Independent groups of channels.
    pub groups: usize,
    /// Follow up with `max(y, 0)` in the same kernel.
    pub relu: bool,
}

impl Default for ConvOptions {
    fn default() -> Self {
        Self { stride: 1, padding: 0, dilation: 1, groups: 1, relu: false }
    }
}

/// Sizes of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ops) struct Geometry {
    pub n: usize,
    pub c: usize,
    pub h: usize,
    pub w: usize,
    pub o: usize,
    pub kh: usize,
    pub kw: usize,
    pub oh: usize,
    pub ow: usize,
    pub options: ConvOptions,
}

impl Geometry {
    /// Sizes for input `x` and weight `w`, or what does not fit.
    pub fn new(op: &'static str, x: &[usize], w: &[usize], options: ConvOptions) -> Result<Self> {
        let [n, c, h, wd] = Type::plain(x).nchw();
        let ConvOptions { stride, padding, dilation, groups, .. } = options;
        let (o, per_group, kh, kw) = match *w {
            [o, i, kh, kw] => (o, i, kh, kw),
            [o, i] => (o, i, 1, 1),
            _ => return Err(Error::shape(op, format!("expected a weight (O,C/groups,kh,kw) or (O,F), found {w:?}"))),
        };
        if stride == 0 || dilation == 0 || groups == 0 || kh == 0 || kw == 0 {
            return Err(Error::shape(
                op,
                format!("stride, dilation, groups and kernel must be at least 1: {options:?}"),
            ));
        }
        if per_group * groups != c || !o.is_multiple_of(groups) {
            return Err(Error::shape(
                op,
                format!(
                    "input {x:?} has {c} channels, but weight {w:?} with {groups} groups takes {}",
                    per_group * groups
                ),
            ));
        }
        let reach = |k: usize| dilation * (k - 1) + 1;
        if h + 2 * padding < reach(kh) || wd + 2 * padding < reach(kw) {
            return Err(Error::shape(
                op,
                format!(
                    "a {kh}x{kw} kernel with dilation {dilation} does not fit into input {x:?} with padding {padding}"
                ),
            ));
        }
        let out = |size: usize, k: usize| (size + 2 * padding - reach(k)) / stride + 1;
        Ok(Self { n, c, h, w: wd, o, kh, kw, oh: out(h, kh), ow: out(wd, kw), options })
    }

    pub fn taps(&self) -> usize {
        self.kh * self.kw
    }

    /// With one to three channels a vector of four is mostly padding, tap after tap. There the patches are gathered first
    /// (a row of c k k features per output pixel) and the convolution becomes 1x1 on those.
    fn with_patches(self, launch: &mut Launch<'_>, x: Slot) -> (Self, Slot) {
        if self.c > 3 || self.taps() == 1 || self.kh != self.kw || self.options.groups > 1 {
            return (self, x);
        }
        let ConvOptions { stride, padding, dilation, .. } = self.options;
        let rows = crate::ops::patches::covariance::gather_patches(
            launch,
            [self.n, self.c, self.h, self.w],
            self.kh,
            Sampling::Grid { step: stride, padding, dilation },
            x,
        );
        let options = ConvOptions { relu: self.options.relu, ..Default::default() };
        let features = self.c * self.taps();
        (Self { c: features, h: self.oh, w: self.ow, kh: 1, kw: 1, options, ..self }, rows)
    }

    /// Whether the kernels for such a convolution add a map: those of products and of groups do not.
    fn adds(&self, weight: &Weight) -> bool {
        self.options.groups == 1 && !pointwise::suits(self, weight)
    }

    /// Whether the adjoint is a convolution with the kernel turned around.
    fn turns(&self) -> bool {
        self.options.stride == 1 && self.kh == self.kw
    }

    /// Input coordinates under tap (u, v) of output (i, j), if inside the map.
    pub fn input_at(&self, i: usize, j: usize, u: usize, v: usize) -> Option<(usize, usize)> {
        let at = |out: usize, tap: usize, size: usize| {
            let t = (out * self.options.stride + tap * self.options.dilation).checked_sub(self.options.padding)?;
            (t < size).then_some(t)
        };
        Some((at(i, u, self.h)?, at(j, v, self.w)?))
    }
}

/// What a convolution adds to its sums, before its ReLU.
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

/// Convolution of `x` (N,C,H,W) with `weight` (O,C/groups,kh,kw) to (N,O,Ho,Wo), `Ho = floor((H + 2 padding - dilation (kh - 1) - 1) /
/// stride) + 1`, with an optional bias (O), or all that an [`Epilogue`] adds.
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
    convolve(tape, [x, weight], Weight::Rows, epilogue.into(), options)
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
    convolve(tape, [x, columns], Weight::Columns(shape.to_vec()), epilogue.into(), options)
}

fn convolve(
    tape: &mut Tape,
    [x, w]: [Var; 2],
    weight: Weight,
    Epilogue { bias, added }: Epilogue,
    options: ConvOptions,
) -> Result<Var> {
    let name = "conv2d";
    let shape = weight.shape(name, tape.ty(w), options.groups)?;
    let g = Geometry::new(name, tape.shape(x), shape, options)?;
    let inputs = [x, w].into_iter().chain(bias);
    if let Some(added) = added.filter(|_| !g.adds(&weight)) {
        let plain = ConvOptions { relu: false, ..options };
        let inputs: Vec<Var> = inputs.collect();
        let y = tape.apply1(Conv { options: plain, name, weight, added: false }, &inputs)?;
        return if options.relu { crate::ops::add_relu(tape, y, added) } else { crate::ops::add(tape, y, added) };
    }
    let inputs: Vec<Var> = inputs.chain(added).collect();
    tape.apply1(Conv { options, name, weight, added: added.is_some() }, &inputs)
}

/// `y = x weight^T + bias` of `x` (N,F), `weight` (O,F) and optional `bias` (O).
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

/// How a weight lies.
#[derive(Clone, Debug)]
pub(in crate::ops) enum Weight {
    /// Row-major.
    Rows,
    /// As columns of a weight of this shape.
    Columns(Vec<usize>),
}

impl Weight {
    /// Shape (O,C/g,kh,kw) or (O,F) of a weight of type `ty`, which is checked.
    fn shape<'a>(&'a self, op: &'static str, ty: &'a Type, groups: usize) -> Result<&'a [usize]> {
        let Self::Columns(shape) = self else { return Ok(&ty.shape) };
        let fits = groups > 0 && *ty == columns_type(shape, groups);
        if fits { Ok(shape) } else { Err(Error::shape(op, format!("{ty} are not the columns of a weight {shape:?}"))) }
    }

    pub fn lies_in_rows(&self) -> bool {
        matches!(self, Self::Rows)
    }

    /// A row-major weight as the twin needs it.
    fn rows(&self, given: &Array, groups: usize) -> Array {
        match self {
            Self::Rows => given.clone(),
            Self::Columns(shape) => rows_of(given, shape, groups),
        }
    }

    /// A row-major weight for grouped convolutions, which have no kernels for columns: those of depthwise ones would be mostly padding.
    fn launch_rows(&self, launch: &mut Launch<'_>, given: Slot, groups: usize) -> Slot {
        match self {
            Self::Rows => given,
            Self::Columns(shape) => {
                let rows = launch.scratch("rows", shape.iter().product());
                launch_rows(launch, given, (shape, groups), None, rows);
                rows
            }
        }
    }
}

#[derive(Debug)]
struct Conv {
    options: ConvOptions,
    name: &'static str,
    weight: Weight,
    /// The last input is added to the result.
    added: bool,
}

impl Conv {
    fn linear(weight: Weight) -> Self {
        Self { options: ConvOptions::default(), name: "linear", weight, added: false }
    }

    /// The bias among inputs, if there is one, and what is added.
    fn epilogue<T: Copy>(&self, inputs: &[T]) -> [Option<T>; 2] {
        match (self.added, &inputs[2..]) {
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
        let [bias, added] = self.epilogue(inputs);
        if let Some(bias) = bias.filter(|bias| bias.shape != [g.o]) {
            return Err(Error::shape(self.name, format!("expected a bias [{}], found {bias}", g.o)));
        }
        let y = Type::vec4(&if x.shape.len() == 2 { vec![g.n, g.o] } else { vec![g.n, g.o, g.oh, g.ow] });
        if let Some(added) = added {
            crate::ops::expect_same(self.name, &y, added)?;
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
        let g = Geometry::new(self.name, &x_ty.shape, weight.shape(self.name, &w_ty, options.groups)?, options)?;
        let gathered = if context.needs(0) && g.adds(&weight) { context.take(0) } else { None };
        let inputs: Vec<Var> = [gy, w].into_iter().chain(gathered).collect();
        let gx = context.when(0, ConvInputGrad { options, x: x_ty, weight: weight.clone() }, &inputs)?;
        let gw = context.when(1, ConvWeightGrad { options, w: w_ty, weight }, &[x, gy])?;
        let mut grads = vec![gx, gw];
        if let [Some(_), _] = self.epilogue(context.inputs) {
            grads.push(context.when(2, ColumnSum, &[gy])?);
        }
        if self.added {
            grads.push(Some(gy));
        }
        Ok(grads)
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let [x_ty, w_ty] = [0, 1].map(|i| launch.inputs[i]);
        let groups = self.options.groups;
        let shape = self.weight.shape(self.name, w_ty, groups);
        let Ok(g) = shape.and_then(|w| Geometry::new(self.name, &x_ty.shape, w, self.options)) else { return };
        if groups > 1 {
            let weight = self.weight.launch_rows(launch, launch.reads[1], groups);
            return grouped::launch_forward(launch, &g, weight);
        }
        if pointwise::suits(&g, &self.weight) {
            return pointwise::launch_forward(launch, &g, self.weight.lies_in_rows());
        }
        let (g, x) = g.with_patches(launch, launch.reads[0]);
        let o4 = g.o.div_ceil(4);
        let (packed, rows) = match self.weight {
            Weight::Rows => {
                let packing = Packing {
                    rows: g.c,
                    columns: g.o,
                    taps: g.taps(),
                    row_stride: g.taps(),
                    column_stride: g.c * g.taps(),
                    flipped: false,
                };
                (pack(launch, launch.reads[1], &packing), WeightRowOrder::packed(g.c))
            }
            Weight::Columns(_) => (launch.reads[1], WeightRowOrder::columns(g.taps())),
        };
        let [bias, added] = self.epilogue(&launch.reads);
        let params = ConvParams {
            channels4: g.c.div_ceil(4) as u32,
            out_height: g.oh as u32,
            out_width: g.ow as u32,
            outputs4: o4 as u32,
            pixels: (g.n * g.oh * g.ow) as u32,
            has_bias: u32::from(bias.is_some()),
            has_added: u32::from(added.is_some()),
            relu: u32::from(self.options.relu),
            ..ConvParams::sizes(&g, g.h, g.w, rows, g.c)
        };
        let reads = [x, packed, bias.unwrap_or(packed), added.unwrap_or(packed)];
        let write = launch.writes[0];
        dispatch_conv(launch, &params, ("TRANSPOSED", 0), reads, write);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let weight = self.weight.rows(inputs[1], self.options.groups);
        let [bias, added] = self.epilogue(inputs);
        vec![twin_forward([inputs[0], &weight], bias, added, self.options)]
    }
}

/// Where the row of a tap and channel stands among those that a kernel loads its weight from: `tap` rows further for each tap, `channel`
/// for each channel.
#[derive(Clone, Copy)]
struct WeightRowOrder {
    tap: usize,
    channel: usize,
}

impl WeightRowOrder {
    /// As [`pack`] leaves them: tap by tap, channels filled up to whole vectors.
    fn packed(channels: usize) -> Self {
        Self { tap: channels.next_multiple_of(4), channel: 1 }
    }

    /// As columns have them: channel by channel.
    fn columns(taps: usize) -> Self {
        Self { tap: 1, channel: taps }
    }
}

impl ConvParams {
    /// `channels` are summed over.
    fn sizes(g: &Geometry, height: usize, width: usize, rows: WeightRowOrder, channels: usize) -> Self {
        Self {
            tap_rows: rows.tap as u32,
            channel_rows: rows.channel as u32,
            last_row: ((g.taps() - 1) * rows.tap + (channels - 1) * rows.channel) as u32,
            height: height as u32,
            width: width as u32,
            kernel_height: g.kh as u32,
            kernel_width: g.kw as u32,
            stride: g.options.stride as u32,
            padding: g.options.padding as u32,
            dilation: g.options.dilation as u32,
            ..Self::default()
        }
    }
}

/// How weights are packed: rows are summed over, columns are computed; strides are those in the row-major weight.
struct Packing {
    rows: usize,
    columns: usize,
    taps: usize,
    row_stride: usize,
    column_stride: usize,
    /// The last tap first.
    flipped: bool,
}

fn pack(launch: &mut Launch<'_>, weight: Slot, packing: &Packing) -> Slot {
    let Packing { rows, columns, taps, .. } = *packing;
    let (rows4, columns4) = (rows.div_ceil(4), columns.div_ceil(4));
    let blocks = taps * rows4 * columns4;
    let packed = launch.scratch("packed", blocks * 16);
    let params = PackParams {
        blocks: blocks as u32,
        taps: taps as u32,
        rows: rows as u32,
        rows4: rows4 as u32,
        columns: columns as u32,
        columns4: columns4 as u32,
        row_stride: packing.row_stride as u32,
        column_stride: packing.column_stride as u32,
        flipped: u32::from(packing.flipped),
    };
    launch.flat(Kernel::new(&PACK, 0), &params, &[weight], &[packed], blocks);
    packed
}

/// As [`pack`] for the input gradient, of columns.
fn pack_columns(launch: &mut Launch<'_>, columns: Slot, g: &Geometry, flipped: bool) -> Slot {
    let (outputs4, channels4) = (g.o.div_ceil(4), g.c.div_ceil(4));
    let blocks = g.taps() * outputs4 * channels4;
    let packed = launch.scratch("packed", blocks * 16);
    let params = PackColumnsParams {
        blocks: blocks as u32,
        taps: g.taps() as u32,
        outputs4: outputs4 as u32,
        channels: g.c as u32,
        channels4: channels4 as u32,
        flipped: u32::from(flipped),
    };
    launch.flat(Kernel::new(&PACK_COLUMNS, 0), &params, &[columns], &[packed], blocks);
    packed
}

/// Appends the kernel with a constant set; reads x, weight, bias and what is added.
fn dispatch_conv(
    launch: &mut Launch<'_>,
    params: &ConvParams,
    flag: (&'static str, u32),
    reads: [Slot; 4],
    write: Slot,
) {
    let (pixels, outputs4) = (params.pixels as usize, params.outputs4 as usize);
    let columns4 = columns_of_tile(pixels, outputs4);
    let count = |[tm, tn, lx, ly]: Tile| pixels.div_ceil(tm * ly) * outputs4.div_ceil(lx * tn);
    let Some((kernel, tile)) = CONV_TILES.choose_to_fill(launch, columns4, &[flag], count) else { return };
    let [tm, tn, lx, ly] = tile.map(|v| v as u32);
    let tiles = params.pixels.div_ceil(tm * ly);
    let rows = tiles.div_ceil(65_535).max(1);
    let grid = [tiles.div_ceil(rows), rows, params.outputs4.div_ceil(lx * tn)];
    launch.dispatch(kernel, params, &reads, &[write], grid);
}

/// `gx = conv_transpose(gy, w)`, shape of `x`, added to what a third input has gathered.
#[derive(Debug)]
struct ConvInputGrad {
    options: ConvOptions,
    x: Type,
    weight: Weight,
}

impl Op for ConvInputGrad {
    fn name(&self) -> &'static str {
        "conv2d_input_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.x.clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let groups = self.options.groups;
        let shape = self.weight.shape(self.name(), launch.inputs[1], groups);
        let Ok(g) = shape.and_then(|w| Geometry::new(self.name(), &self.x.shape, w, self.options)) else { return };
        if groups > 1 {
            let weight = self.weight.launch_rows(launch, launch.reads[1], groups);
            return grouped::launch_input_grad(launch, &g, weight);
        }
        if pointwise::suits(&g, &self.weight) {
            return pointwise::launch_input_grad(launch, &g, self.weight.lies_in_rows());
        }
        // At stride 1 the adjoint is a convolution with the kernel turned around: one kernel less to compile. A padding that would be
        // negative wraps, and wraps back in the kernel.
        let plain = g.turns();
        let reach = (g.options.dilation * (g.kh - 1)) as u32;
        let packed = match self.weight {
            Weight::Rows => {
                let packing = Packing {
                    rows: g.o,
                    columns: g.c,
                    taps: g.taps(),
                    row_stride: g.c * g.taps(),
                    column_stride: g.taps(),
                    flipped: plain,
                };
                pack(launch, launch.reads[1], &packing)
            }
            Weight::Columns(_) => pack_columns(launch, launch.reads[1], &g, plain),
        };
        let padding = g.options.padding as u32;
        let gathered = launch.reads.get(2).copied();
        let params = ConvParams {
            padding: if plain { reach.wrapping_sub(padding) } else { padding },
            channels4: g.o.div_ceil(4) as u32,
            out_height: g.h as u32,
            out_width: g.w as u32,
            outputs4: g.c.div_ceil(4) as u32,
            pixels: (g.n * g.h * g.w) as u32,
            has_added: u32::from(gathered.is_some()),
            ..ConvParams::sizes(&g, g.oh, g.ow, WeightRowOrder::packed(g.o), g.o)
        };
        let reads = [launch.reads[0], packed, packed, gathered.unwrap_or(packed)];
        let write = launch.writes[0];
        dispatch_conv(launch, &params, ("TRANSPOSED", u32::from(!plain)), reads, write);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let weight = self.weight.rows(inputs[1], self.options.groups);
        let gx = twin_input_grad(inputs[0], &weight, &self.x.shape, self.options);
        vec![inputs.get(2).map_or_else(|| gx.clone(), |gathered| gx.zip(gathered, |a, b| a + b))]
    }
}

/// `gw[o,c,u,v] = sum over positions of x gy`, of type `w`.
#[derive(Debug)]
struct ConvWeightGrad {
    options: ConvOptions,
    w: Type,
    weight: Weight,
}

impl Op for ConvWeightGrad {
    fn name(&self) -> &'static str {
        "conv2d_weight_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.w.clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (groups, write) = (self.options.groups, launch.writes[0]);
        let x_ty = launch.inputs[0];
        let shape = self.weight.shape(self.name(), &self.w, groups);
        let Ok(g) = shape.and_then(|w| Geometry::new(self.name(), &x_ty.shape, w, self.options)) else { return };
        if groups > 1 {
            let Weight::Columns(shape) = &self.weight else {
                return grouped::launch_weight_grad(launch, &g, write);
            };
            let rows = launch.scratch("rows", shape.iter().product());
            grouped::launch_weight_grad(launch, &g, rows);
            return launch_columns(launch, rows, shape, groups, write);
        }
        if pointwise::suits(&g, &self.weight) {
            return pointwise::launch_weight_grad(launch, &g, self.weight.lies_in_rows());
        }
        let (g, x) = g.with_patches(launch, launch.reads[0]);
        let (c4, o4, pixels) = (g.c.div_ceil(4), g.o.div_ceil(4), g.n * g.oh * g.ow);
        let Some((kernel, [tm, tn, lx, ly])) = WEIGHT_GRAD_TILES.choose(launch, columns_of_tile(pixels, o4), &[])
        else {
            return;
        };
        let grid = [o4.div_ceil(lx * tn), (g.taps() * c4).div_ceil(ly * tm)];
        let wanted = if launch.profile.software { 64 } else { 2048 };
        let least = if launch.profile.software { pixels.div_ceil(cached_pixels(o4)) } else { 1 };
        let pixels_per_split = pixels.div_ceil((wanted / (grid[0] * grid[1])).clamp(least, pixels.div_ceil(16)));
        let splits = pixels.div_ceil(pixels_per_split);
        let columns = matches!(self.weight, Weight::Columns(_));
        let rows = g.taps() * g.c;
        // A sum of one part is already what columns are.
        let whole = columns && splits == 1;
        let partial = if whole { write } else { launch.scratch("partial", splits * rows * o4 * 4) };
        let params = WeightGradParams {
            height: g.h as u32,
            width: g.w as u32,
            channels4: c4 as u32,
            out_height: g.oh as u32,
            out_width: g.ow as u32,
            outputs4: o4 as u32,
            kernel_width: g.kw as u32,
            stride: g.options.stride as u32,
            padding: g.options.padding as u32,
            dilation: g.options.dilation as u32,
            taps: g.taps() as u32,
            pixels: pixels as u32,
            pixels_per_split: pixels_per_split as u32,
            channels: g.c as u32,
        };
        let reads = [x, launch.reads[1]];
        let grid = [grid[0] as u32, grid[1] as u32, splits as u32];
        launch.dispatch(kernel, &params, &reads, &[partial], grid);
        if !columns {
            launch_rows_of_sum(launch, (partial, splits), (&[g.o, rows], 1), None, write);
        } else if !whole {
            launch_single_sum(launch, [splits, rows * o4], partial, write);
        }
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let groups = self.options.groups;
        vec![match &self.weight {
            Weight::Rows => twin_weight_grad(inputs[0], inputs[1], &self.w.shape, self.options),
            Weight::Columns(shape) => columns_of(&twin_weight_grad(inputs[0], inputs[1], shape, self.options), groups),
        }]
    }
}

/// Calls `visit(x index, w index, y index)` for every product of the convolution.
fn products(g: &Geometry, mut visit: impl FnMut(usize, usize, usize)) {
    let (per_group, outs) = (g.c / g.options.groups, g.o / g.options.groups);
    for (n, o, i, j) in indices4(g.n, g.o, g.oh, g.ow) {
        let y = ((n * g.o + o) * g.oh + i) * g.ow + j;
        for u in 0..g.kh {
            for v in 0..g.kw {
                let Some((h, w)) = g.input_at(i, j, u, v) else { continue };
                for c in 0..per_group {
                    let channel = o / outs * per_group + c;
                    let x = ((n * g.c + channel) * g.h + h) * g.w + w;
                    visit(x, ((o * per_group + c) * g.kh + u) * g.kw + v, y);
                }
            }
        }
    }
}

fn indices4(a: usize, b: usize, c: usize, d: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..a * b * c * d).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
}

/// The twin's sizes; a launch has been type-checked, so they exist.
fn twin_geometry(x: &[usize], w: &[usize], options: ConvOptions) -> Geometry {
    Geometry::new("conv2d", x, w, options).unwrap_or_else(|e| unreachable!("checked by infer: {e}"))
}

fn twin_forward([x, w]: [&Array; 2], bias: Option<&Array>, added: Option<&Array>, options: ConvOptions) -> Array {
    let g = twin_geometry(&x.shape, &w.shape, options);
    let shape = if x.shape.len() == 2 { vec![g.n, g.o] } else { vec![g.n, g.o, g.oh, g.ow] };
    let mut y = Array::zeros(&shape);
    if let Some(bias) = bias {
        for (i, v) in y.data.iter_mut().enumerate() {
            *v = bias.data[i / (g.oh * g.ow) % g.o];
        }
    }
    products(&g, |xi, wi, yi| y.data[yi] += x.data[xi] * w.data[wi]);
    let y = match added {
        Some(added) => y.zip(added, |sum, other| sum + other),
        None => y,
    };
    if options.relu { y.map(crate::ops::pointwise::unary::relu_of) } else { y }
}

pub(in crate::ops) fn twin_input_grad(gy: &Array, w: &Array, x: &[usize], options: ConvOptions) -> Array {
    let mut gx = Array::zeros(x);
    products(&twin_geometry(x, &w.shape, options), |xi, wi, yi| gx.data[xi] += gy.data[yi] * w.data[wi]);
    gx
}

pub(in crate::ops) fn twin_weight_grad(x: &Array, gy: &Array, w: &[usize], options: ConvOptions) -> Array {
    let mut gw = Array::zeros(w);
    products(&twin_geometry(&x.shape, w, options), |xi, wi, yi| gw.data[wi] += x.data[xi] * gy.data[yi]);
    gw
}
