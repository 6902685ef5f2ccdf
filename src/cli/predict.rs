//! `mexhat predict`.

use super::{DeviceArgs, note, say, say_json};
use crate::data::mask;
use crate::data::nearest::nearest;
use crate::data::picture::{self, ENDINGS, is_picture};
use crate::plural::count;
use crate::read::read_file;
use crate::train::{Learner, ModelSpec, Saved, best, read_model};
use crate::viz::image::MOST_BYTES;
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
    mexhat predict model.safetensors pictures/ --top 1 --json\n  \
    mexhat predict runs/20260131-120000-deeplabv3-resnet50-deconv street.jpg --masks masks")]
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
    /// Of a network that tells the class of each pixel: folder for the masks, NAME.png of NAME.jpg with one palette
    /// value a pixel
    #[arg(long, value_name = "DIR")]
    masks: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object a picture on stdout
    #[arg(long)]
    json: bool,
}

/// Those of `pictures` that can be read; the others are told, and end the command unless they are to be skipped.
fn readable(pictures: Vec<PathBuf>, skip: bool) -> Result<Vec<PathBuf>> {
    let fault = |path: &PathBuf| -> Option<String> {
        let decode = |bytes: Vec<u8>| {
            let decoded = picture::open(&bytes).and_then(|opened| opened.decode().map(drop));
            decoded.map_err(|fault| Error::input(path, fault.to_string()))
        };
        read_picture(path).and_then(decode).err().map(|error| error.to_string())
    };
    let (bad, good): (Vec<_>, Vec<_>) =
        pictures.into_iter().map(|path| (fault(&path), path)).partition(|(fault, _)| fault.is_some());
    let faults: Vec<String> = bad.into_iter().filter_map(|(fault, _)| fault).collect();
    let shown = faults.iter().take(LISTED).cloned().collect::<Vec<_>>().join("\n  ");
    match faults.len() {
        0 => {}
        n if skip && good.is_empty() => {
            let what = format!("no picture is left, for {} cannot be read:\n  {shown}", count(n, "picture"));
            return Err(Error::Usage(what));
        }
        n if skip => note(&format!("note: left out {} that cannot be read:\n  {shown}", count(n, "picture"))),
        n => {
            return Err(Error::Usage(format!(
                "{} cannot be read; mend or remove, or leave out with --skip-bad:\n  {shown}",
                count(n, "picture")
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

fn read_picture(path: &Path) -> Result<Vec<u8>> {
    read_file(path, MOST_BYTES, "a picture")
}

/// A picture as the network takes it.
struct Fitted {
    /// (C,H,W), made from its file as training pictures are.
    pixels: Vec<u8>,
    /// Its own height and width.
    size: [usize; 2],
    /// Whether it was laid over a background.
    clear: bool,
}

fn fitted(path: &Path, spec: &ModelSpec) -> Result<Fitted> {
    let [channels, height, width] = spec.input;
    let bytes = read_picture(path)?;
    let opened = picture::open(&bytes).map_err(|fault| Error::input(path, fault.to_string()))?;
    let own = opened.dimensions();
    let decoded = opened.decode().map_err(|fault| Error::input(path, fault.to_string()))?;
    let ground = spec.load.prepare.reading.background.unwrap_or_default();
    let (flat, clear) = picture::flatten(decoded, ground.0);
    let flat = flat.scaled(width as u32, height as u32);
    let mut one = flat.to_dataset(path.display().to_string())?;
    one.to_channels(channels)?;
    Ok(Fitted { pixels: one.images.to_vec(), size: [own.1 as usize, own.0 as usize], clear })
}

pub(super) fn run(args: &PredictArgs) -> Result<()> {
    if args.top == 0 {
        return Err(Error::Usage("--top is 0; expected at least 1".into()));
    }
    let (path, bytes) = read_model(&args.run)?;
    let spec = Saved::read(&path, &bytes)?.spec;
    match (&args.masks, spec.masks) {
        (None, true) => {
            let what = "the network tells the class of each pixel, not of pictures; name a folder for the masks with --masks DIR";
            return Err(Error::Usage(what.into()));
        }
        (Some(_), false) => {
            let what = "the network tells one class for each picture, and no masks; leave out --masks";
            return Err(Error::Usage(what.into()));
        }
        _ => {}
    }
    let pictures = readable(pictures(&args.images)?, args.skip_bad)?;
    let masks = args.masks.as_deref().map(|folder| MaskFolder::make(folder, &pictures)).transpose()?;
    let gpu = args.device.open()?;
    let mut learner = Learner::from_bytes(&gpu, &path, &bytes, |_| Ok(()))?;
    let ([mut resized, mut clear], [channels, height, width]) = ([0, 0], spec.input);
    for some in pictures.chunks(TOGETHER) {
        let (mut pixels, mut sizes) = (Vec::new(), Vec::new());
        for picture in some {
            let fitted = fitted(picture, &spec)?;
            pixels.extend(fitted.pixels);
            sizes.push(fitted.size);
            resized += usize::from(fitted.size != [height, width]);
            clear += usize::from(fitted.clear);
        }
        if let Some(masks) = &masks {
            let classes = learner.classes(&pixels)?;
            for (i, (picture, size)) in some.iter().zip(sizes).enumerate() {
                masks.write(args, picture, classes.row(i), ([height, width], size), &spec.class_names)?;
            }
            continue;
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
        let all = count(pictures.len(), "picture");
        tell(&format!("note: {clear} of {all} laid over {ground}, because of transparent pixels"));
    }
    if resized > 0 {
        tell(&format!(
            "note: {resized} of {} stretched to the network's {height} x {width} (height x width, {}), whatever the \
             proportions, with a triangle filter that takes in all pixels where it shrinks, as in training",
            count(pictures.len(), "picture"),
            count(channels, "channel")
        ));
    }
    Ok(())
}

fn show(args: &PredictArgs, picture: &Path, names: &[String], row: &[f32]) -> Result<()> {
    let first = best(row)?;
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
    let top: Vec<usize> = order.into_iter().take(args.top).collect();
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

/// Where masks go.
struct MaskFolder<'a>(&'a Path);

#[derive(Serialize)]
struct MaskPrediction<'a> {
    event: &'static str,
    image: String,
    mask: String,
    /// Of all pixels.
    shares: Vec<Share<'a>>,
}

impl<'a> MaskFolder<'a> {
    /// Makes the folder; refuses pictures whose masks would have one name.
    fn make(folder: &'a Path, pictures: &[PathBuf]) -> Result<Self> {
        let found = Self(folder);
        let mut places: Vec<(PathBuf, &PathBuf)> =
            pictures.iter().map(|picture| (found.place(picture), picture)).collect();
        places.sort();
        if let Some(same) = places.windows(2).find(|two| two[0].0 == two[1].0) {
            let [first, second] = [same[0].1.display(), same[1].1.display()];
            let what = format!(
                "{first} and {second} would both become {}; take them one after the other",
                same[0].0.display()
            );
            return Err(Error::Usage(what));
        }
        std::fs::create_dir_all(folder).map_err(|e| Error::input(folder, format!("cannot be made: {e}")))?;
        Ok(found)
    }

    fn place(&self, picture: &Path) -> PathBuf {
        self.0.join(picture.file_stem().unwrap_or_default()).with_extension("png")
    }

    /// Writes the mask in the size of the picture, and tells which classes it shows most of.
    fn write(
        &self,
        args: &PredictArgs,
        picture: &Path,
        classes: &[f32],
        (from, size): ([usize; 2], [usize; 2]),
        names: &[String],
    ) -> Result<()> {
        let values: Vec<u8> = classes.iter().map(|class| *class as u8).collect();
        let values = nearest(&values, from, size);
        let place = self.place(picture);
        if std::fs::canonicalize(&place).is_ok_and(|there| std::fs::canonicalize(picture).is_ok_and(|own| own == there))
        {
            let what = "is the picture itself; choose another folder with --masks";
            return Err(Error::input(place, what));
        }
        let bytes = mask::write(&values, size).map_err(|e| Error::Run(format!("a mask could not be encoded: {e}")))?;
        std::fs::write(&place, bytes).map_err(|e| Error::input(&place, format!("cannot be written: {e}")))?;
        let mut counts = vec![0usize; names.len()];
        values.iter().filter_map(|value| counts.get_mut(usize::from(*value)).map(|n| *n += 1)).for_each(drop);
        let mut order: Vec<usize> = (0..names.len()).filter(|i| counts[*i] > 0).collect();
        order.sort_by_key(|i| std::cmp::Reverse(counts[*i]));
        order.truncate(args.top);
        let share = |i: usize| counts[i] as f32 / values.len() as f32;
        let (image, mask) = (picture.display().to_string(), place.display().to_string());
        if args.json {
            let shares = order.iter().map(|&i| Share { class: &names[i], share: share(i) }).collect();
            return say_json(&MaskPrediction { event: "mask", image, mask, shares });
        }
        let shares: Vec<String> = order.iter().map(|&i| format!("{} {:.1} %", names[i], 100.0 * share(i))).collect();
        say(&format!("{image}: {} of its pixels; in {mask}", shares.join(", ")));
        Ok(())
    }
}
