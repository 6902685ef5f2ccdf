//! Values from other programs: a PyTorch `state_dict` saved as safetensors, or another network's file.

use super::checkpoint::earlier_name;
use crate::tape::{State, StateTensor};
use crate::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use std::collections::HashSet;
use std::path::Path;

/// Names that a note lists before it counts the rest.
const LISTED: usize = 8;
/// What PyTorch's layers count steps by. Of use to [`ChannelDeconv`](crate::nn::ChannelDeconv) alone, whose first step
/// sets the running statistics: momenta are constants here, and which steps a layer is frozen in the run itself counts.
const COUNTERS: [&str; 2] = ["num_batches_tracked", "counter"];

/// What became of the tensors of a file.
///
/// ```
/// use mexhat::train::Loaded;
/// // As Learner::load_state_dict returns it.
/// let missing = vec!["fc1.bias".into()];
/// let loaded = Loaded { taken: 2, missing, ..Default::default() };
/// let notes = loaded.notes("resnet.safetensors".as_ref());
/// assert_eq!(notes, ["values: 2 tensors from resnet.safetensors", "not in the file, so they begin anew: fc1.bias"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Tensors that were taken.
    pub taken: usize,
    /// Parameters in them, each value counted.
    pub taken_parameters: usize,
    /// Parameters of the network, each value counted.
    pub parameters: usize,
    /// Tensors of the network that the file lacks; they stay as they were.
    pub missing: Vec<String>,
    /// Tensors of the file that the network lacks, counters of steps left out.
    pub extra: Vec<String>,
    /// Counters of steps in the file that the network lacks and needs none of: `num_batches_tracked` of batch norm, and
    /// `counter` of a deconvolution, which the authors' code keeps in its layers but not in their `state_dict`.
    pub counters: Vec<String>,
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
            ("counters, which nothing here needs", &self.counters),
        ] {
            if !names.is_empty() {
                notes.push(format!("{what}: {}", listed(names)));
            }
        }
        notes
    }
}

impl Loaded {
    /// What to look at where less than half of the network came from the file `path`.
    ///
    /// ```
    /// use mexhat::train::Loaded;
    /// let loaded = Loaded { taken: 2, taken_parameters: 160, parameters: 61_706, ..Default::default() };
    /// let warning = loaded.warning("resnet.safetensors".as_ref()).expect("a warning");
    /// assert!(warning.starts_with("only 160 of 61706 parameters (0.3 %) come from resnet.safetensors"));
    /// ```
    pub fn warning(&self, path: &Path) -> Option<String> {
        let Self { taken_parameters, parameters, .. } = *self;
        (2 * taken_parameters < parameters).then(|| {
            format!(
                "only {taken_parameters} of {parameters} parameters ({:.1} %) come from {}: the others begin anew; if that is not what \
                 you meant, look whether the network, its width and its classes are those of the file",
                100.0 * taken_parameters as f64 / parameters as f64,
                path.display()
            )
        })
    }
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > LISTED { format!("{shown} and {} more", names.len() - LISTED) } else { shown }
}

/// Puts the tensors of a safetensors file into `state` wherever name and shape agree, the shape in files or that on the
/// device; leading sides of 1 do not matter. Of a checkpoint whose run averages its weights the averages are taken, by
/// which that network is judged.
///
/// # Errors
/// The bytes are no safetensors file, nothing in it fits, or a tensor that fits is of half precision or holds what is
/// no number.
pub fn load_state_dict(state: &mut State, path: &Path, bytes: &[u8]) -> Result<Loaded> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| {
        let advice = match e {
            SafeTensorError::MetadataIncompleteBuffer => "it is cut short or damaged; copy it again or write it anew",
            _ => "in PyTorch write it with safetensors.torch.save_file(model.state_dict(), FILE)",
        };
        Error::input(path, format!("is not a whole safetensors file ({e}); {advice}"))
    })?;
    let mut loaded = Loaded::default();
    let mut known = HashSet::new();
    let ids: Vec<_> = state.iter().filter(|(_, tensor)| tensor.model).map(|(id, _)| id).collect();
    for id in ids {
        let tensor = state.get_mut(id);
        let parameters = if tensor.parameter { tensor.values.len() } else { 0 };
        loaded.parameters += parameters;
        known.insert(tensor.name.clone());
        let averaged = format!("average.{}", tensor.name);
        let earlier = earlier_name(&tensor.name);
        known.extend(earlier.clone());
        let names = [Some(&averaged), Some(&tensor.name), earlier.as_ref()];
        let Some(view) = names.into_iter().flatten().find_map(|name| file.tensor(name).ok()) else {
            loaded.missing.push(tensor.name.clone());
            continue;
        };
        let found = trimmed(view.shape());
        if found != trimmed(&tensor.ty.shape) && found != trimmed(tensor.saved_shape()) {
            let shapes = format!("{} {:?} in place of {:?}", tensor.name, view.shape(), tensor.saved_shape());
            loaded.other_shape.push(shapes);
            continue;
        }
        tensor.values = values(tensor, &view, path)?;
        loaded.taken += 1;
        loaded.taken_parameters += parameters;
    }
    let counter = |name: &str| COUNTERS.iter().any(|counter| name.rsplit('.').next() == Some(*counter));
    let mut others: Vec<String> = file.names().into_iter().map(str::to_owned).collect();
    others.retain(|name| !known.contains(name.strip_prefix("average.").unwrap_or(name)));
    others.sort();
    (loaded.counters, loaded.extra) = others.into_iter().partition(|name| counter(name));
    if loaded.taken == 0 {
        return Err(Error::input(path, nothing(&known, &loaded)));
    }
    Ok(loaded)
}

/// Why no tensor was taken, of which the network has those called `known`.
fn nothing(known: &HashSet<String>, loaded: &Loaded) -> String {
    if !loaded.other_shape.is_empty() {
        return format!(
            "has no tensor of the shape that it has in this network; found {}; choose the network that the file is of, for images and classes \
             like its own",
            listed(&loaded.other_shape)
        );
    }
    let mut known: Vec<String> = known.iter().cloned().collect();
    known.sort();
    let found = if loaded.extra.is_empty() { "none".into() } else { listed(&loaded.extra) };
    format!("has no tensor of this network; expected names such as {}, found {found}", listed(&known))
}

fn trimmed(shape: &[usize]) -> &[usize] {
    let ones = shape.iter().take_while(|side| **side == 1).count();
    &shape[ones..]
}

fn values(tensor: &StateTensor, view: &TensorView<'_>, path: &Path) -> Result<Vec<f32>> {
    let name = &tensor.name;
    let chunk = |size: usize| view.data().chunks_exact(size);
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => chunk(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F64 => {
            chunk(8).map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32).collect()
        }
        // A counter, as all other whole numbers are refused.
        Dtype::I64 if tensor.is_counter() => {
            chunk(8).map(|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32).collect()
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
    use crate::nn::{ChannelDeconv, ChannelWhitening};
    use crate::tape::Type;

    fn file(tensors: &[(&str, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> =
            tensors.iter().map(|(_, _, values)| values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            (*name, TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a view"))
        });
        safetensors::serialize(views, None).expect("a file")
    }

    /// Running statistics of a `ChannelDeconv` go on where they were, in place of being set by the next step.
    #[test]
    fn steps_of_the_authors_are_taken() {
        let mut state = State::new();
        let options = ChannelWhitening { block: 2, ..Default::default() };
        ChannelDeconv::new(&mut state, "white", 2, options).expect("a layer");
        let taken = |state: &mut State, tensors: &[(&str, Dtype, &[u8])]| {
            let views = tensors
                .iter()
                .map(|(name, kind, bytes)| (*name, TensorView::new(*kind, Vec::new(), bytes).expect("a view")));
            let bytes = safetensors::serialize(views, None).expect("a file");
            let loaded = load_state_dict(state, Path::new("x"), &bytes);
            let steps = state.find("white.num_batches_tracked").expect("a tensor");
            loaded.map(|loaded| (loaded, state.get(steps).values.clone()))
        };
        let (batches, own) = (391i64.to_le_bytes(), 7f32.to_le_bytes());
        let theirs = ("white.num_batches_tracked", Dtype::I64, &batches[..]);
        let other = ("bn.num_batches_tracked", Dtype::I64, &batches[..]);
        let (loaded, steps) = taken(&mut state, &[theirs, other]).expect("a fit");
        assert_eq!((loaded.taken, steps), (1, vec![391.0]));
        assert!(loaded.extra.is_empty(), "{loaded:?}");
        assert_eq!(loaded.counters, ["bn.num_batches_tracked"]);
        let (loaded, steps) = taken(&mut state, &[("white.steps", Dtype::F32, &own)]).expect("a fit");
        assert_eq!(steps, [7.0], "as earlier versions called it");
        assert!(loaded.extra.is_empty(), "{loaded:?}");
        let refused =
            taken(&mut state, &[("white.running_var", Dtype::I64, &batches)]).expect_err("a refusal").to_string();
        assert!(refused.contains("running_var") && refused.contains(".float()"), "{refused}");
    }

    fn state() -> State {
        let mut state = State::new();
        state.parameter("conv1.weight", &[2, 1], vec![0.0; 2]);
        state.parameter("fc.weight", &[3], vec![7.0; 3]);
        state.buffer("conv1.running_deconv", Type::vec4(&[1, 2, 2]), vec![0.0; 4]);
        state.buffer_saved_as(&[6], "conv2.running_mean", Type::vec4(&[3, 2]), vec![0.0; 6]);
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
            ("conv2.running_mean", vec![6], vec![1.0; 6]),
            ("fc.weight", vec![4], vec![0.0; 4]),
            ("old.bias", vec![1], vec![0.0]),
            ("average.conv1.weight", vec![2, 1], vec![5.0, 6.0]),
        ]);
        let loaded = load_state_dict(&mut state, Path::new("x"), &bytes).expect("a fit");
        assert_eq!(loaded.taken, 3);
        assert_eq!((loaded.taken_parameters, loaded.parameters), (2, 5));
        let warning = loaded.warning(Path::new("x")).expect("a warning");
        assert!(warning.starts_with("only 2 of 5 parameters (40.0 %) come from x: the others begin anew"), "{warning}");
        assert_eq!(Loaded { taken_parameters: 3, ..loaded.clone() }.warning(Path::new("x")), None);
        assert_eq!(loaded.other_shape, ["fc.weight [4] in place of [3]"]);
        assert_eq!(loaded.extra, ["old.bias"]);
        assert_eq!(loaded.counters, ["conv1.counter"]);
        assert!(loaded.notes(Path::new("x")).contains(&"counters, which nothing here needs: conv1.counter".into()));
        assert!(loaded.missing.is_empty());
        let values = |name: &str| state.get(state.find(name).expect("a tensor")).values.clone();
        assert_eq!(values("conv1.weight"), [5.0, 6.0], "the average");
        assert_eq!(values("conv1.running_deconv"), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(values("fc.weight"), [7.0; 3]);
        assert_eq!(values("conv2.running_mean"), [1.0; 6]);
    }

    #[test]
    fn nothing_in_common_and_numbers_that_are_none_are_refused() {
        let refused =
            |bytes: &[u8]| load_state_dict(&mut state(), Path::new("x"), bytes).expect_err("a refusal").to_string();
        let nothing = refused(&file(&[("a.b", vec![1], vec![0.0])]));
        assert!(nothing.contains("conv1.weight") && nothing.contains("a.b"), "{nothing}");
        let shapes = refused(&file(&[("fc.weight", vec![4], vec![0.0; 4]), ("conv1.weight", vec![3], vec![0.0; 3])]));
        assert!(shapes.contains("conv1.weight [3] in place of [2, 1], fc.weight [4] in place of [3]"), "{shapes}");
        assert!(shapes.contains("choose the network"), "{shapes}");
        assert!(refused(&file(&[])).contains("found none"));
        assert!(refused(&file(&[("conv1.weight", vec![2, 1], vec![f32::NAN, 0.0])])).contains("no numbers"));
        assert!(refused(b"not a file").contains("save_file"));
    }
}
