//! An earlier run, found whole or as whole as it is, from which to go on.

use super::files::{Lock, read_regular};
use super::folder::{CHECKPOINT, MODEL, OPTIONS, PREVIOUS};
use super::{Options, Saved};
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// An earlier run, held so that no other process goes on with it, and the last checkpoint of it that is whole.
pub struct EarlierRun {
    pub(super) dir: PathBuf,
    pub(super) lock: Option<Lock>,
    /// Path and bytes; `None` of a run that ended before its first.
    pub(super) checkpoint: Option<(PathBuf, Vec<u8>)>,
    /// Whether a later checkpoint was refused.
    pub(super) damaged: bool,
    /// What its user should know.
    pub notes: Vec<String>,
}

/// A checkpoint, or why there is none.
struct Choice {
    checkpoint: Option<(PathBuf, Vec<u8>)>,
    refused: Option<Error>,
}

/// Options of a run that others may take the place of when it goes on.
pub(crate) const FREE: [&str; 5] = ["data", "epochs", "steps", "checkpoint_every", "check_numbers"];

/// Options as options.json has them, where an f32 is 0.1 and not 0.10000000149.
pub(super) fn as_written(options: &Options) -> Map<String, Value> {
    serde_json::to_string(options).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// What tells that `theirs` are the options of another run than `own`.
fn another(own: &Options, theirs: &Options) -> Option<String> {
    let [own, theirs] = [own, theirs].map(as_written);
    let settled = |key: &str| !FREE.contains(&key);
    let differs = |(key, value): &(&String, &Value)| settled(key) && theirs.get(*key) != Some(*value);
    let (key, value) = own.iter().find(differs)?;
    let found = theirs.get(key).unwrap_or(&Value::Null);
    Some(format!("is of another run: its {key} is {found}, and this run's {value}"))
}

/// The first of `paths` that is there, whole, and of the run with these options, where they are known.
fn choose(paths: &[PathBuf], own: Option<&Options>) -> Result<Choice> {
    let mut refused = None;
    for path in paths.iter().filter(|path| path.exists()) {
        let read = read_regular(path).and_then(|bytes| {
            let run = Saved::read(path, &bytes)?.run;
            let what = match (&run, own) {
                (None, _) => Some("is a network without its run; expected a checkpoint.safetensors".into()),
                (Some(run), Some(own)) => another(own, &run.options),
                _ => None,
            };
            what.map_or(Ok(bytes), |what: String| Err(Error::input(path, what)))
        });
        match read {
            Ok(bytes) => return Ok(Choice { checkpoint: Some((path.clone(), bytes)), refused }),
            Err(e) => refused = refused.or(Some(e)),
        }
    }
    match refused {
        Some(e) => Err(e),
        None => Ok(Choice { checkpoint: None, refused: None }),
    }
}

/// `options.json` of a run's folder.
pub(super) fn written_options(dir: &Path) -> Result<Options> {
    let path = dir.join(OPTIONS);
    let bytes = read_regular(&path)?;
    serde_json::from_slice(&bytes).map_err(|e| Error::input(&path, format!("is not what `mexhat train` writes: {e}")))
}

impl EarlierRun {
    /// The run in folder `path`, or of the checkpoint `path`. Of a folder whose last checkpoint is damaged or of
    /// another run the one before it is taken, and of a run that ended before its first checkpoint its options.
    ///
    /// # Errors
    /// There is no run, no checkpoint of it is whole, or another process writes it.
    pub fn open(path: &Path) -> Result<Self> {
        Self::find(path, |dir| Lock::take(dir).map(Some))
    }

    /// As [`EarlierRun::open`] to read only, while another process of the run holds it.
    ///
    /// # Errors
    /// There is no run, or no checkpoint of it is whole.
    pub fn read(path: &Path) -> Result<Self> {
        Self::find(path, |_| Ok(None))
    }

    fn find(path: &Path, lock: impl Fn(&Path) -> Result<Option<Lock>>) -> Result<Self> {
        if !path.exists() {
            let what = "does not exist; expected a run folder or a checkpoint.safetensors of `mexhat train`";
            return Err(Error::input(path, what));
        }
        let (dir, paths) = match path.is_dir() {
            true => (path.to_owned(), vec![path.join(CHECKPOINT), path.join(PREVIOUS)]),
            false => (path.parent().unwrap_or(Path::new(".")).to_owned(), vec![path.to_owned()]),
        };
        let dir = if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir };
        // Nothing is written, not even the lock, where there is no run.
        // A checkpoint that is named by itself speaks for itself.
        let own = || if path.is_dir() { written_options(&dir).ok() } else { None };
        if choose(&paths, own().as_ref())?.checkpoint.is_none() && !dir.join(OPTIONS).exists() {
            return Err(Error::input(
                path,
                "holds no run; expected a folder with checkpoint.safetensors or options.json",
            ));
        }
        let lock = lock(&dir)?;
        let Choice { checkpoint, refused } = choose(&paths, own().as_ref())?;
        let mut notes = Vec::new();
        match (&checkpoint, &refused) {
            (Some((path, _)), Some(e)) => {
                notes.push(format!("{e}. Going on from the one before it, {}", path.display()))
            }
            (Some((path, _)), None) if path.ends_with(PREVIOUS) => {
                notes.push(format!("{CHECKPOINT} is not there; going on from the one before it, {}", path.display()));
            }
            (None, _) if dir.join(MODEL).exists() => {
                let what = format!(
                    "has no checkpoint, but {MODEL}, which a run that begins anew would replace; go on from its values with `init` and \
                     another `out`, or remove it"
                );
                return Err(Error::input(&dir, what));
            }
            (None, _) => notes.push(format!("{} has no checkpoint yet, so the run begins anew", dir.display())),
            _ => {}
        }
        Ok(Self { dir, lock, checkpoint, damaged: refused.is_some(), notes })
    }

    /// The checkpoint, read; `None` of a run that ended before its first.
    ///
    /// # Errors
    /// None that [`EarlierRun::open`] would have let through.
    pub fn saved(&self) -> Result<Option<Saved<'_>>> {
        self.checkpoint.as_ref().map(|(path, bytes)| Saved::read(path, bytes)).transpose()
    }

    /// The options of a run without a checkpoint.
    ///
    /// # Errors
    /// `options.json` cannot be read, or is not one that this version understands.
    pub fn options(&self) -> Result<Options> {
        let options = written_options(&self.dir)?;
        options.validate()?;
        Ok(options)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }
}
