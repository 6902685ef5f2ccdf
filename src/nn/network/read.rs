//! Reading layers. serde's own code for enums with tags and flattened fields has each of them twice, for two sources of
//! values, and was three times as large; every visitor of a page downloads it.

use super::{Layer, Node};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Error, Map, Value};
use std::fmt;

type Result<T, E = Error> = std::result::Result<T, E>;

/// Every `type`.
const TYPES: &[&str] = &[
    "conv",
    "linear",
    "batch_norm",
    "group_norm",
    "layer_norm",
    "iter_norm",
    "channel_deconv",
    "relu",
    "relu6",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "silu",
    "max_pool",
    "avg_pool",
    "adaptive_avg_pool",
    "global_avg_pool",
    "flatten",
    "interpolate",
    "dropout",
    "residual",
    "concat",
    "gate",
    "dual_path",
    #[cfg(reference)]
    "auxiliary",
    "sequence",
    "custom",
];

/// The keys of a layer that have not been read yet, and those that have.
struct Fields {
    left: Map<String, Value>,
    read: Vec<&'static str>,
}

impl Fields {
    fn get<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T> {
        self.read.push(name);
        serde_json::from_value(self.left.remove(name).ok_or_else(|| Error::missing_field(name))?)
    }

    fn get_or_default<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> Result<T> {
        if self.left.contains_key(name) {
            return self.get(name);
        }
        self.read.push(name);
        Ok(T::default())
    }

    /// What an earlier version called `now`.
    fn renamed(&mut self, earlier: &str, now: &str) -> &mut Self {
        if !self.left.contains_key(now)
            && let Some(value) = self.left.remove(earlier)
        {
            self.left.insert(now.into(), value);
        }
        self
    }

    /// All of them as one.
    fn whole<T: DeserializeOwned>(&mut self) -> Result<T> {
        serde_json::from_value(Value::Object(std::mem::take(&mut self.left)))
    }

    /// A misspelt key would otherwise be passed over.
    fn end(self) -> Result<()> {
        let Some(strange) = self.left.keys().next() else { return Ok(()) };
        let known: Vec<String> = self.read.iter().map(|name| format!("`{name}`")).collect();
        let known =
            if known.is_empty() { "there are no fields".into() } else { format!("expected {}", known.join(", ")) };
        Err(Error::custom(format_args!("unknown field `{strange}`, {known}")))
    }
}

fn layer(left: Map<String, Value>) -> Result<Layer> {
    let mut fields = Fields { left, read: Vec::new() };
    let kind: String = fields.get("type")?;
    fields.read.clear();
    let layer = match &kind[..] {
        "conv" => Layer::Conv(fields.renamed("outputs", "out_channels").whole()?),
        "linear" => Layer::Linear(fields.renamed("outputs", "out_features").whole()?),
        "batch_norm" => Layer::BatchNorm,
        "group_norm" => Layer::GroupNorm,
        "layer_norm" => Layer::LayerNorm,
        "iter_norm" => Layer::IterNorm,
        "channel_deconv" => Layer::ChannelDeconv(fields.whole()?),
        "relu" => Layer::Relu,
        "relu6" => Layer::Relu6,
        "leaky_relu" => Layer::LeakyRelu { slope: fields.get("slope")? },
        "sigmoid" => Layer::Sigmoid,
        "tanh" => Layer::Tanh,
        "silu" | "swish" => Layer::Silu,
        "max_pool" => Layer::MaxPool(fields.whole()?),
        "avg_pool" => Layer::AvgPool(fields.whole()?),
        "adaptive_avg_pool" => Layer::AdaptiveAvgPool { size: fields.get("size")? },
        "global_avg_pool" => Layer::GlobalAvgPool,
        "flatten" => Layer::Flatten,
        "interpolate" | "resize" => Layer::Interpolate { size: fields.get("size")? },
        "dropout" => Layer::Dropout { probability: fields.get("probability")? },
        "residual" => Layer::Residual { body: fields.get("body")?, shortcut: fields.get_or_default("shortcut")? },
        "concat" => Layer::Concat { branches: fields.get("branches")? },
        "gate" => Layer::Gate { gate: fields.get("gate")? },
        "dual_path" => Layer::DualPath {
            sum: fields.get("sum")?,
            body: fields.get("body")?,
            shortcut: fields.get_or_default("shortcut")?,
        },
        #[cfg(reference)]
        "auxiliary" => Layer::Auxiliary { head: fields.get("head")?, weight: fields.get("weight")? },
        "sequence" => Layer::Sequence { layers: fields.get("layers")? },
        "custom" => Layer::Custom(fields.whole()?),
        _ => return Err(Error::unknown_variant(&kind, TYPES)),
    };
    fields.end()?;
    Ok(layer)
}

fn node(mut fields: Map<String, Value>) -> Result<Node> {
    let name = fields.remove("name").map_or(Ok(None), serde_json::from_value)?;
    Ok(Node { name, layer: layer(fields)? })
}

/// Keys and values, whatever the format, as `0` makes of them.
struct Read<T>(fn(Map<String, Value>) -> Result<T>);

impl<'de, T> Visitor<'de> for Read<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a layer with its `type`")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        // Here, rather than after it: what reads TOML adds the line to errors of visitors.
        self.0(Map::deserialize(MapAccessDeserializer::new(map))?).map_err(A::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Read(node))
    }
}

impl<'de> Deserialize<'de> for Layer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Read(layer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{AvgPool, ChannelWhitening, Conv, Custom, Layers, Linear, MaxPool};

    fn all() -> Vec<Layer> {
        let body = Layers { nodes: vec![Node { name: Some("stem".into()), layer: Layer::Conv(Conv::new(8, 3)) }] };
        let custom = Custom::new("square", |_, _| unreachable!());
        vec![
            Layer::Conv(Conv::new(16, 5)),
            Layer::Linear(Linear::new(10)),
            Layer::BatchNorm,
            Layer::GroupNorm,
            Layer::LayerNorm,
            Layer::IterNorm,
            Layer::ChannelDeconv(ChannelWhitening::default()),
            Layer::Relu,
            Layer::Relu6,
            Layer::LeakyRelu { slope: 0.1 },
            Layer::Sigmoid,
            Layer::Tanh,
            Layer::Silu,
            Layer::MaxPool(MaxPool { kernel: 3, stride: 2, padding: 1 }),
            Layer::AvgPool(AvgPool { kernel: 2 }),
            Layer::AdaptiveAvgPool { size: [2, 3] },
            Layer::GlobalAvgPool,
            Layer::Flatten,
            Layer::Interpolate { size: [4, 5] },
            Layer::Dropout { probability: 0.25 },
            Layer::Residual { body: body.clone(), shortcut: Layers::default() },
            Layer::Concat { branches: vec![Layers::default(), body.clone()] },
            Layer::Gate { gate: body.clone() },
            Layer::DualPath { sum: 4, body: body.clone(), shortcut: body.clone() },
            Layer::Auxiliary { head: body.clone(), weight: 0.4 },
            Layer::Sequence { layers: body },
            Layer::Custom(custom),
        ]
    }

    #[test]
    fn every_layer_is_read_as_it_was_written() {
        let all = all();
        assert_eq!(all.len(), TYPES.len());
        for (layer, kind) in all.into_iter().zip(TYPES) {
            let text = serde_json::to_string(&layer).unwrap();
            assert!(text.starts_with(&format!("{{\"type\":\"{kind}\"")), "{text}");
            assert_eq!(serde_json::from_str::<Layer>(&text).unwrap(), layer, "{text}");
            let node = Node { name: Some("x".into()), layer };
            let text = serde_json::to_string(&node).unwrap();
            assert_eq!(serde_json::from_str::<Node>(&text).unwrap(), node, "{text}");
        }
    }

    #[test]
    fn no_key_is_passed_over() {
        for layer in all().into_iter().filter(|layer| !matches!(layer, Layer::Custom(_))) {
            let mut fields = serde_json::to_value(&layer).unwrap();
            fields["kernal"] = 3.into();
            let error = serde_json::from_value::<Layer>(fields).unwrap_err().to_string();
            assert!(error.contains("unknown field `kernal`"), "{layer:?}: {error}");
        }
    }
}
