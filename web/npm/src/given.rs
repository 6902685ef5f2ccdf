//! Typed arrays of JavaScript, copied.

use js_sys::{Array, Float32Array, Uint8Array, Uint32Array};
use mexhat::train::{Batches, Data, Examples, Order, Pixels, Tensor};
use mexhat::{Error, Result};
use wasm_bindgen::prelude::*;

/// Images, (N,C,H,W).
pub enum Images {
    Floats(Vec<f32>),
    Bytes(Vec<u8>),
}

impl Images {
    /// Floats of a Float32Array, or bytes of a Uint8Array.
    pub fn of(given: &JsValue) -> Result<Self> {
        if let Some(floats) = given.dyn_ref::<Float32Array>() {
            return Ok(Self::Floats(floats.to_vec()));
        }
        let bytes = given.dyn_ref::<Uint8Array>();
        let wrong = || Error::Usage("images: expected a Float32Array, or a Uint8Array of which 255 becomes 1".into());
        bytes.map(|bytes| Self::Bytes(bytes.to_vec())).ok_or_else(wrong)
    }

    pub fn pixels(&self) -> Pixels<'_> {
        match self {
            Self::Floats(values) => values.into(),
            Self::Bytes(values) => values.into(),
        }
    }
}

/// Images, each with its class.
pub struct Labelled {
    images: Images,
    labels: Vec<u32>,
    class_names: Vec<String>,
}

impl Labelled {
    /// `[images, labels, names of classes]`.
    pub fn of(given: &JsValue) -> Result<Self> {
        let [images, labels, names] = [0, 1, 2].map(|i| Array::from(given).get(i));
        let labels = labels.dyn_ref::<Uint32Array>().map(Uint32Array::to_vec);
        let labels =
            labels.ok_or_else(|| Error::Usage("labels: expected the number of a class for each image".into()))?;
        let class_names = Array::from(&names).iter().filter_map(|name| name.as_string()).collect();
        Ok(Self { images: Images::of(&images)?, labels, class_names })
    }

    /// As images of this shape.
    pub fn of_shape(&self, shape: [usize; 3]) -> Result<Shaped<'_>> {
        Ok(Shaped { examples: Examples::new(self.images.pixels(), shape, &self.labels)?, names: &self.class_names })
    }
}

/// [`Examples`] whose classes have names.
pub struct Shaped<'a> {
    examples: Examples<'a>,
    names: &'a [String],
}

impl Data for Shaped<'_> {
    fn shape(&self) -> [usize; 3] {
        self.examples.shape()
    }

    fn images(&self) -> Option<usize> {
        self.examples.images()
    }

    fn class_names(&self) -> &[String] {
        self.names
    }

    fn epoch<'a>(&'a self, order: Order) -> Result<Batches<'a>> {
        self.examples.epoch(order)
    }
}

/// `[shape, values]`.
pub fn tensor(tensor: &Tensor) -> JsValue {
    let shape: Array = tensor.shape.iter().map(|side| JsValue::from(*side as f64)).collect();
    Array::of2(&shape, &Float32Array::from(&tensor.values[..])).into()
}
