//! Tensors that live across steps: parameters, running statistics, optimiser moments.

use super::Type;
use crate::gpu::Gpu;
use crate::{Error, Result};
use std::borrow::Cow;
use std::collections::HashMap;

/// Number of a tensor in a [`State`].
///
/// ```
/// use mexhat::nn::{Forward, Module, Network, StateId, Var, functional as f};
///
/// /// `x weight^T`: a module keeps the number of its tensor, and finds the tensor on every tape by it.
/// #[derive(Debug)]
/// struct Product { weight: StateId }
///
/// impl Module for Product {
///     fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> mexhat::Result<Var> {
///         let weight = ctx.tensor(self.weight);
///         f::linear(ctx.tape, x, weight, None)
///     }
/// }
///
/// let mut net = Network::new([1, 2, 2]);
/// net.flatten().custom("product", |init, input| {
///     Ok(Box::new(Product { weight: init.uniform("weight", &[3, input[0]], input[0]) }))
/// });
/// assert_eq!(net.build(&mut mexhat::nn::State::new())?.output, [3]);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(pub usize);

/// A named tensor with its host values.
#[derive(Clone, Debug)]
pub struct StateTensor {
    /// PyTorch-style key, such as `conv1.weight`.
    pub name: String,
    /// Shape and layout on the device.
    pub ty: Type,
    /// True for parameters, frozen ones too.
    pub parameter: bool,
    /// True for parameters that an optimiser updates.
    pub trainable: bool,
    /// True for what belongs to a saved model; false for optimiser moments.
    pub model: bool,
    /// True for what the next step builds upon; false for what each step makes anew, which no checkpoint keeps.
    pub lasting: bool,
    /// Row-major values, as of the last synchronisation with the device.
    pub values: Vec<f32>,
    /// Its shape in files, where PyTorch's layer of the same kind has another than the device.
    pub saved: Option<Vec<usize>>,
}

impl StateTensor {
    /// Its shape in files.
    pub fn saved_shape(&self) -> &[usize] {
        self.saved.as_deref().unwrap_or(&self.ty.shape)
    }

    /// Whether it counts: what has no sides in files is PyTorch's `num_batches_tracked`, a whole number of 64 bits.
    pub(crate) fn is_counter(&self) -> bool {
        matches!(self.saved.as_deref(), Some([]))
    }
}

/// All tensors of a network: parameters, running statistics, and what an optimiser keeps.
///
/// ```
/// use mexhat::nn::{Network, Norm, State};
/// let mut state = State::new();
/// let mut net = Network::new([1, 4, 4]).norm(Norm::None);
/// net.flatten().linear(3);
/// net.build(&mut state)?;
/// let shapes: Vec<_> = state.iter().map(|(_, tensor)| tensor.ty.shape.clone()).collect();
/// assert_eq!(shapes, [vec![3, 16], vec![3]]);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct State {
    tensors: Vec<StateTensor>,
    by_name: HashMap<String, StateId>,
    /// Most values of all tensors together.
    most: Option<usize>,
    /// What has to hold them, while a network is built.
    gpu: Option<Gpu>,
}

impl State {
    /// No tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// No tensors yet, and no more than so many values ever: for networks that a file describes.
    pub fn within(values: usize) -> Self {
        Self { most: Some(values), ..Self::default() }
    }

    /// No tensors yet, and none that `gpu` cannot bind or for whose values this system has no memory.
    pub(crate) fn on(gpu: &Gpu) -> Self {
        Self { gpu: Some(gpu.clone()), ..Self::default() }
    }

    /// No longer asks the GPU, which may go away while this stays.
    pub(crate) fn is_built(&mut self) {
        self.gpu = None;
    }

    /// Refuses a tensor of this shape where it would not fit, before it is made.
    ///
    /// # Errors
    /// [`Error::Usage`] with the shape and what is left, [`Error::Limit`] or [`Error::Memory`].
    pub fn room_for(&self, shape: &[usize]) -> Result<()> {
        let values = shape.iter().try_fold(1usize, |n, side| n.checked_mul(*side));
        if let Some(most) = self.most {
            let left = most.saturating_sub(self.tensors.iter().map(|tensor| tensor.values.len()).sum());
            if values.is_none_or(|values| values > left) {
                let what = format!("needs a tensor of {shape:?}, but only {left} more values are there");
                return Err(Error::Usage(what));
            }
        }
        let Some(gpu) = &self.gpu else { return Ok(()) };
        let bytes = values.map_or(u64::MAX, |values| (values as u64).saturating_mul(4));
        gpu.check_buffer(&format!("a weight of {shape:?}"), bytes)?;
        gpu.check_host_room(bytes)
    }

    /// Adds a tensor; the same name again returns the tensor that is there.
    pub fn add(&mut self, tensor: StateTensor) -> StateId {
        if let Some(id) = self.by_name.get(&tensor.name) {
            return *id;
        }
        let id = StateId(self.tensors.len());
        self.by_name.insert(tensor.name.clone(), id);
        self.tensors.push(tensor);
        id
    }

    /// A parameter: trained and saved.
    pub fn parameter(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> StateId {
        let ty = Type::plain(shape);
        self.add(StateTensor {
            name: name.into(),
            ty,
            parameter: true,
            trainable: true,
            model: true,
            lasting: true,
            values,
            saved: None,
        })
    }

    /// A buffer: saved, not trained.
    pub fn buffer(&mut self, name: &str, ty: Type, values: Vec<f32>) -> StateId {
        self.add(StateTensor {
            name: name.into(),
            ty,
            parameter: false,
            trainable: false,
            model: true,
            lasting: true,
            values,
            saved: None,
        })
    }

    /// As [`State::buffer`], of another shape in files.
    pub(crate) fn buffer_saved_as(&mut self, shape: &[usize], name: &str, ty: Type, values: Vec<f32>) -> StateId {
        let id = self.buffer(name, ty, values);
        self.get_mut(id).saved = Some(shape.to_vec());
        id
    }

    /// A tensor like parameter `of` that only training needs, such as a momentum: called `KIND.NAME` and 0 at first.
    pub fn moment(&mut self, kind: &str, of: StateId) -> StateId {
        let values = vec![0.0; self.get(of).ty.len()];
        self.beside(kind, of, true, values)
    }

    /// The sum of the gradients of parameter `of` within one step, called `gradient.NAME`.
    pub fn gradient(&mut self, of: StateId) -> StateId {
        let values = vec![0.0; self.get(of).ty.len()];
        self.beside("gradient", of, false, values)
    }

    /// The average of tensor `of` over the steps, called `average.NAME`: at first its values as they are.
    pub fn average(&mut self, of: StateId) -> StateId {
        let values = self.get(of).values.clone();
        self.beside("average", of, true, values)
    }

    /// A row-major tensor that only training needs; see [`StateTensor::lasting`].
    pub(crate) fn helper(&mut self, name: &str, values: Vec<f32>, lasting: bool) -> StateId {
        self.of_training(name.into(), Type::plain(&[values.len()]), values, lasting)
    }

    fn beside(&mut self, kind: &str, of: StateId, lasting: bool, values: Vec<f32>) -> StateId {
        let StateTensor { name, ty, .. } = self.get(of);
        let (name, ty) = (format!("{kind}.{name}"), ty.clone());
        self.of_training(name, ty, values, lasting)
    }

    fn of_training(&mut self, name: String, ty: Type, values: Vec<f32>, lasting: bool) -> StateId {
        self.add(StateTensor {
            name,
            ty,
            parameter: false,
            trainable: false,
            model: false,
            lasting,
            values,
            saved: None,
        })
    }

    /// Tensors of the model that have an average, with that.
    pub fn averages(&self) -> Vec<(StateId, StateId)> {
        let models = self.iter().filter(|(_, tensor)| tensor.model);
        models.filter_map(|(id, tensor)| Some((id, self.find(&format!("average.{}", tensor.name))?))).collect()
    }

    /// The tensors with which a network is judged and saved: of those that have an average, the average.
    pub fn as_judged(&self) -> Cow<'_, Self> {
        let averages = self.averages();
        if averages.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut judged = self.clone();
        averages.into_iter().for_each(|(id, average)| judged.get_mut(id).values.clone_from(&self.get(average).values));
        Cow::Owned(judged)
    }

    /// Begins all averages anew, with the values as they are.
    pub fn begin_averages(&mut self) {
        for (id, average) in self.averages() {
            self.get_mut(average).values = self.get(id).values.clone();
        }
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.tensors.iter().map(|tensor| tensor.ty.bytes()).sum()
    }

    /// A tensor.
    pub fn get(&self, id: StateId) -> &StateTensor {
        &self.tensors[id.0]
    }

    /// A tensor, to change its values.
    pub fn get_mut(&mut self, id: StateId) -> &mut StateTensor {
        &mut self.tensors[id.0]
    }

    /// The tensor called `name`.
    pub fn find(&self, name: &str) -> Option<StateId> {
        self.by_name.get(name).copied()
    }

    /// All tensors in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (StateId, &StateTensor)> {
        self.tensors.iter().enumerate().map(|(i, tensor)| (StateId(i), tensor))
    }

    /// Trainable tensors in order.
    pub fn parameters(&self) -> Vec<StateId> {
        self.iter().filter(|(_, tensor)| tensor.trainable).map(|(id, _)| id).collect()
    }

    /// Number of trainable values.
    pub fn parameter_count(&self) -> usize {
        self.tensors.iter().filter(|tensor| tensor.trainable).map(|tensor| tensor.ty.len()).sum()
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// True without tensors.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }
}
