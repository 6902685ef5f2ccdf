//! A network: what it is asked, and what it answers.

use crate::device::explained;
use crate::given::{Images, Labelled, tensor};
use crate::training::{self, Training};
use crate::{json, thrown};
use js_sys::{Array, Function, Uint8Array};
use mexhat::train::Learner;
use mexhat::{Error, Result};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// Test images in a batch.
const JUDGED: usize = 64;

/// A network on a device. One thing at a time: `mexhat.js` sees to that.
#[wasm_bindgen]
pub struct Network {
    learner: Learner,
}

impl Network {
    pub fn new(learner: Learner) -> Self {
        Self { learner }
    }
}

#[wasm_bindgen]
impl Network {
    /// `{ name, input, classes, classNames, parameters, steps, bytes, tensors, description }` as text of JSON.
    pub fn about(&self) -> String {
        about(&self.learner)
    }

    /// Does what the name `what` stands for; see [`answer`].
    pub async fn ask(&mut self, what: String, args: Array) -> Result<JsValue, JsValue> {
        answered(&mut self.learner, &what, &args).await
    }

    /// Trains on `[images, labels, names of classes]`, judged by `test` or undefined, as `options` (JSON) say.
    ///
    /// `next` is called with each event, text of JSON, and afterwards with undefined until it has no more wishes. It
    /// returns a promise of a wish: undefined to go on, null to stop, or `[what, args, resolve, reject]` as of
    /// [`Network::ask`].
    pub async fn fit(&mut self, train: JsValue, test: JsValue, options: String, next: Function) -> Result<(), JsValue> {
        let Training { fit, update } = training::read(&options).map_err(thrown)?;
        let shape = self.learner.network().input;
        let train = Labelled::of(&train).map_err(thrown)?;
        let test = if test.is_undefined() { None } else { Some(Labelled::of(&test).map_err(thrown)?) };
        let data = train.of_shape(shape).map_err(thrown)?;
        let test = test.as_ref().map(|test| test.of_shape(shape)).transpose().map_err(thrown)?;
        self.learner.set_update_async(update).await.map_err(thrown)?;
        let gpu = self.learner.gpu().clone();
        let fit = mexhat::train::Fit { test: test.as_ref().map(|test| test as _), ..fit };
        let mut fitting = self.learner.fit(&data, fit).map_err(thrown)?;
        while let Some(event) = fitting.next_async().await {
            let mut told = match event {
                Ok(event) => JsValue::from(training::told(&event)),
                Err(error) => return Err(explained(&gpu, error).await),
            };
            loop {
                let wish = next.call1(&JsValue::NULL, &told)?;
                let wish = JsFuture::from(js_sys::Promise::resolve(&wish)).await?;
                if wish.is_null() {
                    return Ok(());
                }
                if wish.is_undefined() {
                    break;
                }
                let [what, args, resolve, reject] = [0, 1, 2, 3].map(|i| Array::from(&wish).get(i));
                let what = what.as_string().unwrap_or_default();
                let (back, value) = match answered(fitting.learner(), &what, &Array::from(&args)).await {
                    Ok(value) => (resolve, value),
                    Err(error) => (reject, error),
                };
                back.unchecked_into::<Function>().call1(&JsValue::NULL, &value)?;
                told = JsValue::UNDEFINED;
            }
        }
        Ok(())
    }
}

fn about(learner: &Learner) -> String {
    let network = learner.network();
    json(&serde_json::json!({
        "name": network.name,
        "input": network.input,
        "classNames": learner.class_names(),
        "parameters": learner.parameters(),
        "steps": learner.steps(),
        "bytes": learner.memory().total(),
        "tensors": learner.tensors(),
        "description": network,
    }))
}

async fn answered(learner: &mut Learner, what: &str, args: &Array) -> Result<JsValue, JsValue> {
    let found = answer(learner, what, args).await;
    match found {
        Ok(value) => Ok(value),
        Err(error) => Err(explained(learner.gpu(), error).await),
    }
}

/// The answer to `what`:
///
/// - `about`: see [`Network::about`];
/// - `predict` or `outputs`, images: `[shape, values]` (N, classes);
/// - `evaluate`, labelled images: `{ loss, accuracy, images }`, JSON;
/// - `tensor`, name, and `activations`, images, layer: `[shape, values]`;
/// - `rate`, number: the learning rate of the steps to come;
/// - `freeze` and `unfreeze`, names of layers;
/// - `save`: bytes of a file.
async fn answer(learner: &mut Learner, what: &str, args: &Array) -> Result<JsValue> {
    let (first, second) = (args.get(0), args.get(1));
    Ok(match what {
        "about" => about(learner).into(),
        "predict" => tensor(&learner.predict_async(Images::of(&first)?.pixels()).await?),
        "outputs" => tensor(&learner.outputs_async(Images::of(&first)?.pixels()).await?),
        "evaluate" => {
            let test = Labelled::of(&first)?;
            let shape = learner.network().input;
            json(&learner.evaluate_async(&test.of_shape(shape)?, JUDGED).await?).into()
        }
        "tensor" => tensor(&learner.tensor_async(&first.as_string().unwrap_or_default()).await?),
        "activations" => {
            let layer = second.as_string().unwrap_or_default();
            tensor(&learner.activations_async(Images::of(&first)?.pixels(), &layer).await?)
        }
        "rate" => {
            learner.set_lr(first.as_f64().unwrap_or(f64::NAN))?;
            JsValue::UNDEFINED
        }
        "freeze" | "unfreeze" => {
            let names: Vec<String> = Array::from(&first).iter().filter_map(|name| name.as_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            if what == "freeze" {
                learner.freeze(&names)?
            } else {
                learner.unfreeze(&names)?
            }
            JsValue::UNDEFINED
        }
        "save" => Uint8Array::from(&learner.to_bytes().await?[..]).into(),
        _ => return Err(Error::Usage(format!("a network has no answer to '{what}'"))),
    })
}
