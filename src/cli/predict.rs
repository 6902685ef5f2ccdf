//! `mexhat predict`.

use super::{DeviceArgs, note, say, say_json};
use crate::data::picture::{self, ENDINGS, is_picture};
use crate::train::{Learner, ModelSpec, Saved, best, read_model};
use crate::{Error, Result};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Pictures that go through the network together.
const TOGETHER: usize = 64;
/// Pictures that cannot be read and are named; the others are counted.
const LISTED: usize = 10;

/// Predicts.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    mexhat predict runs/20260131-120000-lenet-deconv photo.png\n  \
    mexhat predict model.safetensors pictures/ --top 1 --json")]
pub(super) struct PredictArgs {
    /// A run folder or a .safetensors file
    run: PathBuf,
    /// Pictures, and folders whose pictures are taken in order of their names
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Go on without pictures that cannot be read
    #[arg(long)]
    skip_bad: bool,
    /// Show so many classes, the most probable first
    #[arg(long, default_value_t = 3, value_name = "N")]
    top: usize,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object a picture on stdout
    #[arg(long)]
    json: bool,
}

/// Those of `pictures` that can be read; the others are told, and end the command unless they are to be skipped.
fn readable(pictures: Vec<PathBuf>, skip: bool) -> Result<Vec<PathBuf>> {
    let fault = |path: &PathBuf| -> Option<String> {
        let bytes = std::fs::read(path).map_err(|e| format!("cannot be read: {e}"));
        let decode = |bytes: Vec<u8>| {
            picture::open(&bytes).and_then(|opened| opened.decode().map(drop)).map_err(|e| e.to_string())
        };
        let opened = bytes.and_then(decode);
        opened.err().map(|why| format!("{}: {why}", path.display()))
    };
    let (bad, good): (Vec<_>, Vec<_>) =
        pictures.into_iter().map(|path| (fault(&path), path)).partition(|(fault, _)| fault.is_some());
    let faults: Vec<String> = bad.into_iter().filter_map(|(fault, _)| fault).collect();
    let shown = faults.iter().take(LISTED).cloned().collect::<Vec<_>>().join("\n  ");
    match faults.len() {
        0 => {}
        n if skip => note(&format!("note: {n} picture(s) cannot be read and are left out:\n  {shown}")),
        n => {
            return Err(Error::Usage(format!(
                "{n} picture(s) cannot be read; mend or remove them, or leave them out with --skip-bad:\n  {shown}"
            )));
        }
    }
    Ok(good.into_iter().map(|(_, path)| path).collect())
}

#[derive(Serialize)]
struct Share<'a> {
    class: &'a str,
    share: f32,
}

#[derive(Serialize)]
struct Prediction<'a> {
    event: &'static str,
    image: String,
    class: &'a str,
    share: f32,
    shares: Vec<Share<'a>>,
}

/// The pictures of `paths`, those of folders in order of their names.
fn pictures(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            if !path.is_file() {
                return Err(Error::input(path, "is not there, or no ordinary file; expected a picture or a folder"));
            }
            found.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|e| Error::input(path, format!("cannot be read: {e}")))?;
        let hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let is_picture = |path: &PathBuf| path.is_file() && !hidden(path) && is_picture(&path.to_string_lossy());
        let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_picture).collect();
        if inside.is_empty() {
            let what = format!("holds no picture; expected files that end in {}", ENDINGS.join(", "));
            return Err(Error::input(path, what));
        }
        inside.sort();
        found.append(&mut inside);
    }
    Ok(found)
}

/// A picture as the network takes it, (C,H,W), made from its file as training pictures are; whether its size was changed, and whether
/// it was laid over a background.
fn fitted(path: &Path, spec: &ModelSpec) -> Result<(Vec<u8>, [bool; 2])> {
    let [channels, height, width] = spec.input;
    let bytes = std::fs::read(path).map_err(|e| Error::input(path, format!("cannot be read: {e}")))?;
    let opened = picture::open(&bytes).map_err(|fault| Error::input(path, fault.to_string()))?;
    let resized = opened.dimensions() != (width as u32, height as u32);
    let decoded = opened.decode().map_err(|fault| Error::input(path, fault.to_string()))?;
    let ground = spec.load.prepare.reading.background.unwrap_or_default();
    let (flat, clear) = picture::flatten(decoded, ground.0);
    let flat = flat.scaled(width as u32, height as u32);
    let mut one = flat.to_dataset(path.display().to_string())?;
    one.to_channels(channels)?;
    Ok((one.images.to_vec(), [resized, clear]))
}

pub(super) fn run(args: &PredictArgs) -> Result<()> {
    let (path, bytes) = read_model(&args.run)?;
    let spec = Saved::read(&path, &bytes)?.spec;
    let pictures = readable(pictures(&args.images)?, args.skip_bad)?;
    let gpu = args.device.open()?;
    let mut learner = Learner::from_bytes(&gpu, &path, &bytes, |_| Ok(()))?;
    let ([mut resized, mut clear], [channels, height, width]) = ([0, 0], spec.input);
    for some in pictures.chunks(TOGETHER) {
        let mut pixels = Vec::new();
        for picture in some {
            let (values, changed) = fitted(picture, &spec)?;
            pixels.extend(values);
            resized += usize::from(changed[0]);
            clear += usize::from(changed[1]);
        }
        let shares = learner.predict(&pixels)?;
        for (picture, row) in some.iter().zip(shares.values.chunks(spec.classes)) {
            show(args, picture, &spec.class_names, row)?;
        }
    }
    // With the answers where a person reads them, beside JSON.
    let tell = |text: &str| if args.json { note(text) } else { say(text) };
    if clear > 0 {
        let ground = spec.load.prepare.reading.background.unwrap_or_default();
        tell(&format!("note: {clear} of {} pictures are transparent and were laid over {ground}", pictures.len()));
    }
    if resized > 0 {
        tell(&format!(
            "note: {resized} of {} pictures were brought to the network's {height} x {width} (height x width, {channels} \
             channel(s)) by linear interpolation, whatever their proportions",
            pictures.len()
        ));
    }
    Ok(())
}

fn show(args: &PredictArgs, picture: &Path, names: &[String], row: &[f32]) -> Result<()> {
    let first = best(row)?;
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
    let top: Vec<usize> = order.into_iter().take(args.top.max(1)).collect();
    if args.json {
        return say_json(&Prediction {
            event: "prediction",
            image: picture.display().to_string(),
            class: &names[first],
            share: row[first],
            shares: top.iter().map(|&i| Share { class: &names[i], share: row[i] }).collect(),
        });
    }
    let shares: Vec<String> = top.iter().map(|&i| format!("{} {:.1} %", names[i], 100.0 * row[i])).collect();
    say(&format!("{}: {}", picture.display(), shares.join(", ")));
    Ok(())
}
