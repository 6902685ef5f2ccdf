//! Saved networks and saved runs: safetensors with PyTorch-style keys, row-major, and one JSON text of metadata.

use super::{NetOptions, Options};
use crate::data::{Normalize, Splits};
use crate::models::{self, Model, ModelOptions};
use crate::nn::Network;
use crate::tape::{State, StateTensor};
use crate::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// Key of the metadata. There is one only, because the order of several would differ from file to file.
const KEY: &str = "mexhat";

/// What is needed to build a saved network again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Architecture and normalisation.
    #[serde(flatten)]
    pub net: NetOptions,
    /// (C, H, W) of one image.
    pub input: [usize; 3],
    /// Outputs.
    pub classes: usize,
    /// What it was trained on.
    pub data: String,
    /// How its images are normalised.
    pub normalize: Normalize,
    /// The network itself. Files of earlier versions have none: their architecture is known by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

impl ModelSpec {
    /// The network that `options` ask for on this data.
    pub fn new(options: &Options, splits: &Splits) -> Self {
        let (net, network) = match &options.network {
            Some(network) => (options.net.of(network), Some(network.clone().seed(0))),
            None => (options.net.clone(), None),
        };
        let spec = Self {
            net,
            network,
            input: splits.train.shape,
            classes: splits.train.classes(),
            data: options.data.clone(),
            normalize: splits.normalize.clone(),
        };
        spec.described()
    }

    /// That of `network`, trained on `data`.
    pub(super) fn of(network: &Network, classes: usize, data: &str, normalize: Normalize) -> Self {
        let net = NetOptions::default().of(network);
        Self {
            net,
            input: network.input,
            classes,
            data: data.into(),
            normalize,
            network: Some(network.clone().seed(0)),
        }
    }

    /// With the network of its architecture, unless it has one already or no such architecture is known.
    fn described(mut self) -> Self {
        if self.network.is_none() {
            self.network = models::network(&self.net.model, &self.options(0)).ok();
        }
        self
    }

    fn options(&self, seed: u64) -> ModelOptions {
        self.net.model_options(self.input, self.classes, seed)
    }

    /// The network with fresh values.
    ///
    /// # Errors
    /// The network is unknown, or made for other images or classes than the data has.
    pub fn build(&self, seed: u64, state: &mut State) -> Result<Model> {
        let model = self.network(seed)?.build(state)?;
        self.check(&model)?;
        Ok(model)
    }

    /// The network, for fresh values of this seed.
    pub(super) fn network(&self, seed: u64) -> Result<Network> {
        match &self.network {
            Some(network) => Ok(network.clone().seed(seed)),
            None => models::network(&self.net.model, &self.options(seed)),
        }
    }

    /// Refuses a network that is made for other images or classes.
    pub(super) fn check(&self, model: &Model) -> Result<()> {
        if (model.input, model.classes) != (self.input, self.classes) {
            return Err(Error::Usage(format!(
                "the network '{}' takes images of {:?} (channels, height, width) and tells {} classes apart, but the data \
                 has {:?} in {}; change its input and its last layer",
                model.name, model.input, model.classes, self.input, self.classes
            )));
        }
        Ok(())
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done; also the number of training forwards, which decides what is frozen.
    pub step: u64,
    /// Epoch of the next step.
    pub epoch: u64,
    /// Batch of the next step within its epoch.
    pub batch: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Last evaluation: loss and accuracy.
    pub last_eval: Option<(f32, f32)>,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    format: u32,
    spec: ModelSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Run>,
}

#[derive(Serialize, Deserialize)]
struct Run {
    options: Options,
    progress: Progress,
}

/// Both files of a moment, as bytes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// `model.safetensors`: parameters and buffers.
    pub model: Vec<u8>,
    /// `checkpoint.safetensors`: these, the optimiser's moments, and how far the run has come.
    pub checkpoint: Vec<u8>,
}

impl Snapshot {
    pub(super) fn new(state: &State, spec: &ModelSpec, options: &Options, progress: Progress) -> Result<Self> {
        let run = Some(Run { options: options.clone(), progress });
        let checkpoint = Metadata { format: 1, spec: spec.clone(), run };
        Ok(Self { model: model_bytes(state, spec)?, checkpoint: encode(state, &checkpoint, |_| true)? })
    }
}

/// A network as the bytes of a file.
pub(super) fn model_bytes(state: &State, spec: &ModelSpec) -> Result<Vec<u8>> {
    encode(state, &Metadata { format: 1, spec: spec.clone(), run: None }, |t| t.model)
}

fn encode(state: &State, metadata: &Metadata, keep: fn(&StateTensor) -> bool) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::Run(format!("the network could not be encoded: {e}"));
    let bytes: Vec<(&StateTensor, Vec<u8>)> = state
        .iter()
        .map(|(_, tensor)| tensor)
        .filter(|tensor| keep(tensor))
        .map(|tensor| (tensor, tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = bytes
        .iter()
        .map(|(tensor, bytes)| {
            TensorView::new(Dtype::F32, tensor.ty.shape.clone(), bytes).map(|view| (tensor.name.as_str(), view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| failed(&e))?;
    let text = serde_json::to_string(metadata).map_err(|e| failed(&e))?;
    safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), text)]))).map_err(|e| failed(&e))
}

/// A saved network or run, read but not yet put into a state.
pub struct Saved<'a> {
    /// The network.
    pub spec: ModelSpec,
    /// Of a checkpoint: the run's options and how far it has come.
    pub run: Option<(Options, Progress)>,
    tensors: SafeTensors<'a>,
    path: &'a Path,
}

impl<'a> Saved<'a> {
    /// Reads the bytes of `path` (which is named in errors).
    ///
    /// # Errors
    /// [`Error::Input`] when this is no safetensors file, or not one of mexhat's.
    pub fn read(path: &'a Path, bytes: &'a [u8]) -> Result<Self> {
        let broken = |e: safetensors::SafeTensorError| {
            Error::input(path, format!("is not a whole safetensors file ({e}); train again or copy it again"))
        };
        let tensors = SafeTensors::deserialize(bytes).map_err(broken)?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let text = header.metadata().as_ref().and_then(|map| map.get(KEY)).ok_or_else(|| {
            Error::input(
                path,
                "has no metadata of mexhat, so its network is unknown; expected a file that `mexhat train` wrote",
            )
        })?;
        let metadata: Metadata = serde_json::from_str(text)
            .map_err(|e| Error::input(path, format!("has metadata that this version does not understand: {e}")))?;
        let run = metadata.run.map(|run| (run.options, run.progress));
        Ok(Self { spec: metadata.spec.described(), run, tensors, path })
    }

    /// Puts the values into `state`.
    ///
    /// # Errors
    /// [`Error::Input`] when a tensor is missing, has another shape or is not f32.
    pub fn restore(&self, state: &mut State) -> Result<()> {
        // A saved network has no moments.
        let all = self.run.is_some();
        self.restore_some(state, |tensor| all || tensor.model)
    }

    /// As [`Saved::restore`], without moments.
    pub(super) fn restore_model(&self, state: &mut State) -> Result<()> {
        self.restore_some(state, |tensor| tensor.model)
    }

    fn restore_some(&self, state: &mut State, wanted: impl Fn(&StateTensor) -> bool) -> Result<()> {
        let ids: Vec<_> = state.iter().map(|(id, _)| id).collect();
        for id in ids {
            let tensor = state.get_mut(id);
            if !wanted(tensor) {
                continue;
            }
            let wrong = |what: String| {
                Error::input(self.path, format!("tensor '{}' {what}; the file belongs to another network", tensor.name))
            };
            let view = self.tensors.tensor(&tensor.name).map_err(|_| wrong("is missing".into()))?;
            if view.dtype() != Dtype::F32 || view.shape() != tensor.ty.shape {
                let found = format!("{:?} {:?}", view.dtype(), view.shape());
                return Err(wrong(format!("should be F32 {:?}, but is {found}", tensor.ty.shape)));
            }
            tensor.values = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{LoadOptions, load};

    #[test]
    fn values_come_back_bit_by_bit() {
        let options =
            Options { net: NetOptions { model: "linear".into(), ..Default::default() }, ..Default::default() };
        let limits = LoadOptions { limit_train: Some(4), limit_test: Some(4), ..Default::default() };
        let spec = ModelSpec::new(&options, &load("glyphs", &limits).unwrap());
        let mut state = State::new();
        spec.build(3, &mut state).unwrap();
        let parameter = state.parameters()[0];
        state.moment("momentum", parameter);
        let progress = Progress { step: 7, epoch: 1, batch: 2, seconds: 1.5, last_eval: Some((0.5, 0.25)) };
        let snapshot = Snapshot::new(&state, &spec, &options, progress).unwrap();
        assert_eq!(snapshot.model, Snapshot::new(&state, &spec, &options, Progress::default()).unwrap().model);

        let path = Path::new("x.safetensors");
        for bytes in [&snapshot.model, &snapshot.checkpoint] {
            let saved = Saved::read(path, bytes).unwrap();
            let mut other = State::new();
            saved.spec.build(4, &mut other).unwrap();
            saved.restore(&mut other).unwrap();
            for (_, tensor) in other.iter() {
                let id = state.find(&tensor.name).unwrap();
                assert_eq!(state.get(id).values, tensor.values, "{}", tensor.name);
            }
        }
        let saved = Saved::read(path, &snapshot.checkpoint).unwrap();
        assert_eq!(saved.run.as_ref(), Some(&(options, progress)));
        let mut larger = State::new();
        larger.parameter("extra", &[1], vec![0.0]);
        assert!(saved.restore(&mut larger).unwrap_err().to_string().contains("'extra' is missing"));
        assert!(Saved::read(path, &snapshot.model[..100]).is_err());
    }
}
