//! Values from other programs: a PyTorch `state_dict` saved as safetensors, or another network's file.

use crate::tape::State;
use crate::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashSet;
use std::path::Path;

/// Names that a note lists before it counts the rest.
const LISTED: usize = 8;
/// What PyTorch keeps beside tensors that is of no use here: counters of batches.
const COUNTERS: [&str; 2] = ["num_batches_tracked", "counter"];

/// What became of the tensors of a file.
///
/// ```
/// use mexhat::train::Loaded;
/// // As Learner::load_state_dict returns it.
/// let loaded = Loaded { taken: 2, missing: vec!["fc1.bias".into()], ..Default::default() };
/// let notes = loaded.notes("resnet.safetensors".as_ref());
/// assert_eq!(notes, ["values: 2 tensors from resnet.safetensors", "not in the file, so they begin anew: fc1.bias"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Tensors that were taken.
    pub taken: usize,
    /// Tensors of the network that the file lacks; they stay as they were.
    pub missing: Vec<String>,
    /// Tensors of the file that the network lacks, counters of batches left out.
    pub extra: Vec<String>,
    /// Tensors of the network that have another shape in the file, with both shapes; they stay as they were.
    pub other_shape: Vec<String>,
}

impl Loaded {
    /// As lines for people, of which `path` is the file.
    pub fn notes(&self, path: &Path) -> Vec<String> {
        let mut notes = vec![format!("values: {} tensors from {}", self.taken, path.display())];
        for (what, names) in [
            ("not in the file, so they begin anew", &self.missing),
            ("of another shape there, so they begin anew", &self.other_shape),
            ("in the file alone, so they are left out", &self.extra),
        ] {
            if !names.is_empty() {
                notes.push(format!("{what}: {}", listed(names)));
            }
        }
        notes
    }
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > LISTED { format!("{shown} and {} more", names.len() - LISTED) } else { shown }
}

/// Puts the tensors of a safetensors file into `state` wherever name and shape agree; leading sides of 1 do not matter, as one
/// covariance for all blocks is (d,d) in the authors' code and (1,d,d) here. Of a checkpoint whose run averages its weights the averages
/// are taken, by which that network is judged.
///
/// # Errors
/// The bytes are no safetensors file, nothing in it fits, or a tensor that fits is of half precision or holds what is no number.
pub fn load_state_dict(state: &mut State, path: &Path, bytes: &[u8]) -> Result<Loaded> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| {
        let what = format!(
            "is not a whole safetensors file ({e}); in PyTorch write it with safetensors.torch.save_file(model.state_dict(), FILE)"
        );
        Error::input(path, what)
    })?;
    let mut loaded = Loaded::default();
    let mut known = HashSet::new();
    let ids: Vec<_> = state.iter().filter(|(_, tensor)| tensor.model).map(|(id, _)| id).collect();
    for id in ids {
        let tensor = state.get_mut(id);
        known.insert(tensor.name.clone());
        let averaged = format!("average.{}", tensor.name);
        let Ok(view) = file.tensor(&averaged).or_else(|_| file.tensor(&tensor.name)) else {
            loaded.missing.push(tensor.name.clone());
            continue;
        };
        if trimmed(view.shape()) != trimmed(&tensor.ty.shape) {
            let shapes = format!("{} {:?} in place of {:?}", tensor.name, view.shape(), tensor.ty.shape);
            loaded.other_shape.push(shapes);
            continue;
        }
        tensor.values = values(&tensor.name, &view, path)?;
        loaded.taken += 1;
    }
    let counter = |name: &str| COUNTERS.iter().any(|counter| name.rsplit('.').next() == Some(*counter));
    loaded.extra = file
        .names()
        .into_iter()
        .filter(|n| !known.contains(n.strip_prefix("average.").unwrap_or(n)) && !counter(n))
        .map(str::to_owned)
        .collect();
    loaded.extra.sort();
    if loaded.taken == 0 {
        return Err(Error::input(
            path,
            format!(
                "has no tensor of this network; expected names such as {}, found {}",
                listed(
                    &known.iter().cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
                ),
                listed(&loaded.extra)
            ),
        ));
    }
    Ok(loaded)
}

fn trimmed(shape: &[usize]) -> &[usize] {
    let ones = shape.iter().take_while(|side| **side == 1).count();
    &shape[ones..]
}

fn values(name: &str, view: &TensorView<'_>, path: &Path) -> Result<Vec<f32>> {
    let chunk = |size: usize| view.data().chunks_exact(size);
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => chunk(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F64 => {
            chunk(8).map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32).collect()
        }
        other => {
            let what = format!("holds '{name}' as {other:?}; expected F32 or F64, so call .float() before saving");
            return Err(Error::input(path, what));
        }
    };
    if values.iter().any(|value| !value.is_finite()) {
        return Err(Error::input(path, format!("holds values in '{name}' that are no numbers; train it again")));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::Type;

    fn file(tensors: &[(&str, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> =
            tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a view"))
        });
        safetensors::serialize(views, None).expect("a file")
    }

    fn state() -> State {
        let mut state = State::new();
        state.parameter("conv1.weight", &[2, 1], vec![0.0; 2]);
        state.parameter("fc.weight", &[3], vec![7.0; 3]);
        state.buffer("conv1.running_deconv", Type::vec4(&[1, 2, 2]), vec![0.0; 4]);
        let weight = state.parameters()[0];
        state.moment("momentum", weight);
        state
    }

    #[test]
    fn what_fits_is_taken_and_the_rest_is_told() {
        let mut state = state();
        let bytes = file(&[
            ("conv1.weight", vec![2, 1], vec![1.0, 2.0]),
            ("conv1.running_deconv", vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]),
            ("conv1.counter", vec![1], vec![5.0]),
            ("fc.weight", vec![4], vec![0.0; 4]),
            ("old.bias", vec![1], vec![0.0]),
            ("average.conv1.weight", vec![2, 1], vec![5.0, 6.0]),
        ]);
        let loaded = load_state_dict(&mut state, Path::new("x"), &bytes).expect("a fit");
        assert_eq!(loaded.taken, 2);
        assert_eq!(loaded.other_shape, ["fc.weight [4] in place of [3]"]);
        assert_eq!(loaded.extra, ["old.bias"]);
        assert!(loaded.missing.is_empty());
        let values = |name: &str| state.get(state.find(name).expect("a tensor")).values.clone();
        assert_eq!(values("conv1.weight"), [5.0, 6.0], "the average");
        assert_eq!(values("conv1.running_deconv"), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(values("fc.weight"), [7.0; 3]);
    }

    #[test]
    fn nothing_in_common_and_numbers_that_are_none_are_refused() {
        let refused =
            |bytes: &[u8]| load_state_dict(&mut state(), Path::new("x"), bytes).expect_err("a refusal").to_string();
        let nothing = refused(&file(&[("a.b", vec![1], vec![0.0])]));
        assert!(nothing.contains("conv1.weight") && nothing.contains("a.b"), "{nothing}");
        assert!(refused(&file(&[("conv1.weight", vec![2, 1], vec![f32::NAN, 0.0])])).contains("no numbers"));
        assert!(refused(b"not a file").contains("save_file"));
    }
}
