//! Patches less their mean, times D: what a deconvolution sees (method, section 6), for batches of so few positions
//! that this is less work than D times the weight.
//!
//! `y = (X - 1 mean^T) D^T`, `gX = gY D`, `gD = gY^T X - v mean^T`, `g_mean = -v D` with `v = 1^T gY`. Where there are kernels for strata
//! (`strata.rs`), zeros of patches at the border are passed over in all three products: a sixth of the work on maps of 8 x 8, five ninths on those of 2 x 2 (kernel
//! 3, padding 1).

use super::blocks::{BlockLayout, RowGeometry, Sampling};
use super::column_sum::launch_column_sum;
use super::covariance::{fold_rows, folded, sample_rows};
use super::fold_weight::launch_add_outer;
use super::matmul::{Product, matmul_nt, product};
use super::row_mean::center_rows;
use super::strata::{Order, Strata, StrataProduct, Target};
use super::strata_covariance::FoldStrata;
use super::transpose::transposed;
use super::turn_pixels::turn_pixels;
use crate::Result;
use crate::gpu::Family;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};

/// Whitened patches as a map with a channel for each feature, one pixel for each position.
#[derive(Clone, Copy, Debug)]
pub struct WhitePatches {
    /// (N,F,h,w), or with its [pixels turned](turn_pixels).
    pub map: Var,
    /// Height and width of the map of positions.
    size: [usize; 2],
    turned: bool,
}

impl WhitePatches {
    fn is_turned(&self) -> bool {
        // No page has strata, so none downloads what turns.
        Family::IN_SUBGROUPS && self.turned
    }

    /// An activation (N,C,h,w) in the order of the map.
    ///
    /// # Errors
    /// The shape does not fit.
    pub fn order(&self, tape: &mut Tape, x: Var) -> Result<Var> {
        let [n, c, h, w] = tape.ty(x).nchw();
        if self.is_turned() { turn_pixels(tape, x, [h * w, c, 1, n]) } else { Ok(x) }
    }

    /// An activation in the order of the map as (N,C,h,w).
    ///
    /// # Errors
    /// The shape does not fit.
    pub fn restore(&self, tape: &mut Tape, y: Var) -> Result<Var> {
        let [_, c, h, w] = tape.ty(y).nchw();
        if self.is_turned() { turn_pixels(tape, y, [h * w, c, self.size[0], self.size[1]]) } else { Ok(y) }
    }
}

/// The share of the multiply-adds of [`whiten_patches`] that are done: what lies on the map, where zeros are passed over.
pub fn whitening_share(tape: &Tape, x: Var, layout: BlockLayout, patches: Sampling) -> f64 {
    Strata::of(tape.profile(), tape.ty(x), layout, patches).map_or(1.0, |strata| strata.seen(1))
}

/// The patches of `x` (N,C,H,W), less the mean (S,d), times D (S,d,d), block by block. R d^2 multiply-adds for R rows in all blocks, less
/// [what is passed over](whitening_share).
///
/// # Errors
/// The input does not have the layout's channels, no patch fits, or D or the mean do not.
pub fn whiten_patches(
    tape: &mut Tape,
    x: Var,
    [deconv, mean]: [Var; 2],
    layout: BlockLayout,
    patches: Sampling,
) -> Result<WhitePatches> {
    let strata = Strata::of(tape.profile(), tape.ty(x), layout, patches);
    if let Some(strata) = strata.filter(|strata| strata.seen(1) < 1.0) {
        let rows = tape.apply1(SampleStrata(strata), &[x])?;
        let map = tape.apply1(Whiten(strata), &[rows, deconv, mean])?;
        return Ok(WhitePatches { map, size: strata.map(), turned: true });
    }
    let rows = sample_rows(tape, x, layout, patches)?;
    let RowGeometry { oh, ow, .. } = RowGeometry::new("whiten_patches", tape.ty(x).nchw(), layout, patches)?;
    let centered = center_rows(tape, rows, mean)?;
    let white = matmul_nt(tape, centered, deconv)?;
    let [n, ..] = tape.ty(x).nchw();
    let map = fold_rows(tape, white, Type::vec4(&[n, layout.features(), oh, ow]), flat(layout), EACH)?;
    Ok(WhitePatches { map, size: [oh, ow], turned: false })
}

/// The cut of a map with a channel for each of the layout's features.
fn flat(layout: BlockLayout) -> BlockLayout {
    BlockLayout { channels: layout.features(), kernel: 1, ..layout }
}

/// Every pixel of such a map.
const EACH: Sampling = Sampling::Pixels { step: 1 };

/// Patches as rows in strata, not centred.
#[derive(Debug)]
struct SampleStrata(Strata);

impl Op for SampleStrata {
    fn name(&self) -> &'static str {
        "sample_rows"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.0.rows_type()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        if !context.needs(0) {
            return Ok(vec![None]);
        }
        let (strata, x) = (self.0, context.tape.ty(context.inputs[0]).clone());
        context.last(0, vec![grad], move |masked| FoldStrata { strata, x, masked });
        Ok(vec![None])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (x, rows) = (launch.reads[0], launch.writes[0]);
        let means = launch.scratch("means", self.0.count() * self.0.entries());
        self.0.gather(launch, false, x, [rows, means]);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let data = self.0.sources().map(|at| at.map_or(0.0, |at| inputs[0].data[at])).collect();
        vec![Array { shape: self.0.rows_type().shape, data }]
    }
}

/// `(X - 1 mean^T) D^T` of rows X in strata as a map with its pixels turned; inputs X, D, mean.
#[derive(Debug)]
struct Whiten(Strata);

impl Whiten {
    fn map(&self) -> Type {
        let Strata(g) = self.0;
        Type::vec4(&[self.0.positions(), g.layout.features(), 1, g.n])
    }
}

impl Op for Whiten {
    fn name(&self) -> &'static str {
        "whiten"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.map()])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let (grad, [rows, deconv, mean]) = (context.grad(0)?, [0, 1, 2].map(|i| context.inputs[i]));
        let grad = sample_rows(context.tape, grad, flat(self.0.0.layout), EACH)?;
        let g_rows = context.when(0, WhitenRowsGrad(self.0), &[grad, deconv])?;
        if !context.needs(1) && !context.needs(2) {
            return Ok(vec![g_rows, None, None]);
        }
        let grads = context.tape.apply(WhitenStatisticsGrad(self.0), &[rows, grad, deconv, mean])?;
        Ok(vec![g_rows, Some(grads[0]), Some(grads[1])])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (strata, d) = (self.0, self.0.entries());
        let ([rows, deconv, mean], white) = ([0, 1, 2].map(|i| launch.reads[i]), launch.writes[0]);
        let [turned, u] = [d * d, d].map(|elements| launch.scratch("turned", elements));
        strata.order(launch, d, Order { rows: true, turned: true, ..Order::default() }, [deconv, turned]);
        Product { alpha: -1.0, turned: true, ..Product::new(mean, deconv) }.launch(launch, [1, 1, d, d], u);
        let product = StrataProduct { of_rows: true, row: Some(u), to: Target::Features, ..StrataProduct::default() };
        strata.product(launch, product, [rows, turned], white);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let (strata, d) = (self.0, self.0.entries());
        let (rows, mut centered) = (inputs[0], inputs[0].clone());
        for (at, v) in rows.data.iter().enumerate() {
            let entry = strata.entry(at % d);
            centered.data[at / d * d + entry] = v - inputs[2].data[entry];
        }
        let white = product(&centered, &transposed(inputs[1]));
        let (map, Strata(g)) = (self.map(), strata);
        let sources = RowGeometry::new(self.name(), map.nchw(), flat(g.layout), EACH).map_or(vec![], |g| g.sources());
        folded(&map, sources.into_iter(), false, &[&white])
    }
}

/// `gX = gY D` as far as it is seen; inputs gY, D.
#[derive(Debug)]
struct WhitenRowsGrad(Strata);

impl Op for WhitenRowsGrad {
    fn name(&self) -> &'static str {
        "whiten_grad"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (strata, d) = (self.0, self.0.entries());
        let ([grad, deconv], g_rows) = ([0, 1].map(|i| launch.reads[i]), launch.writes[0]);
        let ordered = launch.scratch("ordered", d * d);
        strata.order(launch, d, Order { columns: true, ..Order::default() }, [deconv, ordered]);
        let product = StrataProduct { of_columns: true, ..StrataProduct::default() };
        strata.product(launch, product, [grad, ordered], g_rows);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let (strata, d) = (self.0, self.0.entries());
        let g = product(inputs[0], inputs[1]);
        let data = (0..g.data.len()).map(|at| g.data[at / d * d + strata.entry(at % d)]).collect();
        vec![Array { shape: g.shape.clone(), data }]
    }
}

/// `gD = gY^T X - v mean^T` and `g_mean = -v D` with `v = 1^T gY`; inputs X, gY, D, mean.
#[derive(Debug)]
struct WhitenStatisticsGrad(Strata);

impl Op for WhitenStatisticsGrad {
    fn name(&self) -> &'static str {
        "whiten_grad"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[2].clone(), inputs[3].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (strata, d) = (self.0, self.0.entries());
        let ([rows, grad, deconv, mean], [g_deconv, g_mean]) =
            ([0, 1, 2, 3].map(|i| launch.reads[i]), [0, 1].map(|i| launch.writes[i]));
        let [less, gram, products] = [d, d * d, d * d].map(|elements| launch.scratch("products", elements));
        let shape = [1, launch.inputs[0].shape[1], d / 4];
        launch_column_sum(launch, shape, -1.0, grad, less);
        strata.gram(launch, 0, [1.0, 0.0], [rows, grad], gram);
        let back = Order { columns: true, turned: true, back: true, ..Order::default() };
        strata.order(launch, d, back, [gram, products]);
        launch_add_outer(launch, [1, d], [products, less, mean], g_deconv);
        Product::new(less, deconv).launch(launch, [1, 1, d, d], g_mean);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let (strata, d) = (self.0, self.0.entries());
        let [rows, grad, deconv, mean] = [0, 1, 2, 3].map(|i| inputs[i]);
        let mut less = Array::zeros(&[1, 1, d]);
        grad.data.iter().enumerate().for_each(|(at, v)| less.data[at % d] -= v);
        let products = product(&transposed(grad), rows);
        let mut g_deconv = Array::zeros(&[1, d, d]);
        for (at, v) in products.data.iter().enumerate() {
            let (o, i) = (at / d, strata.entry(at % d));
            g_deconv.data[o * d + i] = v + less.data[o] * mean.data[i];
        }
        vec![g_deconv, Array { shape: vec![1, d], data: product(&less, deconv).data }]
    }
}
