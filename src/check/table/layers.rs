//! Pointwise operations, convolutions, pooling, norms, losses and updates.

use super::super::Sizes;
use super::cases::*;
use super::{Operation, op};
use crate::Result;
use crate::ops::{self, Activation, AdamOptions, ConvOptions, Epilogue, NormOptions, ScalarStatistics, SgdOptions};
use crate::tape::{Array, Type, Var};

pub(super) const OPERATIONS: &[Operation] = &[
    op("add", |b, s| {
        let (x, y) = (b.activation(&s.map())?, b.activation(&s.map())?);
        Ok(vec![ops::add(&mut b.tape, x, y)?])
    }),
    op("add a value to itself", |b, s| {
        let x = b.activation(&[s.n, s.c])?;
        Ok(vec![ops::add(&mut b.tape, x, x)?])
    }),
    op("constant", |b, s| {
        Ok(vec![
            ops::constant(&mut b.tape, Type::vec4(&s.map()), 1.5)?,
            ops::constant(&mut b.tape, Type::plain(&[s.c, s.k]), -2.0)?,
            ops::constant(&mut b.tape, Type::plain(&[s.c]), 0.25)?,
        ])
    }),
    op("to_plain", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::to_plain(&mut b.tape, x)?])
    }),
    op("column_sum", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::column_sum(&mut b.tape, x)?])
    })
    .at(reduction_corners),
    op("relu", |b, s| unary(b, s, Activation::Relu)),
    op("relu6", |b, s| unary(b, s, Activation::Relu6)),
    op("sigmoid", |b, s| unary(b, s, Activation::Sigmoid)),
    op("tanh", |b, s| unary(b, s, Activation::Tanh)),
    op("silu", |b, s| unary(b, s, Activation::Silu)),
    op("leaky_relu", |b, s| unary(b, s, Activation::LeakyRelu { slope: 0.125 })),
    op("conv2d", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let w = b.leaf(&[s.o, s.c, s.k, s.k]);
        let bias = if s.choice.is_multiple_of(2) { Some(b.leaf(&[s.o])) } else { None };
        Ok(vec![ops::conv2d(&mut b.tape, x, w, bias, s.conv_options(1))?])
    })
    .at(channel_corners),
    op("conv2d with relu", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let (w, bias) = (b.leaf(&[s.o, s.c, s.k, s.k]), b.leaf(&[s.o]));
        let options = ConvOptions { relu: true, ..s.conv_options(1) };
        Ok(vec![ops::conv2d(&mut b.tape, x, w, Some(bias), options)?])
    })
    .at(channel_corners),
    op("conv2d of a ReLU that is used twice", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        let x = ops::relu(&mut b.tape, x)?;
        let w = b.leaf(&[s.o, s.c, s.k, s.k]);
        // The other use comes first in the gradient, and the convolution's adds and masks.
        Ok(vec![ops::conv2d(&mut b.tape, x, w, None, s.conv_options(1))?, ops::sigmoid(&mut b.tape, x)?])
    })
    .at(channel_corners),
    op("conv2d of one tap", |b, s| {
        let (x, w) = (b.activation(&s.map())?, b.leaf(&[s.o, s.c, 1, 1]));
        let bias = if s.choice.is_multiple_of(3) { None } else { Some(b.leaf(&[s.o])) };
        let options = ConvOptions { relu: s.choice % 2 == 1, ..Default::default() };
        Ok(vec![ops::conv2d(&mut b.tape, x, w, bias, options)?])
    })
    .at(pixel_corners),
    op("conv2d of a residual block", |b, s| {
        let (x, kernel, groups) = (b.activation(&s.map())?, s.k | 1, if s.choice % 5 == 4 { s.c } else { 1 });
        let w = b.leaf(&[s.c, s.c / groups, kernel, kernel]);
        let bias = if s.choice.is_multiple_of(2) { Some(b.leaf(&[s.c])) } else { None };
        let options = ConvOptions { padding: kernel / 2, groups, relu: s.choice % 3 > 0, ..Default::default() };
        let epilogue = Epilogue { bias, added: Some(x) };
        let y = if s.choice % 4 < 2 {
            ops::conv2d(&mut b.tape, x, w, epilogue, options)?
        } else {
            let (shape, columns) = (b.tape.shape(w).to_vec(), ops::weight_columns(&mut b.tape, w, groups)?);
            ops::conv2d_columns(&mut b.tape, x, columns, &shape, epilogue, options)?
        };
        // What this gives to x is there when the convolution's gradient comes.
        Ok(vec![ops::add(&mut b.tape, y, x)?])
    })
    .at(channel_corners),
    op("conv2d in groups", |b, s| {
        let inputs = [1, 2, 3, 4][s.choice % 4] * s.groups;
        let outputs = [1, 2, 3, 4][s.choice / 3] * s.groups;
        grouped(b, s, inputs, outputs, s.groups)
    }),
    op("conv2d in many groups", |b, s| grouped(b, s, s.c, s.c * (1 + s.choice % 3), s.c)),
    op("conv2d in groups of whole vectors", |b, s| {
        let groups = s.groups + 1;
        grouped(b, s, 4 * groups * (1 + s.choice % 2), 4 * groups * (1 + s.choice / 6), groups)
    }),
    op("conv2d of single channels", |b, s| {
        let s = Sizes { k: [3, 5][s.choice % 2], stride: 1, dilation: 1, ..s };
        grouped(b, s, s.c, s.c, s.c)
    })
    .at(|| {
        // More than one strip of rows, and more than one tile of columns to a split; without a ReLU behind it, and with
        // one.
        let strips = Sizes { c: 6, h: 70, w: 5, ..Sizes::SMALL };
        let splits = Sizes { n: 3, c: 509, h: 4, w: 13, ..Sizes::SMALL };
        [strips, splits].into_iter().flat_map(|s| [0, 1, 4, 9].map(|choice| Sizes { choice, ..s })).collect()
    }),
    op("linear", |b, s| {
        let x = b.activation(&[s.n, s.c])?;
        let (w, bias) = (b.leaf(&[s.o, s.c]), b.leaf(&[s.o]));
        Ok(vec![ops::linear(&mut b.tape, x, w, Some(bias))?])
    })
    .at(|| [channel_corners(), vec![Sizes { c: 260, o: 9, ..Sizes::SMALL }]].concat()),
    op("max_pool2d", |b, s| {
        // Values far apart, so that no step of a difference changes the winner.
        let x = b.scaled(&s.map_for_window(), 100.0)?;
        Ok(vec![ops::max_pool2d(&mut b.tape, x, s.k, s.stride, s.window_padding())?])
    })
    .at(window_corners),
    op("avg_pool2d", |b, s| {
        let x = b.activation(&s.map_for_window())?;
        Ok(vec![ops::avg_pool2d(&mut b.tape, x, s.k, s.stride, s.window_padding())?])
    })
    .at(window_corners),
    op("adaptive_avg_pool2d", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::adaptive_avg_pool2d(&mut b.tape, x, [s.o, s.k])?])
    }),
    op("global_avg_pool", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::global_avg_pool(&mut b.tape, x)?])
    }),
    op("interpolate", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::interpolate(&mut b.tape, x, [s.o, 2 * s.k])?])
    }),
    op("batch_norm", |b, s| batch_norm(b, s, false)).at(reduction_corners),
    op("batch_norm with relu", |b, s| batch_norm(b, s, true)).at(reduction_corners),
    op("batch_norm_eval", |b, s| batch_norm_eval(b, s, false)),
    op("batch_norm_eval with relu", |b, s| batch_norm_eval(b, s, true)),
    op("group_norm", |b, s| {
        let s = Sizes { c: s.c * s.groups, w: s.w + 1, ..s };
        let x = b.activation(&s.map())?;
        let affine = [b.leaf(&[s.c]), b.leaf(&[s.c])];
        let options = NormOptions { eps: 1e-3, relu: s.choice % 3 == 2, own: true };
        Ok(vec![ops::group_norm(&mut b.tape, x, [1, s.groups][s.choice % 2], affine, options)?])
    })
    .at(reduction_corners),
    op("running_average", |b, s| {
        let (target, value) = (b.state(&[s.c]), b.leaf(&[s.c]));
        ops::running_average(&mut b.tape, target, value, 0.1, 1.25)?;
        b.observed.push(target);
        Ok(Vec::new())
    }),
    op("sgd", |b, s| sgd(b, s, SgdOptions { weight_decay: 0.01, ..SgdOptions::default() })),
    op("sgd with momentum", |b, s| {
        sgd(b, s, SgdOptions { momentum: 0.9, weight_decay: 0.01, nesterov: s.choice % 2 == 1 })
    }),
    op("clip_grad_norm", |b, s| {
        // One parameter beyond one workgroup; bounds well below and above the norm.
        let gradients = [b.random(&[s.o, s.c, s.k]), b.random(&[s.o * 700 + s.c])].map(|values| b.given(values));
        let clipped = ops::clip_grad_norm(&mut b.tape, &gradients, [0.5, 1e4][s.choice % 2])?;
        b.observed.extend(clipped);
        Ok(Vec::new())
    }),
    #[cfg(not(target_arch = "wasm32"))]
    op("unscale", |b, s| {
        use crate::tape::SCALARS;
        let [scale, tracker, skipped] =
            [[64.0, 3.0, 1.0], [0.5, 1999.0, 0.0]][s.choice % 2].map(|value: f32| b.state_of(&[1], vec![value]));
        let step = b.state_of(&[SCALARS], vec![0.0; SCALARS]);
        let (parameter, buffer) = (b.state(&[s.o, s.c]), b.state(&[s.o, s.c]));
        // Squares beyond f32 in every third case: that step is skipped.
        let size = if s.choice % 3 == 2 { 1e25 } else { 1.0 };
        let gradient = b.random(&[s.o, s.c]).map(|v| f64::from((v * size) as f32));
        let gradient = b.given(gradient);
        let scaler = ops::GradScaler { scale, growth_tracker: tracker, skipped, step };
        let unscaled = ops::unscale(&mut b.tape, &[gradient], scaler)?;
        let options = SgdOptions { momentum: 0.9, weight_decay: 0.01, nesterov: false };
        ops::sgd(&mut b.tape, parameter, unscaled[0], Some(buffer), options)?;
        b.observed.extend([parameter, buffer, scale, tracker, skipped, step]);
        Ok(Vec::new())
    }),
    op("accumulate", |b, s| {
        let (total, gradient) = (b.state(&[s.o, s.c, s.k]), b.leaf(&[s.o, s.c, s.k]));
        ops::accumulate(&mut b.tape, total, gradient)?;
        b.observed.push(total);
        Ok(Vec::new())
    }),
    op("weight_average", |b, s| {
        let (average, value) = (b.state(&[s.o, s.c, s.k]), b.leaf(&[s.o, s.c, s.k]));
        ops::weight_average(&mut b.tape, average, value)?;
        b.observed.push(average);
        Ok(Vec::new())
    }),
    op("adam", |b, s| {
        let shape = [s.o, s.c, s.k];
        let [parameter, first, second] = [0; 3].map(|_| b.state(&shape));
        let gradient = b.leaf(&shape);
        let decoupled = s.choice % 2 == 1;
        let options = AdamOptions { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, decoupled };
        ops::adam(&mut b.tape, parameter, gradient, [first, second], options)?;
        b.observed.extend([parameter, first, second]);
        Ok(Vec::new())
    }),
    op("first_then_average", |b, s| {
        let (target, value) = (b.state(&[s.c]), b.leaf(&[s.c]));
        let steps = b.state_of(&[1], vec![(s.choice % 2) as f32]);
        ops::first_then_average(&mut b.tape, target, value, steps, 0.25)?;
        ops::count_step(&mut b.tape, steps)?;
        b.observed.extend([target, steps]);
        Ok(Vec::new())
    }),
    op("cross_entropy of rows", |b, s| {
        let logits = b.scaled(&[s.n, s.c], 3.0)?;
        let labels = b.labels(&[s.n], s.c);
        cross_entropy(b, s, logits, labels)
    })
    .at(reduction_corners),
    op("cross_entropy of pixels", |b, s| {
        let logits = b.scaled(&s.map(), 3.0)?;
        let labels = b.labels(&[s.n, s.h, s.w], s.c);
        cross_entropy(b, s, logits, labels)
    })
    .at(reduction_corners),
    op("cross_entropy of weighted classes", |b, s| {
        let logits = b.scaled(&s.map(), 3.0)?;
        let labels = b.labels(&[s.n, s.h, s.w], s.c);
        cross_entropy_weighted(b, s, logits, labels)
    })
    .at(reduction_corners),
    op("cross_entropy of pixels without a label", |b, s| {
        let logits = b.scaled(&s.map(), 3.0)?;
        // One value above the classes, as 255 is in masks.
        let labels = b.labels(&[s.n, s.h, s.w], s.c + 1);
        if s.choice.is_multiple_of(2) {
            cross_entropy_weighted(b, s, logits, labels)
        } else {
            cross_entropy(b, s, logits, labels)
        }
    }),
    op("cross_entropy of ties", |b, s| {
        // Whole numbers, of which none is a negative zero.
        let logits = b.random(&[s.n, s.c]).map(|v| (2.0 * v).round() + 0.0);
        let logits = b.given(logits);
        let (logits, labels) = (ops::to_vec4(&mut b.tape, logits)?, b.labels(&[s.n], s.c.min(3)));
        let loss = cross_entropy(b, s, logits, labels)?;
        b.observed.extend(loss);
        Ok(Vec::new())
    })
    .at(reduction_corners),
    op("least_squares", |b, s| {
        let (x, target) = (b.activation(&s.map())?, b.random(&s.map()));
        let target = b.given(target);
        Ok(vec![ops::least_squares(&mut b.tape, x, target)?])
    }),
    op("slice of a slice", |b, s| {
        let x = b.activation(&s.map())?;
        let start = s.choice % s.c;
        let end = start + 1 + s.o % (s.c - start);
        let y = ops::slice(&mut b.tape, x, start..end)?;
        // Once more, so that either direction meets the other's padding.
        Ok(vec![ops::slice(&mut b.tape, y, (end - start) / 2..end - start)?])
    }),
    op("im2col", |b, s| {
        let x = b.activation(&s.map_for_kernel(s.c, s.dilation))?;
        Ok(vec![ops::im2col(&mut b.tape, x, patch_options(s))?])
    }),
    op("col2im", |b, s| {
        let [n, c, h, w] = s.map_for_kernel(s.c, s.dilation);
        let options = patch_options(s);
        let [kh, kw] = options.kernel;
        let along = |size: usize, k: usize| (size + 2 * s.padding - s.dilation * (k - 1) - 1) / s.stride + 1;
        let columns = b.leaf(&[n, c * kh * kw, along(h, kh) * along(w, kw)]);
        Ok(vec![ops::col2im(&mut b.tape, columns, [h, w], options)?])
    }),
    op("flatten", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::flatten(&mut b.tape, x)?])
    }),
    op("row_mean and center_rows", |b, s| {
        let rows = b.activation(&[s.n, s.h, s.c])?;
        let mean = ops::row_mean(&mut b.tape, rows)?;
        let centred = ops::center_rows(&mut b.tape, rows, mean)?;
        Ok(vec![mean, centred])
    }),
    op("second_moment", |b, s| {
        let rows = b.activation(&[s.n, s.h * s.w, s.c])?;
        Ok(vec![ops::second_moment(&mut b.tape, rows, 1e-2)?])
    })
    .at(matrix_corners),
    op("every_row", |b, s| {
        let rows = b.activation(&[s.n, s.h * s.w, s.c])?;
        Ok(vec![ops::every_row(&mut b.tape, rows, s.k)?])
    }),
    op("scalar_statistics", |b, s| {
        let x = b.activation(&[s.n, s.c + 1, s.h + 1, s.w + 1])?;
        let found = ops::scalar_statistics(&mut b.tape, x, s.choice % (s.c + 1), s.stride)?;
        Ok(vec![found.mean, found.variance])
    }),
    op("scalar_norm", |b, s| {
        let x = b.activation(&s.map())?;
        let mean = b.leaf(&[1]);
        let variance = b.leaf_of(Array { shape: vec![1], data: vec![0.75] });
        let statistics = ScalarStatistics { mean, variance };
        Ok(vec![ops::scalar_norm(&mut b.tape, x, statistics, s.choice % s.c, 1e-3)?])
    }),
    op("add_relu", |b, s| {
        let (x, y) = (b.activation(&s.map())?, b.activation(&s.map())?);
        Ok(vec![ops::add_relu(&mut b.tape, x, y)?])
    }),
    op("mul", |b, s| {
        let (x, y) = (b.activation(&s.map())?, b.activation(&s.map())?);
        Ok(vec![ops::mul(&mut b.tape, x, y, 1.5)?])
    }),
    op("average", |b, s| {
        let (x, y) = (b.activation(&s.map())?, b.activation(&[s.n, s.c])?);
        ops::averaged_copies(&mut b.tape, &[x, y])
    }),
    op("mul_channels", |b, s| {
        let (x, scale) = (b.activation(&s.map())?, b.activation(&[s.n, s.c])?);
        Ok(vec![ops::mul_channels(&mut b.tape, x, scale)?])
    }),
    op("concat", |b, s| {
        let parts = [s.c, s.o, s.k].map(|channels| b.activation(&[s.n, channels, s.h, s.w]));
        let parts = parts.into_iter().collect::<Result<Vec<Var>>>()?;
        Ok(vec![ops::concat(&mut b.tape, &parts)?])
    }),
    op("slice", |b, s| {
        let x = b.activation(&[s.n, s.c + s.choice, s.h, s.w])?;
        Ok(vec![ops::slice(&mut b.tape, x, s.choice..s.choice + s.c)?])
    }),
    op("dual_path_merge", |b, s| {
        let (x, o) = (b.activation(&s.map())?, b.activation(&[s.n, s.o, s.h, s.w])?);
        Ok(vec![ops::dual_path_merge(&mut b.tape, x, o, 1 + s.choice % s.c.min(s.o))?])
    }),
    op("se_block", |b, s| {
        let x = b.activation(&s.map())?;
        let squeeze = [b.leaf(&[s.o, s.c, 1, 1]), b.leaf(&[s.o])];
        let excite = [b.leaf(&[s.c, s.o, 1, 1]), b.leaf(&[s.c])];
        Ok(vec![ops::se_block(&mut b.tape, x, squeeze, excite)?])
    }),
    op("dropout", |b, s| {
        let x = b.activation(&s.map())?;
        Ok(vec![ops::dropout(&mut b.tape, x, 0.25)?])
    }),
    op("dropout_with_mask", |b, s| {
        let (x, mask) = (b.activation(&s.map())?, b.random(&s.map()).map(|v| f64::from(u8::from(v > 0.0))));
        let mask = b.given(mask);
        let mask = ops::to_vec4(&mut b.tape, mask)?;
        Ok(vec![ops::dropout_with_mask(&mut b.tape, x, mask, 0.5)?])
    }),
    op("softmax", |b, s| {
        let x = b.scaled(&s.map(), 3.0)?;
        Ok(vec![ops::softmax(&mut b.tape, x)?])
    })
    .at(reduction_corners),
    op("log_softmax", |b, s| {
        let x = b.scaled(&s.map(), 3.0)?;
        Ok(vec![ops::log_softmax(&mut b.tape, x)?])
    })
    .at(reduction_corners),
    #[cfg(not(target_arch = "wasm32"))]
    op("argmax", |b, s| {
        // Whole numbers, so that there are ties; none is a negative zero.
        let x = b.random(&s.map()).map(|v| (2.0 * v).round() + 0.0);
        let x = b.given(x);
        let x = ops::to_vec4(&mut b.tape, x)?;
        let y = ops::argmax(&mut b.tape, x)?;
        b.observed.push(y);
        Ok(Vec::new())
    })
    .at(long_corner),
    op("image_batch", |b, s| {
        let shape = [s.c, s.h, s.w];
        let [images, views] = b.seen(s.n, shape);
        let tables = b.random(&[s.c, 256]);
        let tables = b.given(tables);
        let y = ops::image_batch(&mut b.tape, [images, views, tables], shape)?;
        b.observed.push(y);
        Ok(Vec::new())
    })
    .at(channel_corners),
    op("one_hot", |b, s| {
        let labels = b.labels(&[s.n, s.h, s.w], s.c + 1);
        Ok(vec![ops::one_hot(&mut b.tape, labels, &Type::vec4(&s.map()))?])
    }),
    op("mse_loss", |b, s| {
        let (x, target) = (b.activation(&s.map())?, b.random(&s.map()));
        let target = b.given(target);
        Ok(vec![ops::mse_loss(&mut b.tape, x, target)?])
    })
    .at(long_corner),
    op("binary_cross_entropy_with_logits", |b, s| {
        let (x, target) = (b.scaled(&s.map(), 3.0)?, b.random(&s.map()).map(f64::abs));
        let target = b.given(target);
        Ok(vec![ops::binary_cross_entropy_with_logits(&mut b.tape, x, target)?])
    })
    .at(long_corner),
    op("least_squares_labels", |b, s| {
        let (x, labels) = (b.activation(&[s.n, s.c])?, b.labels(&[s.n], s.c));
        Ok(vec![ops::least_squares_labels(&mut b.tape, x, labels)?])
    }),
];
