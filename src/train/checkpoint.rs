//! Saved networks and saved runs: safetensors with PyTorch-style keys, row-major, and one JSON text of metadata with a
//! checksum.

use super::checksum::checksum;
#[cfg(not(target_arch = "wasm32"))]
use super::stranger::stranger;
use super::{Best, ModelSpec, Options};
use crate::data::Dataset;
use crate::models::Model;
use crate::tape::{State, StateTensor};
use crate::{Error, Result, json};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;

/// Key of the metadata. There is one only, because the order of several would differ from file to file.
const KEY: &str = "mexhat";

/// Most steps of a saved run: beyond this, f64 in other programs no longer counts them.
const MOST_STEPS: u64 = 1 << 53;

/// Number of this file format. Files of another number are refused, because what they mean cannot be known.
const FORMAT: u32 = 2;

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done; also the number of training forwards, which decides what is frozen.
    pub step: u64,
    /// Epoch of the next step.
    pub epoch: u64,
    /// Batch of the next step within its epoch.
    pub batch: u64,
    /// Epochs over which the schedule runs.
    pub epochs: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Last evaluation on the test images: loss and accuracy.
    pub last_eval: Option<(f32, f32)>,
    /// Mean intersection over union in it, where pixels have classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_iou: Option<f32>,
    /// Loss and accuracy on validation images.
    pub last_validation: Option<(f32, f32)>,
    /// The best epoch on validation images, in runs with patience.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
}

impl Progress {
    /// Whether the last `patience` epochs were no better than the best.
    pub(super) fn is_stale(&self, patience: Option<u64>) -> bool {
        let stale =
            |(best, patience): (Best, u64)| self.batch == 0 && self.epoch >= best.epoch.saturating_add(patience);
        self.best.zip(patience).is_some_and(stale)
    }
}

/// By which a run that goes on knows its data again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataMark {
    /// Training, validation and test images.
    pub images: [usize; 3],
    /// SHA-256 of pixels, labels and class names.
    pub checksum: String,
}

impl DataMark {
    /// The mark of these splits.
    pub fn of(train: &Dataset, validation: Option<&Dataset>, test: &Dataset) -> Self {
        let mut hash = Sha256::new();
        [Some(train), validation, Some(test)].into_iter().flatten().for_each(|data| hash.update(data.checksum()));
        let checksum = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { images: [train.len(), validation.map_or(0, Dataset::len), test.len()], checksum }
    }
}

impl std::fmt::Display for DataMark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [train, validation, test] = self.images;
        let validation = if validation > 0 { format!(", {validation} validation") } else { String::new() };
        let short = self.checksum.get(..12).unwrap_or(&self.checksum);
        write!(f, "{train} training{validation} and {test} test images, checksum {short}")
    }
}

/// A run as a checkpoint keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedRun {
    /// What it was asked to do.
    pub options: Options,
    /// How far it has come.
    pub progress: Progress,
    /// What it learns from.
    pub data: DataMark,
}

impl SavedRun {
    /// The options with which the run goes on, when it is to have `epochs` or `steps` in place of what it was given;
    /// `None` when nothing is left to do. Of a run that was given epochs, a number of steps that it has reached was but
    /// a pause; a run that was given only steps ends after them.
    pub fn go_on(&self, epochs: Option<u64>, steps: Option<u64>) -> Option<Options> {
        let done = self.progress;
        let mut options = Options { epochs: epochs.or(self.options.epochs), ..self.options.clone() };
        let paused = options.epochs.is_some();
        options.steps = steps.or(self.options.steps.filter(|steps| !paused || done.step < *steps));
        let batches = (done.step - done.batch).checked_div(done.epoch);
        let longer = batches.zip(options.steps).map_or(0, |(batches, steps)| steps.div_ceil(batches.max(1)));
        let epochs = options.epochs.unwrap_or(done.epochs.max(longer));
        let over =
            self.stopped_early() || done.epoch >= epochs || options.steps.is_some_and(|steps| done.step >= steps);
        (!over).then_some(options)
    }

    /// Whether the run ended because so many epochs were no better than the best.
    pub fn stopped_early(&self) -> bool {
        self.progress.is_stale(self.options.patience)
    }

    /// Refuses numbers that no run writes.
    fn check(&self) -> Result<()> {
        self.options.validate()?;
        let Progress { step, epoch, batch, epochs, seconds, last_eval, mean_iou, last_validation, best } =
            self.progress;
        let counted = step <= MOST_STEPS && epoch <= step && batch <= step && epochs > 0;
        let best = best.map(|best| (best.loss, best.accuracy));
        let iou = mean_iou.map(|iou| (0.0, iou));
        let found = [last_eval, iou, last_validation, best].into_iter().flatten();
        let finite =
            found.fold(true, |all, (loss, accuracy)| all && loss.is_finite() && (0.0..=1.0).contains(&accuracy));
        if counted && finite && seconds.is_finite() && seconds >= 0.0 {
            return Ok(());
        }
        Err(Error::Usage(format!("its progress is not that of a run: {:?}", self.progress)))
    }
}

/// What all formats share.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    format: u32,
    checksum: String,
    spec: ModelSpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<SavedRun>,
}

/// Both files of a moment, as bytes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Steps done.
    pub step: u64,
    /// `model.safetensors`: parameters and buffers.
    pub model: Vec<u8>,
    /// `checkpoint.safetensors`: these, the optimiser's moments, and how far the run has come.
    pub checkpoint: Vec<u8>,
}

impl Snapshot {
    /// Both files of `state`.
    ///
    /// # Errors
    /// None that a state of finite names and shapes gives.
    pub fn new(state: &State, spec: &ModelSpec, run: &SavedRun) -> Result<Self> {
        Ok(Self {
            step: run.progress.step,
            model: model_bytes(state, spec)?,
            checkpoint: encode(state, Metadata::new(spec, Some(run)), |tensor| tensor.lasting)?,
        })
    }
}

/// A network as the bytes of a file, its weights averages over the steps where there are some.
pub(crate) fn model_bytes(state: &State, spec: &ModelSpec) -> Result<Vec<u8>> {
    encode(&state.as_judged(), Metadata::new(spec, None), |t| t.model)
}

impl Metadata {
    /// Without its checksum yet.
    fn new(spec: &ModelSpec, run: Option<&SavedRun>) -> Self {
        Self { format: FORMAT, checksum: String::new(), spec: spec.clone(), run: run.cloned() }
    }
}

/// Refuses keys that this version would pass over: what they ask for would be left undone without a word.
#[cfg(not(target_arch = "wasm32"))]
fn no_strangers(text: &str) -> Result<()> {
    let metadata: serde_json::Value = json::read(text).map_err(|e| Error::Usage(e.to_string()))?;
    let at = |place: &str| metadata.pointer(place).and_then(serde_json::Value::as_object);
    let strange = [
        ("", stranger::<Metadata>(at(""))),
        (" of the network", stranger::<ModelSpec>(at("/spec"))),
        (" of the run", stranger::<SavedRun>(at("/run"))),
        (" of the run's options", stranger::<Options>(at("/run/options"))),
        (" of the run's progress", stranger::<Progress>(at("/run/progress"))),
        (" of the run's data", stranger::<DataMark>(at("/run/data"))),
    ];
    match strange.into_iter().find_map(|(place, key)| Some((place, key?))) {
        None => Ok(()),
        Some((place, key)) => Err(Error::Usage(format!(
            "'{key}' is no key{place} that this version knows; use the version that wrote it, or train again"
        ))),
    }
}

fn encode(state: &State, mut metadata: Metadata, keep: fn(&StateTensor) -> bool) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::Run(format!("the network could not be encoded: {e}"));
    let bytes: Vec<(&StateTensor, Vec<u8>)> = state
        .iter()
        .map(|(_, tensor)| tensor)
        .filter(|tensor| keep(tensor))
        .map(|tensor| (tensor, value_bytes(tensor)))
        .collect();
    let views = bytes
        .iter()
        .map(|(tensor, bytes)| {
            TensorView::new(saved_type(tensor), tensor.saved_shape().to_vec(), bytes)
                .map(|view| (tensor.name.as_str(), view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| failed(&e))?;
    let text = json::text(&metadata).map_err(|e| failed(&e))?;
    metadata.checksum = checksum(&text, views.iter().map(|(name, view)| (*name, view)))?;
    let text = json::text(&metadata).map_err(|e| failed(&e))?;
    safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), text)]))).map_err(|e| failed(&e))
}

fn saved_type(tensor: &StateTensor) -> Dtype {
    if tensor.is_counter() { Dtype::I64 } else { Dtype::F32 }
}

/// The values of a tensor as a file has them.
fn value_bytes(tensor: &StateTensor) -> Vec<u8> {
    match tensor.is_counter() {
        true => tensor.values.iter().flat_map(|v| (*v as i64).to_le_bytes()).collect(),
        false => tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}

/// The values of `view` for `tensor`; `None` where the type is neither that of the tensor nor f32.
fn values_of(tensor: &StateTensor, view: &TensorView<'_>) -> Option<Vec<f32>> {
    match view.dtype() {
        Dtype::F32 => Some(view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Dtype::I64 if tensor.is_counter() => {
            Some(view.data().as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b) as f32).collect())
        }
        _ => None,
    }
}

/// A saved network or run, read but not yet put into a state.
pub struct Saved<'a> {
    /// The network.
    pub spec: ModelSpec,
    /// Of a checkpoint: the run.
    pub run: Option<SavedRun>,
    tensors: SafeTensors<'a>,
    /// Of all tensors together.
    values: usize,
    path: &'a Path,
}

impl<'a> Saved<'a> {
    /// Reads the bytes of `path` (which is named in errors).
    ///
    /// # Errors
    /// [`Error::Input`] when this is no safetensors file, not one of mexhat's, or not as it was written; when it asks
    /// for a network beyond [what one may be](ModelSpec::check) or lacks a part of its own.
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
        let strange = |e| Error::input(path, format!("has metadata that this version does not understand: {e}"));
        let format = json::read::<Format>(text).map_err(strange)?.format;
        if format != FORMAT {
            return Err(Error::input(
                path,
                format!(
                    "is of format {format}, but this version reads format {FORMAT}; use the version that wrote it, or train again"
                ),
            ));
        }
        let metadata: Metadata = json::read(text).map_err(strange)?;
        if metadata.checksum != checksum(text, tensors.iter())? {
            return Err(Error::input(
                path,
                "does not match its own checksum, so it has been damaged or changed since it was written; \
                 take an earlier copy or train again",
            ));
        }
        let unusable = |e| Error::input(path, format!("cannot be used: {e}"));
        metadata.spec.check_claims().map_err(unusable)?;
        metadata.run.as_ref().map_or(Ok(()), SavedRun::check).map_err(unusable)?;
        #[cfg(not(target_arch = "wasm32"))]
        no_strangers(text).map_err(unusable)?;
        let values = header.data_len() / size_of::<f32>();
        Ok(Self { spec: metadata.spec.described(), run: metadata.run, tensors, values, path })
    }

    /// A state with room for what the file holds and no more, to build its network in: whatever the file claims, little
    /// is allocated.
    pub fn state(&self) -> State {
        State::within(self.values)
    }

    /// Builds the network in `state`.
    ///
    /// # Errors
    /// [`Error::Input`] when the file describes none that can be built.
    pub fn build(&self, state: &mut State) -> Result<Model> {
        self.spec.build(0, state).map_err(|e| self.unusable(e))
    }

    /// A fault of what the file describes, with its name; how much is missing decides what is advised.
    pub(crate) fn unusable(&self, error: Error) -> Error {
        match error {
            Error::Usage(_) | Error::Shape { .. } => Error::input(self.path, format!("cannot be used: {error}")),
            error => error,
        }
    }

    /// Puts the values into `state`.
    ///
    /// # Errors
    /// [`Error::Input`] when a tensor is missing, or has another shape or type.
    pub fn restore(&self, state: &mut State) -> Result<()> {
        // A saved network has no moments.
        let all = self.run.is_some();
        self.restore_some(state, |tensor| (tensor.lasting && (all || tensor.model)).then(|| tensor.name.clone()))
    }

    /// The network as it is judged: without moments, and of a checkpoint whose run averages its weights, the averages.
    pub(crate) fn restore_judged(&self, state: &mut State) -> Result<()> {
        let averaged = |name: &str| {
            let average = format!("average.{name}");
            (self.run.is_some() && self.tensors.tensor(&average).is_ok()).then_some(average)
        };
        self.restore_some(state, |tensor| {
            tensor.model.then(|| averaged(&tensor.name).unwrap_or_else(|| tensor.name.clone()))
        })
    }

    /// Of each tensor for which `source` names one of the file, its values.
    fn restore_some(&self, state: &mut State, source: impl Fn(&StateTensor) -> Option<String>) -> Result<()> {
        let ids: Vec<_> = state.iter().map(|(id, _)| id).collect();
        for id in ids {
            let tensor = state.get_mut(id);
            let Some(name) = source(tensor) else { continue };
            let wrong = |what: String| {
                Error::input(self.path, format!("tensor '{name}' {what}; the file belongs to another network"))
            };
            // What a counter was called before it had PyTorch's name.
            let earlier = || self.tensors.tensor(&earlier_name(&name)?).ok();
            let view = self.tensors.tensor(&name).ok().or_else(earlier).ok_or_else(|| wrong("is missing".into()))?;
            // Files had the shapes of the device before they had PyTorch's.
            let fits = view.shape() == tensor.saved_shape() || view.shape() == tensor.ty.shape;
            let Some(values) = values_of(tensor, &view).filter(|_| fits) else {
                let found = format!("{:?} {:?}", view.dtype(), view.shape());
                return Err(wrong(format!(
                    "should be {:?} {:?}, but is {found}",
                    saved_type(tensor),
                    tensor.saved_shape()
                )));
            };
            tensor.values = values;
        }
        Ok(())
    }
}

/// What files called the tensor `name` in earlier versions, where that was something else.
pub(super) fn earlier_name(name: &str) -> Option<String> {
    name.strip_suffix(".num_batches_tracked").map(|layer| format!("{layer}.steps"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{LoadOptions, load};
    use crate::train::NetOptions;

    #[test]
    fn values_come_back_bit_by_bit() {
        let options =
            Options { net: NetOptions { model: "linear".into(), ..Default::default() }, ..Default::default() };
        let limits = LoadOptions { limit_train: Some(4), limit_test: Some(4), ..Default::default() };
        let splits = load("glyphs", &limits).unwrap();
        let spec = ModelSpec::new(&options, &splits);
        let mut state = State::new();
        spec.build(3, &mut state).unwrap();
        let parameter = state.parameters()[0];
        state.moment("momentum", parameter);
        let last_eval = Some((0.5, 0.25));
        let progress =
            Progress { step: 7, epoch: 1, batch: 2, epochs: 3, seconds: 1.5, last_eval, ..Progress::default() };
        let run = SavedRun { options, progress, data: DataMark::of(&splits.train, None, &splits.test) };
        let snapshot = Snapshot::new(&state, &spec, &run).unwrap();
        let begun = SavedRun { progress: Progress::default(), ..run.clone() };
        assert_eq!(snapshot.model, Snapshot::new(&state, &spec, &begun).unwrap().model);

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
        assert_eq!(saved.run.as_ref(), Some(&run));
        let mut larger = State::new();
        larger.parameter("extra", &[1], vec![0.0]);
        assert!(saved.restore(&mut larger).unwrap_err().to_string().contains("'extra' is missing"));
        assert!(Saved::read(path, &snapshot.model[..100]).is_err());
    }

    /// What files held before they had the shapes and names of PyTorch's layers.
    #[test]
    fn files_of_earlier_versions_are_read() {
        for model in ["lenet", "mlp"] {
            let options =
                Options { net: NetOptions { model: model.into(), ..Default::default() }, ..Default::default() };
            let limits = LoadOptions { limit_train: Some(4), limit_test: Some(4), ..Default::default() };
            let spec = ModelSpec::new(&options, &load("glyphs", &limits).unwrap());
            let mut state = State::new();
            spec.build(3, &mut state).unwrap();
            let mut earlier = state.clone();
            let mut others = 0;
            for id in state.iter().map(|(id, _)| id) {
                let tensor = earlier.get_mut(id);
                tensor.values.iter_mut().enumerate().for_each(|(i, value)| *value += (i % 7) as f32);
                others += usize::from(tensor.saved.take().is_some_and(|saved| saved != tensor.ty.shape));
                tensor.name = earlier_name(&tensor.name).unwrap_or_else(|| tensor.name.clone());
            }
            assert!(others > 4, "{model}: {others} tensors of another shape");
            let bytes = model_bytes(&earlier, &spec).unwrap();
            Saved::read(Path::new("x"), &bytes).unwrap().restore_judged(&mut state).unwrap();
            for (id, tensor) in state.iter() {
                assert_eq!(tensor.values, earlier.get(id).values, "{model}: {}", tensor.name);
            }
            let now = model_bytes(&state, &spec).unwrap();
            let file = SafeTensors::deserialize(&now).unwrap();
            for (_, tensor) in state.iter() {
                let view = file.tensor(&tensor.name).unwrap();
                assert_eq!(view.shape(), tensor.saved_shape(), "{model}: {}", tensor.name);
                assert_eq!(view.dtype() == Dtype::I64, tensor.is_counter(), "{model}: {}", tensor.name);
            }
        }
    }
}
