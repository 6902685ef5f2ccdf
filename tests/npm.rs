//! What the npm package promises, held against the engine: its types list every norm, layer, option and network that
//! the reader of descriptions takes, and that reader, the package's own, takes what they list.

#[path = "../web/npm/src/described.rs"]
mod described;

use mexhat::models;
use mexhat::nn::{ChannelWhitening, Layer, Network, Norm, State, Whitening};
use mexhat::train::NetOptions;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Names = BTreeSet<String>;

fn package(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("web/npm/package").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands in `text` between `start` and the first `end` behind it.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, behind) = text.split_once(start).unwrap_or_else(|| panic!("no {start:?} in {text}"));
    behind.split_once(end).unwrap_or_else(|| panic!("no {end:?} behind {start:?}")).0
}

/// The words in quotes, such as the members of a union of strings.
fn quoted(text: &str) -> Names {
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The keys of a type: the words before a colon.
fn keys(text: &str) -> Names {
    let before = text.split([';', '{', '}', '\n']).filter_map(|field| field.split_once(':')).map(|(key, _)| key);
    before.map(|key| key.trim().trim_end_matches('?').to_owned()).collect()
}

fn keys_of(value: &impl serde::Serialize) -> Names {
    let value = serde_json::to_value(value).expect("plain data");
    value.as_object().expect("an object").keys().cloned().collect()
}

/// The names that an error says it expected.
fn expected(error: &str, quote: char) -> Names {
    let (_, list) = error.split_once("expected one of ").expect(error);
    list.split(", ").map(|name| name.split(" at line").next().unwrap_or_default().trim_matches(quote).into()).collect()
}

fn build(description: &Value) -> Network {
    let (net, _) =
        described::network(&description.to_string()).unwrap_or_else(|error| panic!("{description}: {error}"));
    net.build(&mut State::new()).unwrap_or_else(|error| panic!("{description}: {error}"));
    net
}

#[test]
fn norms_and_networks_are_all_listed_and_taken() {
    let types = package("mexhat.d.ts");
    let norms = quoted(between(&types, "export type Norm =", ";"));
    assert_eq!(norms, expected(&"?".parse::<Norm>().expect_err("no norm").to_string(), '`'));
    for norm in &norms {
        let net = build(&json!({ "model": "small", "norm": norm, "num_groups": 4 }));
        assert_eq!((net.norm.to_string(), net.num_groups), (norm.clone(), 4));
    }

    // The package is built without what is left out of pages: networks that put out a map of classes.
    let known: Names =
        models::NAMES.iter().filter(|name| !name.starts_with("deeplabv3")).map(|name| name.to_string()).collect();
    assert_eq!(quoted(between(&types, "  model: ", "(string")), known);
    let said = format!("one of {} networks by name", known.len());
    assert!(package("README.md").contains(&said), "README.md does not say '{said}'");

    let mut options = keys_of(&NetOptions { num_groups: 4, ..NetOptions::default() });
    options.insert("whitening".into());
    assert_eq!(keys(between(&types, "interface NamedDescription extends Common {", "\n}")), options);
    let mut options = keys_of(&Network { num_groups: 4, ..Network::new([1, 28, 28]) });
    options.remove("input");
    assert_eq!(keys(between(&types, "interface LayersDescription extends Common {", "\n}")), options);
    for (start, expected) in [
        ("interface Whitening {", keys_of(&Whitening::default())),
        ("interface ChannelWhitening {", keys_of(&ChannelWhitening::default())),
    ] {
        assert_eq!(keys(between(&types, start, "\n}")), expected, "{start}");
    }
}

/// One layer of each type, with all keys that it may have.
fn layers() -> Vec<Value> {
    let whitening = json!({ "mode": "paper", "block": 2, "iterations": 3, "eps": 1e-3, "sampling_stride": 1, "momentum": 0.2, "freeze": true });
    let body = json!([{ "type": "conv", "out_channels": 4, "kernel": 3 }, { "type": "relu" }]);
    vec![
        json!({ "type": "conv", "out_channels": "classes", "kernel": 3, "stride": 2, "padding": 2, "dilation": 2, "groups": 2, "bias": true, "norm": "deconv", "whitening": whitening }),
        json!({ "type": "linear", "out_features": "classes", "bias": true, "norm": "deconv", "whitening": whitening }),
        json!({ "type": "batch_norm" }),
        json!({ "type": "group_norm" }),
        json!({ "type": "layer_norm" }),
        json!({ "type": "iter_norm" }),
        json!({ "type": "channel_deconv", "block": 2, "eps": 1e-2, "iterations": 3, "sampling_stride": 1, "momentum": 0.2 }),
        json!({ "type": "relu" }),
        json!({ "type": "relu6" }),
        json!({ "type": "leaky_relu", "slope": 0.1 }),
        json!({ "type": "sigmoid" }),
        json!({ "type": "tanh" }),
        json!({ "type": "silu" }),
        json!({ "type": "max_pool", "kernel": 3, "stride": 2, "padding": 1 }),
        json!({ "type": "avg_pool", "kernel": 2 }),
        json!({ "type": "adaptive_avg_pool", "size": [3, 2] }),
        json!({ "type": "global_avg_pool" }),
        json!({ "type": "flatten" }),
        json!({ "type": "interpolate", "size": [5, 9] }),
        json!({ "type": "dropout", "probability": 0.5 }),
        json!({ "type": "residual", "body": body, "shortcut": body }),
        json!({ "type": "dual_path", "sum": 2, "body": body, "shortcut": body }),
        json!({ "type": "concat", "branches": [[], body] }),
        json!({ "type": "gate", "gate": [{ "type": "global_avg_pool" }, { "type": "sigmoid" }] }),
        json!({ "type": "sequence", "layers": body }),
    ]
}

/// The keys of each type of layer in `mexhat.d.ts`.
fn listed(types: &str) -> BTreeMap<String, Names> {
    let channel_whitening = keys(between(types, "interface ChannelWhitening {", "\n}"));
    let mut all = BTreeMap::new();
    for line in between(types, "export type Layer = ", "\n);").lines().filter(|line| line.contains("type: ")) {
        let mut known = keys(line.trim_start_matches("  | ("));
        if line.contains("& ChannelWhitening") {
            known.extend(channel_whitening.clone());
        }
        let kinds = quoted(between(line, "type: ", if line.contains(';') { ";" } else { "}" }));
        all.extend(kinds.into_iter().map(|kind| (kind, known.clone())));
    }
    all
}

#[test]
fn layers_are_all_listed_and_taken_with_their_keys() {
    let listed = listed(&package("mexhat.d.ts"));
    // JavaScript has no modules of its own, and the package no heads that learn along.
    let left_out = ["auxiliary", "custom"].map(String::from).into();
    let error = serde_json::from_str::<Layer>(r#"{ "type": "?" }"#).expect_err("no layer").to_string();
    let known: Names = expected(&error, '`').difference(&left_out).cloned().collect();
    assert_eq!(listed.keys().cloned().collect::<Names>(), known);

    let layers = layers();
    let kind = |layer: &Value| layer["type"].as_str().expect("a type").to_owned();
    assert_eq!(layers.iter().map(kind).collect::<Names>(), known);
    for layer in &layers {
        let kind = kind(layer);
        assert_eq!(listed[&kind], keys_of(layer), "{kind}");
        let first = if kind == "linear" { json!([{ "type": "flatten" }, layer]) } else { json!([layer]) };
        let described = json!({
            "input": [4, 8, 8], "classes": 6, "seed": 1, "normalize": { "mean": [0.5, 0.5, 0.5, 0.5], "std": [1, 1, 1, 1] },
            "name": "one", "norm": "none", "whitening": { "block": 2 }, "block_fc": 16, "num_groups": 2, "layers": first,
        });
        let net = build(&described);
        // What the description leaves to the classes is filled in.
        let mut expected = layer.clone();
        for key in ["out_channels", "out_features"] {
            expected.get_mut(key).into_iter().for_each(|number| *number = 6.into());
        }
        let expected: Layer = serde_json::from_value(expected).expect("a layer");
        assert_eq!(net.nodes[net.len() - 1].layer, expected, "{kind}");
    }
}

#[test]
fn earlier_names_of_layers_are_taken() {
    let now = json!({ "input": [4, 8, 8], "layers": [
        { "type": "conv", "out_channels": 3, "kernel": 3 }, { "type": "silu" }, { "type": "interpolate", "size": [2, 2] },
        { "type": "flatten" }, { "type": "linear", "out_features": "classes" },
    ] });
    let earlier = now.to_string().replace("out_channels", "outputs").replace("out_features", "outputs");
    let earlier: Value =
        serde_json::from_str(&earlier.replace("silu", "swish").replace("interpolate", "resize")).unwrap();
    assert_ne!(now, earlier);
    assert_eq!(build(&now), build(&earlier));
}
