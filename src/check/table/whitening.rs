//! Products, patches, covariances, Newton-Schulz iterations, and what deconvolved layers are made of.

use super::super::Sizes;
use super::cases::*;
use super::{Operation, op};
use crate::nn::{Forward, IterNorm, Mode, Module, Whitening};
use crate::ops::{self, BlockLayout, ConvOptions};
use crate::tape::Type;

pub(super) const OPERATIONS: &[Operation] = &[
    op("matmul", |b, s| {
        let (x, y) = (b.activation(&[s.n, s.h, s.c])?, b.activation(&[s.n, s.c, s.o])?);
        Ok(vec![ops::matmul(&mut b.tape, x, y)?])
    })
    .at(matrix_corners),
    op("matmul_nt", |b, s| {
        let (x, y) = (b.activation(&[s.n, s.h, s.c])?, b.activation(&[s.n, s.o, s.c])?);
        Ok(vec![ops::matmul_nt(&mut b.tape, x, y)?])
    })
    .at(matrix_corners),
    op("gram of wide", |b, s| {
        let (x, y) = (b.activation(&[s.n, s.h, s.c])?, b.activation(&[s.n, s.h, s.h + s.o])?);
        Ok(vec![ops::gram(&mut b.tape, x, y)?])
    })
    .at(matrix_corners),
    op("gram", |b, s| {
        // More rows than columns: sums in parts.
        let rows = 4 * s.h * s.w;
        let (x, y) = (b.activation(&[s.n, rows, s.c])?, b.activation(&[s.n, rows, s.o])?);
        Ok(vec![ops::gram(&mut b.tape, x, y)?])
    })
    .at(matrix_corners),
    op("transpose", |b, s| {
        let x = b.activation(&[s.n, s.c, s.o])?;
        Ok(vec![ops::transpose(&mut b.tape, x)?])
    }),
    op("im2col_blocks", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let (layout, sampling) = s.layout(1)?;
        Ok(vec![ops::im2col_blocks(&mut b.tape, x, layout, sampling)?])
    })
    .at(block_corners),
    op("col2im_blocks", |b, s| {
        let shape = s.map_for_kernel(s.c, s.dilation);
        let x = b.activation(&shape)?;
        let (layout, sampling) = s.layout(1)?;
        let rows = ops::im2col_blocks(&mut b.tape, x, layout, sampling)?;
        Ok(vec![ops::col2im_blocks(&mut b.tape, rows, Type::vec4(&shape), layout, sampling)?])
    })
    .at(block_corners),
    op("covariance", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let (layout, sampling) = s.layout(1)?;
        let found = ops::covariance(&mut b.tape, x, layout, sampling, 1e-2)?;
        Ok(vec![found.covariance, found.mean])
    })
    .at(block_corners),
    op("max_pool2d of a ReLU", |b, s| {
        let x = b.scaled(&s.map_for_window(), 100.0)?;
        let x = ops::relu(&mut b.tape, x)?;
        ops::max_pool2d(&mut b.tape, x, s.k, s.stride, s.window_padding()).map(|y| vec![y])
    })
    .at(|| {
        // Row 127 of column 1 lies below the only window; as its tap it would be 127 * 2 + 1 = 255, which says that
        // there is no winner.
        let apart = Sizes { c: 33, h: 128, w: 2, k: 2, stride: 128, padding: 0, ..Sizes::SMALL };
        [window_corners(), vec![apart]].concat()
    }),
    op("covariance of a ReLU", |b, s| {
        let (x, [covariance, mean], _) = covariance_of_relu(b, s)?;
        // What others have gathered is masked once, with what is folded.
        Ok(vec![covariance, mean, ops::sigmoid(&mut b.tape, x)?])
    })
    .at(block_corners),
    op("covariance and conv2d of a ReLU", |b, s| {
        let (x, [covariance, mean], _) = covariance_of_relu(b, s)?;
        let w = b.leaf(&[s.o, s.c, s.k, s.k]);
        let options = ConvOptions { stride: 1, ..s.conv_options(1) };
        Ok(vec![covariance, mean, ops::conv2d(&mut b.tape, x, w, None, options)?])
    })
    .at(block_corners),
    op("covariance of groups", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c * s.groups, s.dilation))?;
        let (layout, sampling) = s.layout(s.groups)?;
        let found = ops::covariance(&mut b.tape, x, layout, sampling, 1e-2)?;
        Ok(vec![found.covariance, found.mean])
    }),
    op("newton_schulz", |b, s| {
        let a = b.positive_definite(s.n, s.c)?;
        Ok(vec![ops::newton_schulz(&mut b.tape, a, iterations(s))?])
    })
    .within(1e-3)
    .at(|| {
        let sides = [1, 9, 19, 36, 37, 65, 126, 210].into_iter().flat_map(|c| [0, 2].map(|choice| (c, choice)));
        let numbers = [1, 4, 5, 6, 7].into_iter().map(|choice| (42, choice));
        let fitted = [(259, 0)];
        let all = sides.chain(numbers).chain(fitted);
        all.map(|(c, choice)| Sizes { c, choice, n: 1 + c % 2, ..Sizes::SMALL }).collect()
    }),
    op("newton_schulz_converged", |b, s| {
        let a = b.positive_definite(s.n, s.c)?;
        Ok(vec![ops::newton_schulz_converged(&mut b.tape, a, [0.1, 1e-2, 1e-3][s.choice % 3])?])
    })
    .within(1e-3),
    op("newton_schulz_all", |b, s| {
        let a = b.positive_definite(s.n, s.c)?;
        let all = ops::newton_schulz_all(&mut b.tape, a, iterations(s))?;
        b.observed.push(all.z[all.z.len() - 1]);
        Ok(vec![all.deconv])
    })
    .within(1e-3)
    .at(|| {
        let sides = [1, 9, 19, 35, 37].into_iter().flat_map(|c| [0, 2].map(|choice| (c, choice)));
        sides.map(|(c, choice)| Sizes { c, choice, n: 1 + c % 2, ..Sizes::SMALL }).collect()
    }),
    op("newton_schulz_uncoupled", |b, s| {
        let a = b.positive_definite(s.n, s.c)?;
        ops::newton_schulz_uncoupled(&mut b.tape, a, 3)
    })
    .within(1e-3),
    op("iter_norm", |b, s| {
        let x = b.activation(&[s.n + 1, s.c, s.h, s.w])?;
        let (block, iterations) = ([1, 2, 3, 64][s.choice % 4], iterations(s));
        let whitening = Whitening { block, iterations, eps: 1e-2, ..Whitening::default() };
        let norm = IterNorm::new(&mut b.state, "norm", s.c, whitening)?;
        Ok(vec![norm.forward(&mut Forward { tape: &mut b.tape, state: &b.state, mode: Mode::Train }, x)?])
    })
    .within(1e-3)
    .at(block_corners),
    op("weight_columns", |b, s| {
        let w = b.leaf(&[s.o * s.groups, s.c, s.k, s.k]);
        Ok(vec![ops::weight_columns(&mut b.tape, w, s.groups)?])
    })
    .at(block_corners),
    op("weight_columns and back", |b, s| {
        let shape = [s.o * s.groups, s.c, s.k, s.k];
        let w = b.leaf(&shape);
        let columns = ops::weight_columns(&mut b.tape, w, s.groups)?;
        Ok(vec![ops::weight_rows(&mut b.tape, columns, &shape, s.groups)?])
    })
    .at(block_corners),
    op("conv2d_columns", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let (w, bias) = (b.leaf(&[s.o, s.c, s.k, s.k]), b.leaf(&[s.o]));
        on_columns(b, s, x, w, bias, 1)
    })
    .at(channel_corners),
    op("conv2d_columns of one tap", |b, s| {
        let (x, w, bias) = (b.activation(&s.map())?, b.leaf(&[s.o, s.c, 1, 1]), b.leaf(&[s.o]));
        on_columns(b, Sizes { stride: 1, padding: 0, ..s }, x, w, bias, 1)
    })
    .at(pixel_corners),
    op("conv2d_columns of groups", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c * s.groups, s.dilation))?;
        let (w, bias) = (b.leaf(&[s.o * s.groups, s.c, s.k, s.k]), b.leaf(&[s.o * s.groups]));
        on_columns(b, s, x, w, bias, s.groups)
    }),
    op("linear_columns", |b, s| {
        let (x, w, bias) = (b.activation(&[s.n, s.c])?, b.leaf(&[s.o, s.c]), b.leaf(&[s.o]));
        let columns = ops::weight_columns(&mut b.tape, w, 1)?;
        Ok(vec![ops::linear_columns(&mut b.tape, x, columns, &[s.o, s.c], Some(bias))?])
    }),
    op("conv2d_centered", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let (w, bias) = (b.leaf(&[s.o, s.c, s.k, s.k]), b.leaf(&[s.o]));
        centered(b, s, x, w, Some(bias), 1)
    })
    .at(channel_corners),
    op("conv2d_centered of one tap", |b, s| {
        let (x, w) = (b.activation(&s.map())?, b.leaf(&[s.o, s.c, 1, 1]));
        centered(b, Sizes { stride: 1, padding: 0, ..s }, x, w, None, 1)
    })
    .at(pixel_corners),
    op("conv2d_centered in groups", |b, s| {
        let (inputs, outputs) = ([1, 2, 3, 4][s.choice % 4], [1, 2, 3, 4][s.choice / 3]);
        let x = b.activation(&s.map_for_kernel(inputs * s.groups, s.dilation))?;
        let (w, bias) = (b.leaf(&[outputs * s.groups, inputs, s.k, s.k]), b.leaf(&[outputs * s.groups]));
        centered(b, s, x, w, Some(bias), s.groups)
    }),
    op("conv2d_centered in groups of whole vectors", |b, s| {
        let groups = s.groups + 1;
        let x = b.activation(&s.map_for_kernel(4 * groups, s.dilation))?;
        let w = b.leaf(&[8 * groups, 4, s.k, s.k]);
        centered(b, s, x, w, None, groups)
    }),
    op("conv2d_centered of single channels", |b, s| {
        let s = Sizes { k: [3, 5][s.choice % 2], stride: 1, dilation: 1, ..s };
        let (x, w) = (b.activation(&s.map_for_kernel(s.c, 1))?, b.leaf(&[s.c, 1, s.k, s.k]));
        centered(b, s, x, w, None, s.c)
    }),
    op("shifted_bias", |b, s| {
        // More features than one invocation adds up.
        let w = b.activation(&[9 * s.c * s.groups, s.o.next_multiple_of(4)])?;
        let mean = b.activation(&[1, 9 * s.c * s.groups])?;
        let shape = [s.o.next_multiple_of(4) * s.groups, s.c, 3, 3];
        let bias = if s.choice % 3 == 0 { None } else { Some(b.leaf(&shape[..1])) };
        let shifted = ops::shifted_bias(&mut b.tape, [w, mean], bias, &shape, s.groups)?;
        b.observed.push(shifted);
        Ok(Vec::new())
    })
    .at(|| vec![Sizes { c: 17, ..Sizes::SMALL }]),
    op("feature_mean", |b, s| {
        let (layout, _) = s.layout(s.groups)?;
        let mean = b.activation(&[layout.statistics(), layout.d])?;
        Ok(vec![ops::feature_mean(&mut b.tape, mean, layout)?])
    })
    .at(block_corners),
    op("center_rows of an activation", |b, s| {
        let (x, mean) = (b.activation(&[s.n, s.c])?, b.activation(&[1, s.c])?);
        Ok(vec![ops::center_rows(&mut b.tape, x, mean)?])
    }),
    op("fold_weight", |b, s| {
        let (layout, _) = s.layout(s.groups)?;
        let w = b.leaf(&[s.o * s.groups, s.c, s.k, s.k]);
        let deconv = b.activation(&[layout.statistics(), layout.d, layout.d])?;
        Ok(vec![ops::fold_weight(&mut b.tape, w, deconv, layout)?])
    })
    .at(block_corners),
    op("fold_weight of pooled features", |b, s| {
        let layout = BlockLayout::linear(ops::BlockMode::Reference, 4 * s.c, s.c)?;
        let w = b.leaf(&[s.o, 4 * s.c]);
        let deconv = b.activation(&[1, layout.d, layout.d])?;
        let mean = b.activation(&[1, layout.d])?;
        let features = ops::feature_mean(&mut b.tape, mean, layout)?;
        Ok(vec![ops::fold_weight(&mut b.tape, w, deconv, layout)?, features])
    }),
];
