//! The folder of a run: written so that it can be read at any time, and never half.

use super::files::{LOCK, Lock, read_regular, write_rotating, write_whole};
use super::{EarlierRun, Event, Options, Snapshot, Split, Summary, Trainer};
use crate::viz::{EvalPoint, RunCurves, StepPoint, curves_svg};
use crate::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(super) const OPTIONS: &str = "options.json";
pub(super) const METRICS: &str = "metrics.jsonl";
const DATA: &str = "data.json";
const SHEET: &str = "data.png";
pub(super) const MODEL: &str = "model.safetensors";
/// The network of the best epoch, in runs with patience.
const BEST: &str = "best.safetensors";
pub(super) const CHECKPOINT: &str = "checkpoint.safetensors";
/// The checkpoint before that, for when it is damaged.
pub(super) const PREVIOUS: &str = "checkpoint.previous.safetensors";

/// Metrics reach the disk at least this often.
const FLUSH: Duration = Duration::from_secs(1);

/// A run folder being written, by nobody else.
pub struct RunFolder {
    dir: PathBuf,
    _lock: Lock,
    /// The folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
    metrics: BufWriter<File>,
    flushed: Instant,
    curves: RunCurves,
    title: String,
    /// Step of the checkpoint that is kept.
    saved: Option<u64>,
    /// Whether that checkpoint is whole, so that it may take the previous one's place.
    rotate: bool,
    notes: Vec<String>,
}

fn unwritable(path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::input(path, format!("cannot be written ({e}); choose another folder with `out`"))
}

fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

impl RunFolder {
    /// Refuses a place where no new run can go, without touching it.
    ///
    /// # Errors
    /// There is a file or a folder that is not empty, or a parent that is no folder.
    pub fn check(dir: &Path) -> Result<()> {
        if dir.is_dir() {
            let entries = fs::read_dir(dir).map_err(|e| unwritable(dir, &e))?;
            if entries.flatten().any(|entry| entry.file_name() != LOCK) {
                return Err(Error::input(
                    dir,
                    "is not empty, and an earlier run is never overwritten; choose another `out`, or go on with `resume`",
                ));
            }
            return Ok(());
        }
        if dir.exists() {
            return Err(Error::input(dir, "is a file; expected a new or empty folder for `out`"));
        }
        match dir.ancestors().skip(1).map(or_here).find(|p| p.exists()) {
            Some(parent) if !parent.is_dir() => {
                let what = format!("cannot be created, because {} is a file; choose another `out`", parent.display());
                Err(Error::input(dir, what))
            }
            _ => Ok(()),
        }
    }

    /// A new folder with its `options.json`, claimed so that no other run takes it: `dir`, or where there is none
    /// `runs/<time>-<model>-<norm>`, with a number behind it where that is taken.
    ///
    /// # Errors
    /// As [`RunFolder::check`], and when nothing can be written there or another run has been faster.
    pub fn create(dir: Option<&Path>, options: &Options) -> Result<Self> {
        let mut made = Vec::new();
        let Some(dir) = dir else {
            let base = default_name(options);
            for attempt in 1..=1000 {
                let dir =
                    if attempt == 1 { base.clone() } else { PathBuf::from(format!("{}-{attempt}", base.display())) };
                if make(&dir, &mut made)? {
                    return Self::begin(dir, made, options);
                }
            }
            return Err(Error::input(base, "and a thousand names like it are taken; choose a folder with `out`"));
        };
        make(dir, &mut made)?;
        Self::begin(dir.to_owned(), made, options)
    }

    fn begin(dir: PathBuf, made: Vec<PathBuf>, options: &Options) -> Result<Self> {
        let lock = Lock::take(&dir)?;
        // Another run may have come and gone between the first look and the lock.
        Self::check(&dir)?;
        let folder = Self { made, ..Self::open(&dir, lock, options)? };
        folder.write_options(options)?;
        Ok(folder)
    }

    /// Takes back what [`RunFolder::create`] made, for a run that never began.
    pub fn abandon(self) {
        let Self { dir, made, .. } = self;
        for name in [OPTIONS, METRICS, DATA, SHEET, LOCK] {
            fs::remove_file(dir.join(name)).ok();
        }
        // Only empty folders go.
        made.iter().for_each(|dir| {
            fs::remove_dir(dir).ok();
        });
    }

    /// An existing folder, its metrics cut after `step`, where the run goes on.
    ///
    /// # Errors
    /// The metrics cannot be read or written.
    pub fn resume(earlier: EarlierRun, options: &Options, step: u64) -> Result<Self> {
        let EarlierRun { dir, lock, checkpoint, damaged, .. } = earlier;
        let lock = lock.map_or_else(|| Lock::take(&dir), Ok)?;
        let path = dir.join(METRICS);
        let mut curves = RunCurves::default();
        let mut kept = Vec::new();
        let (mut last, mut gaps) = (0, Vec::new());
        if path.exists() {
            if !path.is_file() {
                return Err(Error::input(path, "is no ordinary file; remove it, and the run goes on without its past"));
            }
            let file = File::open(&path).map_err(|e| Error::input(&path, format!("cannot be read: {e}")))?;
            for line in BufReader::new(file).split(b'\n') {
                let line = line.map_err(|e| Error::input(&path, format!("cannot be read: {e}")))?;
                // A line cut off by a crash is behind the last checkpoint; what was damaged otherwise shows as a gap.
                let Ok(event) = serde_json::from_slice::<Event>(&line) else { continue };
                let line = String::from_utf8_lossy(&line);
                match event {
                    Event::Step { step: at, .. } if at > last && at <= step => {
                        note_gap(&mut gaps, last, at);
                        last = at;
                    }
                    Event::Eval { step: at, .. } | Event::DeviceLost { step: at, .. } if at <= step => {}
                    _ => continue,
                }
                chart(&mut curves, &event);
                writeln!(kept, "{line}").map_err(|e| unwritable(&path, &e))?;
            }
        }
        note_gap(&mut gaps, last, step + 1);
        write_whole(&path, &kept).map_err(|e| unwritable(&path, &e))?;
        let (saved, rotate) = (checkpoint.is_some().then_some(step), !damaged);
        let mut folder = Self { curves, saved, rotate, ..Self::open(&dir, lock, options)? };
        if !gaps.is_empty() {
            folder.notes.push(format!(
                "{} lacks steps {}, which cannot be had back; the network is not touched by this",
                path.display(),
                gaps.join(", ")
            ));
        }
        folder.write_options(options)?;
        Ok(folder)
    }

    fn open(dir: &Path, lock: Lock, options: &Options) -> Result<Self> {
        let path = dir.join(METRICS);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(|e| unwritable(&path, &e))?;
        Ok(Self {
            dir: dir.to_owned(),
            _lock: lock,
            made: Vec::new(),
            metrics: BufWriter::new(file),
            flushed: Instant::now(),
            curves: RunCurves { name: options.net.norm.to_string(), ..Default::default() },
            title: format!("{} on {}", options.net.model, crate::data::title(&options.data)),
            saved: None,
            rotate: true,
            notes: Vec::new(),
        })
    }

    fn write_options(&self, options: &Options) -> Result<()> {
        let path = self.dir.join(OPTIONS);
        let text = serde_json::to_string_pretty(options).map_err(|e| unwritable(&path, &e))? + "\n";
        write_whole(&path, text.as_bytes()).map_err(|e| unwritable(&path, &e))
    }

    /// What its user should know.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// A file that could not be written while the run was going on: the run failed, not its input.
    fn failed(&self, path: &Path, e: &dyn std::fmt::Display) -> Error {
        let kept = match self.saved {
            Some(step) => format!("; the checkpoint of step {step} is whole"),
            None => String::new(),
        };
        Error::Run(format!("{} could not be written ({e}); check that the disk has room{kept}", path.display()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Keeps what belongs into the metrics.
    ///
    /// # Errors
    /// The disk is full.
    pub fn record(&mut self, event: &Event) -> Result<()> {
        if !matches!(event, Event::Step { .. } | Event::Eval { .. } | Event::DeviceLost { .. }) {
            return Ok(());
        }
        chart(&mut self.curves, event);
        let path = self.dir.join(METRICS);
        let line = serde_json::to_string(event).map_err(|e| self.failed(&path, &e))?;
        writeln!(self.metrics, "{line}").map_err(|e| self.failed(&path, &e))?;
        if self.flushed.elapsed() >= FLUSH || matches!(event, Event::Eval { .. }) {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.flushed = Instant::now();
        self.metrics.flush().map_err(|e| self.failed(&self.dir.join(METRICS), &e))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.dir.join(name);
        write_whole(&path, bytes).map_err(|e| self.failed(&path, &e))
    }

    /// Keeps a network and the checkpoint that belongs to it, and the checkpoint before that. Metrics first, so that
    /// they are never behind.
    ///
    /// # Errors
    /// The disk is full; what was kept before is whole.
    pub fn save(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.flush()?;
        self.metrics.get_ref().sync_data().map_err(|e| self.failed(&self.dir.join(METRICS), &e))?;
        self.put(MODEL, &snapshot.model)?;
        let (path, previous) = (self.dir.join(CHECKPOINT), self.dir.join(PREVIOUS));
        write_rotating(&path, &snapshot.checkpoint, self.rotate.then_some(&*previous))
            .map_err(|e| self.failed(&path, &e))?;
        (self.saved, self.rotate) = (Some(snapshot.step), true);
        Ok(())
    }

    /// Keeps the network of the best epoch so far.
    ///
    /// # Errors
    /// The disk is full.
    pub fn save_best(&self, snapshot: &Snapshot) -> Result<()> {
        self.put(BEST, &snapshot.model)
    }

    /// Step of the checkpoint that is kept, where there is one.
    pub fn saved(&self) -> Option<u64> {
        self.saved
    }

    /// Keeps `data.json`, what was decided about the data, and `data.png`, the pictures that the network begins with.
    ///
    /// # Errors
    /// The disk is full.
    pub fn keep_data(&self, trainer: &Trainer) -> Result<()> {
        let path = self.dir.join(DATA);
        let text = serde_json::to_string_pretty(trainer.report()).map_err(|e| self.failed(&path, &e))? + "\n";
        self.put(DATA, text.as_bytes())?;
        self.put(SHEET, &trainer.data_png()?)
    }

    /// Writes the summary and the pictures.
    ///
    /// # Errors
    /// The disk is full.
    pub fn finish(&mut self, trainer: &Trainer, summary: &Summary) -> Result<()> {
        self.flush()?;
        let text = serde_json::to_string_pretty(summary).map_err(|e| self.failed(&self.dir, &e))? + "\n";
        self.put("summary.json", text.as_bytes())?;
        match curves_svg(&self.title, std::slice::from_ref(&self.curves)) {
            Ok(svg) => self.put("curves.svg", svg.as_bytes())?,
            // A run whose first loss was no number has no curve.
            Err(e) => log::warn!("curves.svg: {e}"),
        }
        match trainer.kernels_png() {
            Ok(Some(picture)) => self.put("kernels.png", &picture)?,
            Ok(None) => {}
            Err(e) => log::warn!("kernels.png: {e}"),
        }
        Ok(())
    }
}

/// Makes the folder, and tells whether it was not there before; `made` gets what was made, the innermost first.
fn make(dir: &Path, made: &mut Vec<PathBuf>) -> Result<bool> {
    let missing: Vec<&Path> = dir.ancestors().skip(1).map(or_here).take_while(|p| !p.exists()).collect();
    for parent in missing.into_iter().rev() {
        match fs::create_dir(parent) {
            Ok(()) => made.insert(0, parent.to_owned()),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(unwritable(parent, &e)),
        }
    }
    match fs::create_dir(dir) {
        Ok(()) => made.insert(0, dir.to_owned()),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(e) => return Err(unwritable(dir, &e)),
    }
    Ok(true)
}

/// Notes the steps between `last` and `next`.
fn note_gap(gaps: &mut Vec<String>, last: u64, next: u64) {
    match next - last {
        0 | 1 => {}
        2 => gaps.push(format!("{}", last + 1)),
        _ => gaps.push(format!("{} to {}", last + 1, next - 1)),
    }
}

pub(super) fn chart(curves: &mut RunCurves, event: &Event) {
    match *event {
        Event::Step { step, loss, lr, .. } => curves.steps.push(StepPoint { step, loss, lr: lr as f32 }),
        // Those that come again and again; of the test images there is but one where validation images are there.
        Event::Eval { step, split, loss, accuracy, .. } => {
            if split == Split::Validation && !curves.validation {
                curves.evals.clear();
                curves.validation = true;
            }
            if curves.validation == (split == Split::Validation) && loss.is_finite() {
                curves.evals.push(EvalPoint { step, loss, accuracy });
            }
        }
        _ => {}
    }
}

/// The bytes of a saved network and where they are: `path` is a run folder, of which `model.safetensors` is taken, or a
/// `.safetensors` file.
///
/// # Errors
/// There is no such file.
pub fn read_model(path: &Path) -> Result<(PathBuf, Vec<u8>)> {
    if !path.exists() {
        return Err(Error::input(
            path,
            "does not exist; expected a run folder or a .safetensors file of `mexhat train`",
        ));
    }
    let file = match path.is_dir() {
        true => path.join(MODEL),
        false => path.to_owned(),
    };
    if !file.exists() {
        let what = format!("cannot be read, because it is not there; is {} a run folder?", path.display());
        return Err(Error::input(file, what));
    }
    let bytes = read_regular(&file)?;
    Ok((file, bytes))
}

/// `runs/<time>-<model>-<norm>`, in UTC.
fn default_name(options: &Options) -> PathBuf {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Path::new("runs").join(format!("{}-{}-{}", stamp(seconds), options.net.model, options.net.norm))
}

/// `20260131-235959` of seconds since 1970. Calendar after H. Hinnant, "chrono-compatible low-level date algorithms".
fn stamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_follow_the_calendar() {
        assert_eq!(stamp(0), "19700101-000000");
        assert_eq!(stamp(951_782_400), "20000229-000000");
        assert_eq!(stamp(1_767_225_599), "20251231-235959");
    }
}
