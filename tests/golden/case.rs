//! Cases of a manifest: loading, running on both engines, comparing.

use mexhat::gpu::Gpu;
use mexhat::tape::{Array, DType, Gradients, Session, State, Tape, Values, Var, interpret};
use mexhat::{Error, Result, ops};
use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;

#[derive(Deserialize)]
pub struct Output {
    pub key: String,
    pub scale: f64,
    pub tol: Option<f64>,
    /// Of a table: the tensor that says how far each row may be off.
    pub allowed: Option<String>,
    #[serde(default)]
    pub informational: bool,
}

#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub op: String,
    pub file: String,
    pub params: Value,
    pub inputs: BTreeMap<String, String>,
    pub outputs: BTreeMap<String, Output>,
}

#[derive(Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub cases: Vec<Case>,
    #[serde(skip)]
    files: HashMap<String, Vec<u8>>,
}

/// What builds a case: most only fill a tape, which runs on both engines; some run steps on the GPU themselves.
pub enum Runner {
    Tape(fn(&mut Run) -> Result<()>),
    Steps(for<'r> fn(&'r mut Run<'_>) -> Work<'r>),
}

/// Steps in progress: a browser waits for its GPU by letting go of the thread.
pub type Work<'r> = Pin<Box<dyn Future<Output = Result<()>> + 'r>>;

impl Manifest {
    /// The manifest and those of its files that `read` finds by name.
    pub fn load(read: impl Fn(&str) -> Result<Vec<u8>, String>) -> Result<Self, String> {
        let mut manifest: Self = serde_json::from_slice(&read("manifest.json")?).map_err(|e| e.to_string())?;
        if manifest.format != 1 {
            return Err(format!("manifest format 1 expected, found {}", manifest.format));
        }
        let names: BTreeSet<&String> = manifest.cases.iter().map(|case| &case.file).collect();
        manifest.files = names.into_iter().filter_map(|name| Some((name.clone(), read(name).ok()?))).collect();
        Ok(manifest)
    }

    /// Whether the file of a case was found.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn has(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    /// A stored tensor as `f64`, exact for float32 and int32.
    pub fn tensor(&self, file: &str, key: &str) -> Result<Array, String> {
        let bytes = self.files.get(file).ok_or_else(|| format!("{file} is absent"))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let view = tensors.tensor(key).map_err(|e| format!("{key}: {e}"))?;
        let words = view.data().as_chunks::<4>().0.iter();
        let data = match view.dtype() {
            safetensors::Dtype::F32 => words.map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            safetensors::Dtype::I32 => words.map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
            other => return Err(format!("{key}: float32 or int32 expected, found {other:?}")),
        };
        Ok(Array { shape: view.shape().to_vec(), data })
    }
}

/// One case being built: inputs become leaves, named outputs are compared.
pub struct Run<'a> {
    pub case: &'a Case,
    pub manifest: &'a Manifest,
    pub gpu: &'a Gpu,
    pub tape: Tape,
    pub state: State,
    pub values: HashMap<Var, Array>,
    pub outputs: Vec<(String, Var)>,
    /// Outputs that a runner has computed itself, for cases of several steps.
    pub direct: Vec<(String, Vec<f64>)>,
    /// What the rows of outputs that are tables are called.
    pub rows: BTreeMap<String, Vec<String>>,
}

impl Run<'_> {
    /// The stored input `name`.
    pub fn stored(&self, name: &str) -> Result<Array> {
        let key = self.case.inputs.get(name).ok_or_else(|| Error::Run(format!("the case has no input '{name}'")))?;
        self.manifest.tensor(&self.case.file, key).map_err(Error::Run)
    }

    pub fn has(&self, name: &str) -> bool {
        self.case.inputs.contains_key(name)
    }

    /// A number of the case's parameters.
    pub fn number(&self, name: &str) -> f64 {
        self.case.params[name].as_f64().unwrap_or_else(|| panic!("{}: no number '{name}'", self.case.name))
    }

    pub fn size(&self, name: &str) -> usize {
        self.number(name) as usize
    }

    /// A row-major input with a gradient.
    pub fn plain(&mut self, name: &str) -> Result<Var> {
        let value = self.stored(name)?;
        let var = self.tape.leaf(name, &value.shape);
        self.values.insert(var, value);
        Ok(var)
    }

    pub fn plain_if(&mut self, name: &str) -> Result<Option<Var>> {
        if self.has(name) { self.plain(name).map(Some) } else { Ok(None) }
    }

    /// Integer input, such as labels.
    pub fn labels(&mut self, name: &str) -> Result<Var> {
        let value = self.stored(name)?;
        let var = self.tape.input(name, &value.shape, DType::U32);
        self.values.insert(var, value);
        Ok(var)
    }

    /// An activation: the row-major leaf (for its gradient) and the value in vectors of four.
    pub fn activation(&mut self, name: &str) -> Result<(Var, Var)> {
        let leaf = self.plain(name)?;
        Ok((leaf, ops::to_vec4(&mut self.tape, leaf)?))
    }

    pub fn out(&mut self, name: &str, var: Var) {
        self.outputs.push((name.into(), var));
    }

    /// Gradients of `sum(y gy)`, with `gy` a stored input.
    pub fn pull(&mut self, y: Var, gy: &str) -> Result<Gradients> {
        let (_, gy) = self.activation(gy)?;
        self.tape.backward_from(&[(y, gy)])
    }

    pub fn out_grad(&mut self, name: &str, gradients: &Gradients, of: Var) -> Result<()> {
        let grad = gradients.get(of).ok_or_else(|| Error::Run(format!("no gradient for output '{name}'")))?;
        self.out(name, grad);
        Ok(())
    }
}

/// Runs `tape` on the GPU; `values` by input.
pub async fn on_gpu(
    gpu: &Gpu,
    state: &State,
    tape: &mut Tape,
    values: &HashMap<Var, Array>,
    outputs: &[(String, Var)],
) -> Result<Vec<Vec<f64>>> {
    for (_, var) in outputs {
        tape.output(*var);
    }
    let mut session = Session::new(gpu, state)?;
    let mut compiled = session.compile(&[tape])?;
    let inputs = values.iter().map(|(var, a)| (*var, a.data.iter().map(|v| *v as f32).collect())).collect();
    let read = compiled[0].run(&inputs).await?;
    Ok(read.into_iter().map(|values| values.into_iter().map(f64::from).collect()).collect())
}

/// Worst error over tolerance of a named output and the row it is in; `None` when it is informational or not in the
/// manifest.
fn ratio(run: &Run, name: &str, found: &[f64]) -> Result<Option<(f64, usize)>, String> {
    let Some(output) = run.case.outputs.get(name) else { return Ok(None) };
    let (Some(tol), false) = (output.tol, output.informational) else { return Ok(None) };
    let stored = |key: &str| run.manifest.tensor(&run.case.file, key);
    let expected = stored(&output.key)?;
    if expected.data.len() != found.len() {
        return Err(format!("{name}: {} values expected, found {}", expected.data.len(), found.len()));
    }
    let allowed = match &output.allowed {
        Some(key) => stored(key)?.data,
        None => vec![tol * output.scale],
    };
    let row = found.len().div_ceil(allowed.len()).max(1);
    let ratio = |(i, (a, b)): (usize, (&f64, &f64))| {
        let error = (a - b).abs();
        // What has to be exact has no tolerance.
        let ratio = if error == 0.0 { 0.0 } else { error / allowed[i / row] };
        (if ratio.is_nan() { f64::INFINITY } else { ratio }, i / row)
    };
    let worst = |a: (f64, usize), b: (f64, usize)| if b.0 > a.0 { b } else { a };
    Ok(Some(expected.data.iter().zip(found).enumerate().map(ratio).fold((0.0, 0), worst)))
}

fn judge(run: &Run, engine: &str, found: &[(String, Vec<f64>)]) -> Result<(), String> {
    let mut bad = Vec::new();
    for (name, values) in found {
        let Some((ratio, row)) = ratio(run, name, values)? else { continue };
        let name = run.rows.get(name).and_then(|rows| rows.get(row)).unwrap_or(name);
        if std::env::var_os("MEXHAT_GOLDEN_VERBOSE").is_some() {
            println!("    {} {engine} {name}: {ratio:.3} of tolerance", run.case.name);
        }
        if ratio > 1.0 {
            bad.push(format!("{engine} {name}: error {ratio:.3} x tolerance"));
        }
    }
    for (name, output) in &run.case.outputs {
        if !output.informational && !found.iter().any(|(seen, _)| seen == name) {
            bad.push(format!("{engine} {name}: not computed"));
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(bad.join("; ")) }
}

/// Runs a case on both engines and compares.
///
/// # Errors
/// What differs or does not run.
pub async fn check(gpu: &Gpu, manifest: &Manifest, case: &Case, runner: Runner) -> Result<(), String> {
    let mut run = Run {
        case,
        manifest,
        gpu,
        tape: Tape::new(),
        state: State::new(),
        values: HashMap::new(),
        outputs: Vec::new(),
        direct: Vec::new(),
        rows: BTreeMap::new(),
    };
    match runner {
        Runner::Tape(build) => build(&mut run),
        Runner::Steps(work) => work(&mut run).await,
    }
    .map_err(|e| e.to_string())?;
    let names: Vec<String> = run.outputs.iter().map(|(name, _)| name.clone()).collect();
    let named = |values: Vec<Vec<f64>>| names.iter().cloned().zip(values).collect::<Vec<_>>();
    let mut found = run.direct.clone();
    if !run.outputs.is_empty() {
        let outputs = run.outputs.clone();
        let values = on_gpu(gpu, &run.state, &mut run.tape, &run.values, &outputs).await.map_err(|e| e.to_string())?;
        found.extend(named(values));
    }
    judge(&run, "gpu", &found)?;
    if run.outputs.is_empty() {
        return Ok(());
    }
    let mut values = Values::default();
    for (var, value) in &run.values {
        values.set(*var, value.clone());
    }
    interpret(&run.tape, &run.state, &mut values);
    let mut found = run.direct.clone();
    found.extend(named(run.outputs.iter().map(|(_, var)| values.get(&run.tape, *var).data).collect()));
    judge(&run, "reference", &found)
}
