//! Tensors that live across steps: parameters, running statistics, optimiser moments.

use super::Type;
use std::collections::HashMap;

/// Number of a tensor in a [`State`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(pub usize);

/// A named tensor with its host values.
#[derive(Clone, Debug)]
pub struct StateTensor {
    /// PyTorch-style key, such as `conv1.weight`.
    pub name: String,
    /// Shape and layout on the device.
    pub ty: Type,
    /// True for parameters that an optimiser updates.
    pub trainable: bool,
    /// True for what belongs to a saved model; false for optimiser moments.
    pub model: bool,
    /// Row-major values, as of the last synchronisation with the device.
    pub values: Vec<f32>,
}

/// All tensors of a run.
#[derive(Clone, Debug, Default)]
pub struct State {
    tensors: Vec<StateTensor>,
    by_name: HashMap<String, StateId>,
}

impl State {
    /// No tensors.
    pub fn new() -> Self {
        Self::default()
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
        self.add(StateTensor { name: name.into(), ty: Type::plain(shape), trainable: true, model: true, values })
    }

    /// A buffer: saved, not trained.
    pub fn buffer(&mut self, name: &str, ty: Type, values: Vec<f32>) -> StateId {
        self.add(StateTensor { name: name.into(), ty, trainable: false, model: true, values })
    }

    /// A tensor that only training needs, such as a momentum.
    pub fn moment(&mut self, name: &str, ty: Type) -> StateId {
        let values = vec![0.0; ty.len()];
        self.add(StateTensor { name: name.into(), ty, trainable: false, model: false, values })
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
