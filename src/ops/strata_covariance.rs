//! Mean and covariance of patches in strata (`strata.rs`), and their gradient: what `covariance.rs` does for all rows.

use super::column_sum::{launch_column_sum, launch_shifted_sum};
use super::covariance::{Centring, fold_gradient, fold_strata, folded};
use super::matmul::{Product, product};
use super::strata::{Order, Strata, StrataProduct, Target};
use super::transpose::transposed;
use crate::Result;
use crate::tape::{Array, Backward, Launch, Op, Type, Var};

/// Mean and covariance, in the order of the block, then rows of strata followed by those between strata, and the latter again.
#[derive(Debug)]
pub(super) struct StrataCovariance {
    pub strata: Strata,
    pub eps: f32,
}

impl Op for StrataCovariance {
    fn name(&self) -> &'static str {
        "covariance"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        let Strata(g) = self.strata;
        let (d, strata) = (g.layout.d, self.strata.count());
        let shapes: [&[usize]; 4] = [&[1, d], &[1, d, d], &[1, g.rows + strata, d], &[1, strata, d]];
        Ok(shapes.map(Type::vec4).to_vec())
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        if !context.needs(0) {
            return Ok(vec![None]);
        }
        let ty = context.tape.ty(context.outputs[1]).clone();
        let [g_mean, g_cov] = [0, 1].map(|i| context.grads[i]);
        let g_cov = g_cov.map_or_else(|| super::constant(context.tape, ty, 0.0), Ok)?;
        let inputs: Vec<Var> = [context.outputs[2], context.outputs[3], g_cov].into_iter().chain(g_mean).collect();
        let (strata, x) = (self.strata, context.tape.ty(context.inputs[0]).clone());
        // What others have gathered is added when rows are folded, unless something is added later still.
        if strata.make_up_map() && context.has_last(0) && !context.has_gathered(0) {
            let grad = StrataCovarianceGrad { strata, map: Some(x) };
            return Ok(vec![Some(context.tape.apply1(grad, &inputs)?)]);
        }
        let g_rows = context.tape.apply1(StrataCovarianceGrad { strata, map: None }, &inputs)?;
        fold_gradient(context, g_rows, |masked| FoldStrata { strata, x, masked })
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let strata @ Strata(g) = self.strata;
        let (count, d4) = (strata.count(), strata.d4());
        let (x, [mean, cov, rows, between]) = (launch.reads[0], [0, 1, 2, 3].map(|i| launch.writes[i]));
        let [means, center, rest] = [count, 1, 1].map(|rows| launch.scratch("means", rows * g.layout.d));
        strata.gather(launch, true, x, [rows, means]);
        let (shape, share) = ([1, count, d4], 1.0 / count as f32);
        launch_column_sum(launch, shape, share, means, center);
        launch_shifted_sum(launch, shape, share, means, Some(center), rest);
        let scale = (g.n as f32).sqrt();
        for (offset, to) in [(g.rows, rows), (0, between)] {
            Centring { shape, offset, scale }.launch(launch, [means, center, rest], to);
        }
        let back = Order { columns: true, back: true, ..Order::default() };
        strata.order(launch, 1, back, [center, mean]);
        let d = g.layout.d;
        let ordered = launch.scratch("ordered", d * d);
        strata.gram(launch, count, [1.0 / g.rows as f32, self.eps], [rows, rows], ordered);
        strata.order(launch, d, Order { rows: true, ..back }, [ordered, cov]);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let strata @ Strata(g) = self.strata;
        let (d, count) = (g.layout.d, strata.count());
        let mut rows: Vec<f64> = strata.sources().map(|at| at.map_or(0.0, |at| inputs[0].data[at])).collect();
        let mut means = vec![0.0; count * d];
        rows.iter().enumerate().for_each(|(i, v)| means[i / (g.n * d) * d + i % d] += v / g.n as f64);
        let mut center = vec![0.0; d];
        means.iter().enumerate().for_each(|(i, v)| center[i % d] += v / count as f64);
        rows.iter_mut().enumerate().for_each(|(i, v)| *v -= means[i / (g.n * d) * d + i % d]);
        let scale = (g.n as f64).sqrt();
        let between: Vec<f64> = means.iter().enumerate().map(|(i, v)| scale * (v - center[i % d])).collect();
        rows.extend(&between);
        let rows = Array { shape: vec![1, g.rows + count, d], data: rows };
        let ordered = product(&transposed(&rows), &rows);
        let (mut mean, mut cov) = (Array::zeros(&[1, d]), Array::zeros(&[1, d, d]));
        for (i, center) in center.iter().enumerate() {
            let at = strata.entry(i);
            mean.data[at] = *center;
            for j in 0..d {
                cov.data[at * d + strata.entry(j)] = ordered.data[i * d + j] / g.rows as f64;
            }
            cov.data[at * d + at] += f64::from(self.eps);
        }
        vec![mean, cov, rows, Array { shape: vec![1, count, d], data: between }]
    }
}

/// The gradient of rows of strata as far as they are seen, from rows, rows between strata, and the gradients of their covariance and, where
/// there is a fourth input, their mean: `(x (g + g^T) + w (g + g^T) + g_mean) / R`.
#[derive(Debug)]
struct StrataCovarianceGrad {
    strata: Strata,
    /// The type of the map, where [that is what they make up](Strata::make_up_map).
    map: Option<Type>,
}

impl Op for StrataCovarianceGrad {
    fn name(&self) -> &'static str {
        "covariance_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.map.clone().unwrap_or_else(|| self.strata.rows_type())])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let strata @ Strata(g) = self.strata;
        let (d, count) = (g.layout.d, strata.count());
        let ([rows, between, g_cov], out) = ([0, 1, 2].map(|i| launch.reads[i]), launch.writes[0]);
        let symmetric = launch.scratch("symmetric", d * d);
        let order = Order { columns: true, ..Order::default() };
        strata.order(launch, d, Order { rows: true, both: true, ..order }, [g_cov, symmetric]);
        let share = 1.0 / g.rows as f32;
        let added = launch.reads.get(3).copied().map(|g_mean| {
            let ordered = launch.scratch("g_mean", d);
            strata.order(launch, 1, order, [g_mean, ordered]);
            (ordered, share)
        });
        let shift = launch.scratch("shift", count * d);
        let alpha = share / (g.n as f32).sqrt();
        Product { alpha, added, ..Product::new(between, symmetric) }.launch(launch, [1, count, d, d], shift);
        let to = if self.map.is_some() { Target::Pixels } else { Target::Rows };
        let seen =
            StrataProduct { alpha: share, of_rows: true, of_columns: true, row: Some(shift), row_each: true, to };
        strata.product(launch, seen, [rows, symmetric], out);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        let strata @ Strata(g) = self.strata;
        let (d, count) = (g.layout.d, strata.count());
        let mut symmetric = Array::zeros(&[1, d, d]);
        for i in 0..d {
            for j in 0..d {
                let (from, to) = (strata.entry(i), strata.entry(j));
                symmetric.data[i * d + j] = inputs[2].data[from * d + to] + inputs[2].data[to * d + from];
            }
        }
        let within = Array { shape: vec![1, g.rows, d], data: inputs[0].data[..g.rows * d].to_vec() };
        let (within, between) = (product(&within, &symmetric), product(inputs[1], &symmetric));
        let data = within.data.iter().enumerate().map(|(i, v)| {
            let shift = between.data[i / (g.n * d) % count * d + i % d] / (g.n as f64).sqrt();
            let g_mean = inputs.get(3).map_or(0.0, |g_mean| g_mean.data[strata.entry(i % d)]);
            (v + shift + g_mean) / g.rows as f64
        });
        let rows = Array { shape: vec![1, g.rows, d], data: data.collect() };
        match &self.map {
            Some(map) => folded(map, strata.sources(), false, &[&rows]),
            None => vec![rows],
        }
    }
}

/// `x = fold(rows)` of rows of strata, added to what a second input has gathered there, and zero where the last one is not above 0.
#[derive(Debug)]
pub(super) struct FoldStrata {
    pub strata: Strata,
    pub x: Type,
    pub masked: bool,
}

impl Op for FoldStrata {
    fn name(&self) -> &'static str {
        "fold_rows"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.x.clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        fold_strata(launch, self.masked, &self.strata.0);
    }

    fn twin(&self, inputs: &[&Array]) -> Vec<Array> {
        folded(&self.x, self.strata.sources(), self.masked, inputs)
    }
}
