//! Layers without deconvolution as nodes of ONNX.

use super::graph::{Attr, Builder};
use super::separable;
use crate::export::walk::Named;
use crate::nn::{BATCH_NORM_EPS, Conv, Layer, Layers, Network, named};
use crate::{Error, Result, ops};

pub(super) struct Writer<'a> {
    pub network: &'a Network,
    pub named: Named<'a>,
    pub builder: Builder,
}

impl Writer<'_> {
    /// Layers one after the other; `x` has the shape `input` without N.
    pub fn layers(
        &mut self,
        layers: &Layers,
        prefix: &str,
        path: &str,
        (x, input): (&str, &[usize]),
    ) -> Result<String> {
        let (mut x, mut input) = (x.to_owned(), input.to_vec());
        for (name, node) in named(layers, prefix, path) {
            x = self.layer(&node.layer, &name, (&x, &input))?;
            input = self.named.shape(&name)?.to_vec();
        }
        Ok(x)
    }

    fn layer(&mut self, layer: &Layer, name: &str, (x, input): (&str, &[usize])) -> Result<String> {
        let builder = &mut self.builder;
        let mut unary = |op: &str| Ok(builder.node(op, name, &[x], &[]));
        match layer {
            Layer::Conv(conv) => self.conv(conv, name, (x, input)),
            Layer::Linear(_) => {
                let inputs = self.weight_and_bias(name, x)?;
                Ok(self.node("Gemm", name, &inputs, &[("transB", Attr::Int(1))]))
            }
            Layer::BatchNorm => self.batch_norm(name, x),
            Layer::GroupNorm => self.group_norm(name, (x, input), self.network.num_groups),
            Layer::LayerNorm => self.group_norm(name, (x, input), 1),
            Layer::Relu => unary("Relu"),
            Layer::Sigmoid => unary("Sigmoid"),
            Layer::Tanh => unary("Tanh"),
            Layer::GlobalAvgPool => unary("GlobalAveragePool"),
            Layer::Relu6 => {
                let (low, high) = (
                    builder.floats(&format!("{name}.min"), &[], &[0.0]),
                    builder.floats(&format!("{name}.max"), &[], &[6.0]),
                );
                Ok(builder.node("Clip", name, &[x, &low, &high], &[]))
            }
            Layer::LeakyRelu { slope } => Ok(builder.node("LeakyRelu", name, &[x], &[("alpha", Attr::Float(*slope))])),
            Layer::Silu => {
                let gate = unary("Sigmoid")?;
                Ok(builder.node("Mul", name, &[x, &gate], &[]))
            }
            Layer::MaxPool(pool) => Ok(window(builder, "MaxPool", name, x, [pool.kernel, pool.stride, pool.padding])),
            Layer::AvgPool(pool) => Ok(window(builder, "AveragePool", name, x, [pool.kernel, pool.kernel, 0])),
            Layer::AdaptiveAvgPool { size } => Ok(separable::write(builder, name, x, (input, *size), separable::mean)),
            Layer::Interpolate { size } => Ok(separable::write(builder, name, x, (input, *size), separable::bilinear)),
            Layer::Flatten => Ok(builder.node("Flatten", name, &[x], &[("axis", Attr::Int(1))])),
            Layer::Dropout { .. } | Layer::Auxiliary { .. } => Ok(x.to_owned()),
            Layer::Residual { body, shortcut } => {
                let (y, s) = self.paths(body, shortcut, name, (x, input))?;
                Ok(self.builder.node("Add", name, &[&y, &s], &[]))
            }
            Layer::Concat { branches } => {
                let branches = branches.iter().enumerate();
                let parts = branches
                    .map(|(i, branch)| self.layers(branch, &format!("{name}.{i}"), "", (x, input)))
                    .collect::<Result<Vec<_>>>()?;
                Ok(self.node("Concat", name, &parts, &[("axis", Attr::Int(1))]))
            }
            Layer::Gate { gate } => {
                let gate = self.layers(gate, name, "", (x, input))?;
                Ok(self.builder.node("Mul", name, &[x, &gate], &[]))
            }
            Layer::DualPath { sum, body, shortcut } => {
                let (y, s) = self.paths(body, shortcut, name, (x, input))?;
                self.dual_path(*sum, name, [&y, &s])
            }
            Layer::Sequence { layers } => self.layers(layers, name, "", (x, input)),
            Layer::ChannelDeconv(_) | Layer::IterNorm => Err(Error::Run(format!("the layer '{name}' was not folded"))),
            Layer::Custom(custom) => Err(Error::Usage(format!(
                "the layer '{name}' is a module of the kind '{}' that only a program knows, so ONNX has no operation for it; \
                 save the network as plain tensors, or write the module with the shipped layers",
                custom.kind
            ))),
        }
    }

    fn node(&mut self, op: &str, name: &str, inputs: &[String], attributes: &[(&str, Attr<'_>)]) -> String {
        self.builder.node(op, name, &inputs.iter().map(String::as_str).collect::<Vec<_>>(), attributes)
    }

    fn tensor(&mut self, name: &str) -> Result<String> {
        let (shape, values) = self.named.need(name)?;
        Ok(self.builder.floats(name, shape, values))
    }

    /// `x`, the weight of a layer and its bias where it has one.
    fn weight_and_bias(&mut self, name: &str, x: &str) -> Result<Vec<String>> {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let mut inputs = vec![x.to_owned(), self.tensor(&weight)?];
        if self.named.tensor(&bias).is_some() {
            inputs.push(self.tensor(&bias)?);
        }
        Ok(inputs)
    }

    fn conv(&mut self, conv: &Conv, name: &str, (x, input): (&str, &[usize])) -> Result<String> {
        let inputs = self.weight_and_bias(name, x)?;
        let options = conv.options();
        let twice = |n: usize| [n as i64; 2];
        let y = self.node(
            "Conv",
            name,
            &inputs,
            &[
                ("kernel_shape", Attr::Ints(&twice(conv.kernel))),
                ("strides", Attr::Ints(&twice(options.stride))),
                ("pads", Attr::Ints(&[options.padding as i64; 4])),
                ("dilations", Attr::Ints(&twice(options.dilation))),
                ("group", Attr::Int(options.groups as i64)),
            ],
        );
        let norm = conv.norm.unwrap_or(self.network.norm);
        let Some((layer, ending)) = Layer::of_norm(norm).zip(norm.behind()) else { return Ok(y) };
        let side = |i: usize| conv.output_side(input[i]);
        self.layer(&layer, &format!("{name}{ending}"), (&y, &[conv.out_channels, side(1), side(2)]))
    }

    /// As one image's channel of its own for each group, which is what ONNX normalises.
    fn group_norm(&mut self, name: &str, (x, input): (&str, &[usize]), groups: usize) -> Result<String> {
        let groups = ops::groups_that_fit(input[0], groups);
        let sides: Vec<i64> = std::iter::once(0).chain(input.iter().map(|side| *side as i64)).collect();
        let mut affine = |key: &str| -> Result<String> {
            let (shape, values) = self.named.need(&format!("{name}.{key}"))?;
            let dims = [shape, &vec![1; input.len() - 1]].concat();
            Ok(self.builder.floats(&format!("{name}.{key}"), &dims, values))
        };
        let (weight, bias) = (affine("weight")?, affine("bias")?);
        let builder = &mut self.builder;
        let (apart, back) = (builder.integers(name, &[0, groups as i64, -1]), builder.integers(name, &sides));
        let one = builder.floats(&format!("{name}.one"), &[groups], &vec![1.0; groups]);
        let zero = builder.floats(&format!("{name}.zero"), &[groups], &vec![0.0; groups]);
        let y = builder.node("Reshape", name, &[x, &apart], &[]);
        let epsilon = [("epsilon", Attr::Float(BATCH_NORM_EPS))];
        let y = builder.node("InstanceNormalization", name, &[&y, &one, &zero], &epsilon);
        let y = builder.node("Reshape", name, &[&y, &back], &[]);
        let y = builder.node("Mul", name, &[&y, &weight], &[]);
        Ok(builder.node("Add", name, &[&y, &bias], &[]))
    }

    fn batch_norm(&mut self, name: &str, x: &str) -> Result<String> {
        let mut inputs = vec![x.to_owned()];
        for key in ["weight", "bias", "running_mean", "running_var"] {
            inputs.push(self.tensor(&format!("{name}.{key}"))?);
        }
        Ok(self.node("BatchNormalization", name, &inputs, &[("epsilon", Attr::Float(BATCH_NORM_EPS))]))
    }

    fn paths(&mut self, body: &Layers, shortcut: &Layers, name: &str, x: (&str, &[usize])) -> Result<(String, String)> {
        Ok((self.layers(body, name, "", x)?, self.layers(shortcut, name, "shortcut_", x)?))
    }

    /// The first `sum` channels added, the others behind them, the shortcut's first; then ReLU.
    fn dual_path(&mut self, sum: usize, name: &str, [y, s]: [&str; 2]) -> Result<String> {
        let builder = &mut self.builder;
        let (zero, cut) = (builder.integers(name, &[0]), builder.integers(name, &[sum as i64]));
        let (end, axis) = (builder.integers(name, &[i64::MAX]), builder.integers(name, &[1]));
        let mut part = |x: &str, from: &str, to: &str| builder.node("Slice", name, &[x, from, to, &axis], &[]);
        let [first_y, first_s] = [y, s].map(|x| part(x, &zero, &cut));
        let [rest_y, rest_s] = [y, s].map(|x| part(x, &cut, &end));
        let added = builder.node("Add", name, &[&first_s, &first_y], &[]);
        let all = builder.node("Concat", name, &[&added, &rest_s, &rest_y], &[("axis", Attr::Int(1))]);
        Ok(builder.node("Relu", name, &[&all], &[]))
    }
}

fn window(builder: &mut Builder, op: &str, name: &str, x: &str, [kernel, stride, padding]: [usize; 3]) -> String {
    let attributes = [
        ("kernel_shape", Attr::Ints(&[kernel as i64; 2])),
        ("strides", Attr::Ints(&[stride as i64; 2])),
        ("pads", Attr::Ints(&[padding as i64; 4])),
    ];
    builder.node(op, name, &[x], &attributes)
}
