//! What is shown before and during a race: kernels in colours, the networks as data, digits; and images from files.

use crate::pad;
use crate::thrown::{object, thrown};
use js_sys::{Array, Float32Array, Uint8Array, Uint8ClampedArray};
use mexhat::data::glyphs;
use mexhat::models::{self, Norm};
use mexhat::ops::BlockMode;
use mexhat::train::{LayerDeconv, NetOptions, Options};
use mexhat::viz::{central_kernels, diverging, relative};
use mexhat::{Error, json};
use wasm_bindgen::prelude::*;

/// Digits that stream by before a race.
const DIGITS: usize = 48;

/// What there is to see before a race, without a GPU:
/// `{ digits: [{ label, pixels }], networks: [text of JSON], layers }`. `options` is JSON as of a race, with `input`
/// (C,H,W) and `classes` of data that is no digits; `layers` is the picture of the first layer's kernel as it begins,
/// the identity.
#[wasm_bindgen]
pub fn preview(options: &str) -> Result<JsValue, JsValue> {
    #[derive(serde::Deserialize)]
    struct Shown {
        norms: Vec<Norm>,
        #[serde(default = "digit")]
        input: [usize; 3],
        #[serde(default = "ten")]
        classes: usize,
    }
    const fn digit() -> [usize; 3] {
        [1, pad::SIDE, pad::SIDE]
    }
    const fn ten() -> usize {
        10
    }
    let wrong = |e: serde_json::Error| thrown(Error::Usage(format!("the page's options: {e}")));
    let run: Options = json::read(options).map_err(wrong)?;
    let shown: Shown = json::read(options).map_err(wrong)?;
    let digits = (0..DIGITS as u64).map(|index| {
        let (label, pixels) = glyphs::render(run.seed, index);
        object(&[("label", label.into()), ("pixels", Uint8Array::from(&pixels[..]).into())])
    });
    let networks = Array::new();
    for norm in shown.norms {
        let net = NetOptions { norm, ..run.net.clone() };
        let network = models::network(&net.model, &net.model_options(shown.input, shown.classes, run.seed));
        let text = network.map(|network| json::text(&network).unwrap_or_default()).map_err(thrown)?;
        networks.push(&text.into());
    }
    const SIDE: usize = 5;
    let channels = shown.input[0];
    let d = channels * SIDE * SIDE;
    let mut deconv = vec![0.0; d * d];
    (0..d).for_each(|i| deconv[i * (d + 1)] = 1.0);
    let first = LayerDeconv { name: "conv1".into(), weight: vec![16, channels, SIDE, SIDE], statistics: 1, d, deconv };
    Ok(object(&[
        ("digits", digits.collect::<Array>().into()),
        ("networks", networks.into()),
        ("layers", Array::of1(&layer(&first, run.net.mode)).into()),
    ])
    .into())
}

/// `{ name, d, statistics, channels, kernel, scale, values, colours }`: kernels (channels,channels,kernel,kernel) of
/// the first block where its entries are taps of whole channels; otherwise D itself, `channels` 1 and `kernel` d.
/// `scale` is the largest magnitude, which has the full colour.
pub fn layer(layer: &LayerDeconv, mode: BlockMode) -> JsValue {
    let kernel = if layer.weight.len() == 4 { layer.weight[2] } else { 1 };
    let channels = layer.d / (kernel * kernel);
    let whole = mode == BlockMode::Paper || channels >= layer.weight.get(1).copied().unwrap_or(0);
    let kernels = if kernel > 1 && whole { central_kernels(&layer.deconv, channels, kernel).ok() } else { None };
    let (channels, side, values) = match kernels {
        Some(kernels) => (channels, kernel, kernels),
        None => (1, layer.d, layer.deconv.clone()),
    };
    let scale = largest(&values);
    object(&[
        ("name", layer.name.as_str().into()),
        ("d", (layer.d as u32).into()),
        ("statistics", (layer.statistics as u32).into()),
        ("channels", (channels as u32).into()),
        ("kernel", (side as u32).into()),
        ("scale", scale.into()),
        ("values", Float32Array::from(&values[..]).into()),
        ("colours", rooted(&values, scale).into()),
    ])
    .into()
}

/// The largest magnitude.
pub fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0f32, |most, v| most.max(v.abs()))
}

/// Colours (RGBA) of values on a fixed scale.
pub fn colours(values: &[f32], scale: f32) -> Uint8ClampedArray {
    painted(values.iter().map(|v| relative(*v, scale)))
}

/// Colours (RGBA) of kernels: a surround has a tenth of its centre's size, so that colours follow the root of the
/// magnitude.
pub fn rooted(values: &[f32], scale: f32) -> Uint8ClampedArray {
    painted(values.iter().map(|v| relative(*v, scale)).map(|t| t.abs().sqrt().copysign(t)))
}

fn painted(shares: impl Iterator<Item = f32>) -> Uint8ClampedArray {
    let colours = shares.flat_map(|t| {
        let [r, g, b] = diverging(t);
        [r, g, b, 255]
    });
    Uint8ClampedArray::from(&colours.collect::<Vec<u8>>()[..])
}
