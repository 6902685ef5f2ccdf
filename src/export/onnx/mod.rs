//! Networks as ONNX models.

mod graph;
mod layers;
mod proto;
mod separable;

use super::plain;
use super::walk::Named;
use crate::Result;
use crate::data::Normalize;
use crate::nn::Network;
use crate::tape::State;
use graph::{Attr, Builder};
use layers::Writer;
use prost::Message;
use proto::{DataType, Dimension, Entry, Model, OperatorSet, Shape, Side, TensorType, Type, ValueInfo};

/// The set of operators; 17 is of 2022, and what is used here has not changed since 14.
const OPSET: i64 = 17;
/// The file format that came with it.
const IR_VERSION: i64 = 8;
/// `TensorProto.FLOAT`, to which pixels are cast.
const FLOAT: i64 = 1;

/// What a model says of itself.
#[derive(Clone, Debug)]
pub struct Onnx<'a> {
    /// How images are normalised.
    pub normalize: &'a Normalize,
    /// Whether the model does that: its input `images` (N,C,H,W) is then `u8` of 0 to 255, and otherwise `f32`, each
    /// channel `(x - mean) / std` of values from 0 to 1.
    pub preprocess: bool,
    /// The name of each output.
    pub class_names: &'a [String],
}

/// The network as the bytes of an ONNX model with a free batch size. Input: `images`. Outputs: `logits`, and for
/// classifiers `probabilities`, their softmax. Class names and normalisation are in the metadata.
///
/// # Errors
/// The tensors are not the network's, or a layer is a module that only a program knows.
pub fn onnx(network: &Network, state: &State, how: &Onnx<'_>) -> Result<Vec<u8>> {
    let (network, state) = plain(network, state)?;
    let named = Named::of(&network, &state)?;
    let mut writer = Writer { network: &network, named, builder: Builder::default() };
    let (kind, x) = match how.preprocess {
        true => (DataType::Uint8, normalized(&mut writer.builder, how.normalize)),
        false => (DataType::Float, "images".to_owned()),
    };
    let y = writer.layers(&network.layers, "", "", (&x, &network.input))?;
    // A network without layers would have one value for both.
    let y = writer.builder.node("Identity", "logits", &[&y], &[]);
    writer.builder.rename(&y, "logits");
    let output = network.build(&mut State::new())?.output;
    let mut outputs = vec![value("logits", DataType::Float, &output)];
    if output.len() == 1 {
        let shares = writer.builder.node("Softmax", "probabilities", &["logits"], &[("axis", Attr::Int(1))]);
        writer.builder.rename(&shares, "probabilities");
        outputs.push(value("probabilities", DataType::Float, &output));
    }
    let mut graph = writer.builder.graph;
    graph.name = Some(network.name.clone());
    graph.input = vec![value("images", kind, &network.input)];
    graph.output = outputs;
    let model = Model {
        ir_version: Some(IR_VERSION),
        producer_name: Some("mexhat".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: Some(String::new()), version: Some(OPSET) }],
        metadata_props: vec![
            entry("class_names", how.class_names),
            entry("mean", &how.normalize.mean),
            entry("std", &how.normalize.std),
            entry("normalized_inside", &how.preprocess),
        ],
    };
    Ok(model.encode_to_vec())
}

/// Pixels of 0 to 255 as the network takes them.
fn normalized(builder: &mut Builder, normalize: &Normalize) -> String {
    let channels = normalize.mean.len();
    let pixels = builder.node("Cast", "pixels", &["images"], &[("to", Attr::Int(FLOAT))]);
    let white = builder.floats("white", &[], &[255.0]);
    let mean = builder.floats("mean", &[channels, 1, 1], &normalize.mean);
    let std = builder.floats("std", &[channels, 1, 1], &normalize.std);
    let x = builder.node("Div", "pixels", &[&pixels, &white], &[]);
    let x = builder.node("Sub", "centered", &[&x, &mean], &[]);
    builder.node("Div", "normalized", &[&x, &std], &[])
}

fn entry(key: &str, value: &(impl serde::Serialize + ?Sized)) -> Entry {
    // Strings, numbers and lists of them can always be written.
    Entry { key: Some(key.to_owned()), value: Some(serde_json::to_string(value).unwrap_or_default()) }
}

/// A value (N, ...) with a free N.
fn value(name: &str, kind: DataType, shape: &[usize]) -> ValueInfo {
    let free = Dimension { value: Some(Side::Param("N".into())) };
    let sides = shape.iter().map(|side| Dimension { value: Some(Side::Value(*side as i64)) });
    let dim = std::iter::once(free).chain(sides).collect();
    let tensor = TensorType { elem_type: Some(kind as i32), shape: Some(Shape { dim }) };
    ValueInfo { name: Some(name.to_owned()), r#type: Some(Type { tensor_type: Some(tensor) }) }
}
