//! The folder of a run: written so that it can be read at any time, and never half.

use super::{Event, Options, Snapshot, Summary, Trainer};
use crate::viz::{EvalPoint, RunCurves, StepPoint, curves_svg};
use crate::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const OPTIONS: &str = "options.json";
const METRICS: &str = "metrics.jsonl";
const MODEL: &str = "model.safetensors";
const CHECKPOINT: &str = "checkpoint.safetensors";

/// Metrics reach the disk at least this often.
const FLUSH: Duration = Duration::from_secs(1);

/// A run folder being written.
pub struct RunFolder {
    dir: PathBuf,
    metrics: BufWriter<File>,
    flushed: Instant,
    curves: RunCurves,
    title: String,
}

fn unwritable(path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::input(path, format!("cannot be written ({e}); choose another folder with --out"))
}

/// A file that could not be written while the run was going on: the run failed, not its input.
fn failed(path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::Run(format!("{} could not be written ({e}); check that the disk has room", path.display()))
}

/// Writes the whole file or leaves what was there.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)
}

impl RunFolder {
    /// Refuses a place where no new run can go, without touching it.
    ///
    /// # Errors
    /// There is a file or a folder that is not empty, or a parent that is no folder.
    pub fn check(dir: &Path) -> Result<()> {
        if dir.is_dir() {
            let mut entries = fs::read_dir(dir).map_err(|e| unwritable(dir, &e))?;
            if entries.next().is_some() {
                return Err(Error::input(
                    dir,
                    "is not empty, and an earlier run is never overwritten; choose another --out, or go on with --resume",
                ));
            }
            return Ok(());
        }
        if dir.exists() {
            return Err(Error::input(dir, "is a file; expected a new or empty folder for --out"));
        }
        match dir
            .ancestors()
            .skip(1)
            .map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p })
            .find(|p| p.exists())
        {
            Some(parent) if !parent.is_dir() => {
                let what = format!("cannot be created, because {} is a file; choose another --out", parent.display());
                Err(Error::input(dir, what))
            }
            _ => Ok(()),
        }
    }

    /// A new folder, with its `options.json`.
    ///
    /// # Errors
    /// As [`RunFolder::check`], and when nothing can be written there.
    pub fn create(dir: &Path, options: &Options) -> Result<Self> {
        Self::check(dir)?;
        fs::create_dir_all(dir).map_err(|e| unwritable(dir, &e))?;
        let folder = Self::open(dir, options)?;
        folder.write_options(options)?;
        Ok(folder)
    }

    /// An existing folder, its metrics cut after `step`, where the run goes on.
    ///
    /// # Errors
    /// The metrics cannot be read or written.
    pub fn resume(dir: &Path, options: &Options, step: u64) -> Result<Self> {
        let path = dir.join(METRICS);
        let mut curves = RunCurves::default();
        let mut kept = Vec::new();
        if path.exists() {
            let file = File::open(&path).map_err(|e| Error::input(&path, format!("cannot be read: {e}")))?;
            for line in BufReader::new(file).lines() {
                let line = line.map_err(|e| Error::input(&path, format!("cannot be read: {e}")))?;
                // A line cut off by a crash is behind the last checkpoint.
                let Ok(event) = serde_json::from_str::<Event>(&line) else { continue };
                if matches!(event, Event::Step { step: at, .. } | Event::Eval { step: at, .. } if at <= step) {
                    chart(&mut curves, &event);
                    writeln!(kept, "{line}").map_err(|e| failed(&path, &e))?;
                }
            }
        }
        write_whole(&path, &kept).map_err(|e| unwritable(&path, &e))?;
        let folder = Self { curves, ..Self::open(dir, options)? };
        folder.write_options(options)?;
        Ok(folder)
    }

    fn open(dir: &Path, options: &Options) -> Result<Self> {
        let path = dir.join(METRICS);
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(|e| unwritable(&path, &e))?;
        let curves = RunCurves { name: options.net.norm.to_string(), ..Default::default() };
        let title = format!("{} on {}", options.net.model, options.data);
        Ok(Self { dir: dir.to_owned(), metrics: BufWriter::new(file), flushed: Instant::now(), curves, title })
    }

    fn write_options(&self, options: &Options) -> Result<()> {
        let path = self.dir.join(OPTIONS);
        let text = serde_json::to_string_pretty(options).map_err(|e| unwritable(&path, &e))? + "\n";
        write_whole(&path, text.as_bytes()).map_err(|e| unwritable(&path, &e))
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
        if !matches!(event, Event::Step { .. } | Event::Eval { .. }) {
            return Ok(());
        }
        chart(&mut self.curves, event);
        let path = self.dir.join(METRICS);
        let line = serde_json::to_string(event).map_err(|e| failed(&path, &e))?;
        writeln!(self.metrics, "{line}").map_err(|e| failed(&path, &e))?;
        if self.flushed.elapsed() >= FLUSH || matches!(event, Event::Eval { .. }) {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.flushed = Instant::now();
        self.metrics.flush().map_err(|e| failed(&self.dir.join(METRICS), &e))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.dir.join(name);
        write_whole(&path, bytes).map_err(|e| failed(&path, &e))
    }

    /// Keeps a network and the checkpoint that belongs to it. Metrics first, so that they are never behind.
    ///
    /// # Errors
    /// The disk is full.
    pub fn save(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.flush()?;
        self.put(MODEL, &snapshot.model)?;
        self.put(CHECKPOINT, &snapshot.checkpoint)
    }

    /// True when a checkpoint has been kept.
    pub fn has_checkpoint(&self) -> bool {
        self.dir.join(CHECKPOINT).exists()
    }

    /// Writes the summary and the pictures.
    ///
    /// # Errors
    /// The disk is full.
    pub fn finish(&mut self, trainer: &Trainer, summary: &Summary) -> Result<()> {
        self.flush()?;
        let text = serde_json::to_string_pretty(summary).map_err(|e| failed(&self.dir, &e))? + "\n";
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

fn chart(curves: &mut RunCurves, event: &Event) {
    match *event {
        Event::Step { step, loss, lr, .. } => curves.steps.push(StepPoint { step, loss, lr: lr as f32 }),
        Event::Eval { step, loss, accuracy, .. } => curves.evals.push(EvalPoint { step, loss, accuracy }),
        _ => {}
    }
}

/// The bytes of a saved network and where they are: `path` is a run folder or a `.safetensors` file; of a folder
/// `model.safetensors` is taken, or `checkpoint.safetensors` when `checkpoint`.
///
/// # Errors
/// There is no such file.
pub fn read_model(path: &Path, checkpoint: bool) -> Result<(PathBuf, Vec<u8>)> {
    if !path.exists() {
        return Err(Error::input(
            path,
            "does not exist; expected a run folder or a .safetensors file of `mexhat train`",
        ));
    }
    let file = match path.is_dir() {
        true => path.join(if checkpoint { CHECKPOINT } else { MODEL }),
        false => path.to_owned(),
    };
    let bytes = fs::read(&file)
        .map_err(|e| Error::input(&file, format!("cannot be read ({e}); is {} a run folder?", path.display())))?;
    Ok((file, bytes))
}

/// `runs/<time>-<model>-<norm>`, in UTC, that does not exist yet.
pub fn default_name(options: &Options) -> PathBuf {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let name = format!("{}-{}-{}", stamp(seconds), options.net.model, options.net.norm);
    let base = Path::new("runs").join(&name);
    (2..)
        .map(|i| Path::new("runs").join(format!("{name}-{i}")))
        .take(1000)
        .fold(base, |found, next| if found.exists() { next } else { found })
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
