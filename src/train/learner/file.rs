//! Networks in files: what `mexhat train` writes, and what it, `mexhat eval` and the page read.

use super::{Learner, Loss, Update};
use crate::data::Normalize;
use crate::gpu::Gpu;
use crate::nn::Network;
use crate::tape::Session;
use crate::train::ModelSpec;
use crate::train::checkpoint::{Saved, model_bytes};
use crate::{Error, Result};
use std::collections::VecDeque;
use std::path::Path;

impl Learner {
    /// The network as the bytes of a safetensors file: every parameter and running statistic under its name, how images
    /// are normalised, and the layers themselves.
    ///
    /// # Errors
    /// The device failed.
    pub async fn to_bytes(&mut self) -> Result<Vec<u8>> {
        self.session.download(&mut self.state).await?;
        model_bytes(&self.state, &self.spec())
    }

    fn spec(&self) -> ModelSpec {
        let (classes, normalize) = (self.model.classes, self.normalize.clone());
        let mut spec = ModelSpec::of(&self.network, classes, &self.data, normalize);
        spec.masks = self.model.output.len() == 3;
        if self.class_names.len() == classes {
            spec.class_names.clone_from(&self.class_names);
        }
        spec
    }

    /// Writes [`Learner::to_bytes`], all or nothing.
    ///
    /// # Errors
    /// The file cannot be written, or the device failed.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn save(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let (path, bytes) = (path.as_ref(), pollster::block_on(self.to_bytes())?);
        crate::train::files::write_whole(path, &bytes)
            .map_err(|e| Error::input(path, format!("cannot be written: {e}; choose another place")))
    }

    /// The network as the bytes of an ONNX model: `images` (N,C,H,W) to `logits` and `probabilities`, deconvolution
    /// folded into the weights, class names and normalisation in the metadata. With `preprocess` the images are pixels
    /// of 0 to 255 (`u8`), otherwise `f32` that are normalised already.
    ///
    /// # Errors
    /// A layer is a module that only a program knows, or the device failed.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn to_onnx(&mut self, preprocess: bool) -> Result<Vec<u8>> {
        use crate::export::{Onnx, onnx};
        self.session.download(&mut self.state).await?;
        let (normalize, class_names) = (&self.normalize, self.class_names.as_slice());
        onnx(&self.network, &self.state.as_judged(), &Onnx { normalize, preprocess, class_names })
    }

    /// As [`Learner::to_bytes`], with every deconvolution folded into ordinary layers: `mexhat::train::Learner::load`
    /// opens it, and the tensors are those that PyTorch's layers of the same names take.
    ///
    /// # Errors
    /// The device failed.
    #[cfg(not(target_arch = "wasm32"))]
    pub async fn to_plain(&mut self) -> Result<Vec<u8>> {
        self.session.download(&mut self.state).await?;
        let (network, state) = crate::export::plain(&self.network, &self.state.as_judged())?;
        model_bytes(&state, &self.spec().with_network(network))
    }

    /// Takes the values of a safetensors file wherever names and shapes agree, and tells what did not: a PyTorch
    /// `state_dict`, the authors' `running_mean`, `running_deconv` and `num_batches_tracked` included, or another
    /// network's file. What [`Learner::save`] writes has the names, shapes and types of their layers and of PyTorch's,
    /// so that `model.load_state_dict(load_file(FILE), strict=True)` takes it there.
    ///
    /// The `counter` by which their `FastDeconv` is frozen is no tensor of their `state_dict`: such a layer begins to
    /// count anew there, and here the run counts its steps. A file that has one is taken without it
    /// ([`Loaded::counters`](crate::train::Loaded::counters)).
    ///
    /// ```no_run
    /// # fn run(learner: &mut mexhat::train::Learner) -> mexhat::Result<()> {
    /// // In Python: safetensors.torch.save_file(model.state_dict(), "resnet18.safetensors")
    /// let loaded = learner.load_state_dict("resnet18.safetensors")?;
    /// println!("{} tensors, without {:?}", loaded.taken, loaded.missing);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The file is none of safetensors, nothing in it fits, a value is no number, or the device failed. Then nothing
    /// has changed.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn load_state_dict(&mut self, path: impl AsRef<Path>) -> Result<crate::train::Loaded> {
        let path = path.as_ref();
        let bytes = crate::train::files::read_regular(path)?;
        self.take_values(path, &bytes)
    }

    /// As [`Learner::load_state_dict`], of a file that has been read.
    #[cfg(not(target_arch = "wasm32"))]
    pub(in crate::train) fn take_values(&mut self, path: &Path, bytes: &[u8]) -> Result<crate::train::Loaded> {
        pollster::block_on(self.session.download(&mut self.state))?;
        let mut state = self.state.clone();
        let loaded = crate::train::state_dict::load_state_dict(&mut state, path, bytes)?;
        state.begin_averages();
        self.state = state;
        self.session.upload(&self.state);
        Ok(loaded)
    }

    /// Begins averages of weights anew, with the values that the host has.
    pub(in crate::train) fn begin_averages(&mut self) {
        if self.update.is_some_and(|update| update.average.is_some()) {
            self.state.begin_averages();
            self.session.upload(&self.state);
        }
    }

    /// A saved network, ready to predict; [`Learner::with_update`] lets it learn on.
    ///
    /// ```no_run
    /// use mexhat::train::Learner;
    /// let mut learner = Learner::load(&mexhat::Gpu::open(None)?, "digits.safetensors")?;
    /// let shares = learner.predict(&[0u8; 28 * 28][..])?;
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    ///
    /// # Errors
    /// The file is no saved network, or holds modules that only a program can define ([`Learner::load_with`]).
    #[cfg(not(target_arch = "wasm32"))]
    pub fn load(gpu: &Gpu, path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(gpu, path, |_| Ok(()))
    }

    /// As [`Learner::load`], for a network with modules of the user's: `define` gives them back by [`Network::define`].
    ///
    /// # Errors
    /// As [`Learner::load`], and those of `define`.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn load_with(
        gpu: &Gpu,
        path: impl AsRef<Path>,
        define: impl FnOnce(&mut Network) -> Result<()>,
    ) -> Result<Self> {
        let path = path.as_ref();
        let bytes = crate::train::files::read_regular(path)?;
        Self::from_bytes(gpu, path, &bytes, define)
    }

    /// As [`Learner::load_with`] of the bytes of a file, which errors call `path`.
    ///
    /// # Errors
    /// As [`Learner::load_with`].
    pub fn from_bytes(
        gpu: &Gpu,
        path: &Path,
        bytes: &[u8],
        define: impl FnOnce(&mut Network) -> Result<()>,
    ) -> Result<Self> {
        let saved = Saved::read(path, bytes)?;
        let unknown =
            || Error::input(path, format!("holds a network '{}', which is not known here", saved.spec.net.model));
        let mut network = saved.spec.network.clone().ok_or_else(unknown)?;
        define(&mut network)?;
        let begun = Self::begin(gpu, network, None, saved.state(), |state| saved.restore_judged(state));
        let mut learner = begun.map_err(|e| saved.unusable(e))?;
        learner.data = saved.spec.data.clone();
        learner.class_names = saved.spec.class_names.clone();
        learner.with_normalize(saved.spec.normalize.clone())
    }

    /// With another update rule, its moments zero; values and steps stay.
    ///
    /// # Errors
    /// A number is out of range, or the GPU lacks memory.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn with_update(mut self, update: impl Into<Update>) -> Result<Self> {
        pollster::block_on(self.set_update_async(update))?;
        Ok(self)
    }

    /// As [`Learner::with_update`], where nothing may block. A rule and constants that it has already keep their
    /// moments; then the learning rate alone changes.
    ///
    /// # Errors
    /// As [`Learner::with_update`].
    pub async fn set_update_async(&mut self, update: impl Into<Update>) -> Result<()> {
        let update = update.into();
        update.check()?;
        if self.update.is_some_and(|own| Update { lr: update.lr, ..own } == update) {
            self.update = Some(update);
            return Ok(());
        }
        self.session.download(&mut self.state).await?;
        update.reserve(&mut self.state);
        self.session = Session::new(self.session.gpu(), &self.state)?;
        (self.passes, self.flights) = (Vec::new(), VecDeque::new());
        self.update = Some(update);
        Ok(())
    }

    /// What this learner makes small.
    pub fn loss(&self) -> &Loss {
        &self.loss
    }

    /// How its images are normalised.
    pub fn normalize(&self) -> &Normalize {
        &self.normalize
    }
}
