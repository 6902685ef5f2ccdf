//! From a name or a path to the splits: what is there, how it is normalised and augmented, and what is said about it.

use super::drawn::{drawn, is_drawn};
use super::files::{Files, note_left_out};
use super::found::{Found, Want};
use super::layout::{Classes, Layout, hold_back};
use super::options::{Augmentation, LoadOptions, Normalization};
use super::{Augment, Dataset, Normalize, Report, Splits, cifar, folders, idx, idx_sets};
#[cfg(not(target_arch = "wasm32"))]
use super::{home::places, pairs};
use crate::error::{Error, Result};
use crate::plural;

/// Names that [`load`] knows; anything else is a path.
///
/// ```
/// use mexhat::data;
/// assert!(data::NAMES.contains(&"fashion-mnist"));
/// assert!(!data::NAMES.contains(&"photos")); // a path
/// ```
pub const NAMES: &[&str] = &[
    "glyphs",
    "mnist",
    "fashion-mnist",
    "cifar10",
    "cifar100",
    #[cfg(not(target_arch = "wasm32"))]
    "shapes",
];

/// Loads the data set named by `spec`: one of [`NAMES`], or the path of
///
/// - IDX files, raw or gzipped (`train-images-idx3-ubyte`, ..., `t10k-labels-idx1-ubyte.gz`),
/// - CIFAR's binary or python version (`data_batch_1.bin` to `5` and `test_batch.bin`; `train.bin` and `test.bin`; the
///   same as pickles without `.bin`),
/// - class folders of PNG, JPEG, WebP, BMP, TIFF or GIF pictures under `train/`, `test/` and perhaps `validation/` (or
///   `val/`, `valid/`), in whatever case; or class folders alone, with `split`,
/// - pictures with masks under `train/images/` and `train/masks/` (and the same of the other splits), each mask a PNG
///   of one grey or palette value a pixel, which is its class, or [`IGNORED`](super::IGNORED); `classes.txt` names the
///   classes,
///
/// in a folder, a zip, a tar or tar.gz, or in `train.zip` and `test.zip`. `glyphs` and `shapes` are drawn, the second
/// with masks. Without files (in a browser) only `glyphs` is there; a zip that was fetched otherwise goes through
/// [`load_files`].
///
/// What was decided on the way stands in [`Splits::report`].
///
/// ```
/// use mexhat::data::{self, LoadOptions};
/// let few = LoadOptions { limit_train: Some(20), limit_test: Some(10), ..Default::default() };
/// let digits = data::load("glyphs", &few)?;
/// assert_eq!((digits.train.shape, digits.train.classes()), ([1, 28, 28], 10));
/// let error = data::load("no/such/folder", &few).unwrap_err().to_string();
/// assert!(error.starts_with("unknown data set 'no/such/folder': expected glyphs, mnist"));
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// [`Error::Usage`] when the name is unknown or its files are not found; [`Error::Input`] when files are not as they
/// should be, or could be read in more than one way.
pub fn load(spec: &str, options: &LoadOptions) -> Result<Splits> {
    options.check()?;
    let found = if is_drawn(spec) { drawn(spec, options)? } else { find_path(spec, options, Want::All)? };
    splits(spec, found, options)
}

/// Loads the test split alone, for a trained network: its images and what is to be said about them. Folders of classes
/// that are in no split folder are one test split.
///
/// ```
/// use mexhat::data::{self, LoadOptions};
/// let (test, report) = data::load_test("glyphs", &LoadOptions { limit_test: Some(10), ..Default::default() })?;
/// assert_eq!((test.len(), report.images), (10, [0, 0, 10]));
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// As [`load`].
pub fn load_test(spec: &str, options: &LoadOptions) -> Result<(Dataset, Report)> {
    options.check()?;
    let found = if is_drawn(spec) { drawn(spec, options)? } else { find_path(spec, options, Want::Test)? };
    let source = format!("{} in {spec}", found.kind);
    let found = finish(spec, found, options)?;
    let Some(mut test) = found.test else { return Err(Error::input(spec, "has no test images")) };
    test.truncate(options.limit_test.unwrap_or(usize::MAX));
    let mut report =
        Report { source, split: found.split, notes: found.notes, skipped: found.skipped, ..Report::default() };
    report.count_test(&test);
    Ok((test, report))
}

/// All splits from whatever the files turn out to be; `name` is what they are called.
///
/// A zip in memory is read with [`Zip`](super::files::Zip) over a `Cursor`, also in a browser.
///
/// ```no_run
/// use mexhat::data::{self, files::Zip};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bytes = std::fs::read("mnist.zip")?; // a page has them from a download
/// let zip = Zip::new("mnist.zip", std::io::Cursor::new(bytes))?;
/// let splits = data::load_files(&zip, "mnist", &Default::default())?;
/// println!("{}", splits.report.lines().join("\n"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Input`] when the files are of no known kind, some are missing, or one is not as it should be.
pub fn load_files(files: &dyn Files, name: &str, options: &LoadOptions) -> Result<Splits> {
    options.check()?;
    splits(name, find(files, name, options, Want::All)?, options)
}

#[cfg(target_arch = "wasm32")]
fn find_path(spec: &str, _: &LoadOptions, _: Want) -> Result<Found> {
    Err(Error::Usage(format!("data set '{spec}' needs files, which a browser page does not have; expected 'glyphs'")))
}

/// How to come by the public data set `name`.
#[cfg(not(target_arch = "wasm32"))]
fn advice(name: &str) -> String {
    #[cfg(feature = "cli")]
    if super::fetch::fetchable().contains(&name) {
        return format!("Get it with: mexhat data fetch {name}");
    }
    format!("Put the files of {name} there, or name their folder with `data`")
}

/// The files that `spec` names, a public data set or a path.
#[cfg(not(target_arch = "wasm32"))]
fn find_path(spec: &str, options: &LoadOptions, want: Want) -> Result<Found> {
    let path = if NAMES.contains(&spec) {
        let places = places(spec);
        match places.iter().find(|place| place.exists()) {
            Some(place) => place.clone(),
            None => {
                let places: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
                return Err(Error::Usage(format!(
                    "data set '{spec}' was not found; looked for {}. {}",
                    places.join(", "),
                    advice(spec)
                )));
            }
        }
    } else if std::path::Path::new(spec).exists() {
        spec.into()
    } else {
        return Err(Error::Usage(format!(
            "unknown data set '{spec}': expected {} or the path of a folder or zip, but there is nothing at that path",
            NAMES.join(", ")
        )));
    };
    find(&*super::files::open(&path)?, spec, options, want)
}

/// What the files turn out to be.
fn find(files: &dyn Files, name: &str, options: &LoadOptions, want: Want) -> Result<Found> {
    let mut kinds = Vec::new();
    kinds.extend(idx_sets::present(files).then_some("IDX files"));
    kinds.extend(cifar::present(files).then_some("batches of CIFAR"));
    if kinds.len() > 1 || !kinds.is_empty() && Layout::of(files).is_ok_and(|l| l.is_some_and(|l| !l.train.is_empty())) {
        kinds.extend((kinds.len() == 1).then_some("class folders"));
        let what = format!("holds {}; name the folder of one of them with `data`", kinds.join(" and "));
        return Err(Error::input(files.path(), what));
    }
    if let Some(found) = idx_sets::find(files, name, options, want)? {
        return Ok(found);
    }
    if let Some(found) = cifar::find(files, name, options, want)? {
        return Ok(found);
    }
    if let Some(set) = &options.prepare.reading.set
        && Layout::of(files).is_ok_and(|layout| layout.is_some())
    {
        let what =
            format!("there is no set '{set}'; folders of pictures are one set without a name, so leave out `set`");
        return Err(Error::input(files.path(), what));
    }
    // Before class folders, of which `images` and `masks` would be two.
    #[cfg(not(target_arch = "wasm32"))]
    if let Some(found) = pairs::find(files, name, options, want)? {
        return Ok(found);
    }
    folders::find(files, name, options, want)?.ok_or_else(|| unknown(files))
}

/// Checks what belongs together, holds back a test split where that was asked for, and scales.
fn finish(name: &str, mut found: Found, options: &LoadOptions) -> Result<Found> {
    if let (Some(share), None, Some(train)) = (options.prepare.reading.split, &found.test, &found.train) {
        let (train, test) = hold_back_images(train, "split", share, options.seed)?;
        found.split = format!("{} % of each class held back for testing, seed {}", 100.0 * share, options.seed);
        (found.train, found.test) = (Some(train), Some(test));
    }
    if let Some(size) = options.prepare.reading.size {
        let mut scaled = 0;
        for data in [&mut found.train, &mut found.validation, &mut found.test].into_iter().flatten() {
            scaled += data.resize(size)?;
        }
        if scaled > 0 {
            found.notes.push(format!(
                "{} stretched to {} x {} (triangle filter)",
                plural::count(scaled, "image"),
                size.height,
                size.width
            ));
        }
    }
    let parts = || [&found.train, &found.validation, &found.test].into_iter().flatten();
    if let Some(other) = parts().find(|part| parts().any(|first| first.shape != part.shape)) {
        let first = parts().next().map_or(other.shape, |first| first.shape);
        let what = format!(
            "the splits differ: training images are {first:?} (channels, height, width), test images {:?}; expected one \
             shape, which `size` can give them",
            parts().last().map_or(other.shape, |last| last.shape)
        );
        return Err(Error::input(name, what));
    }
    // Numbered classes of all splits; named ones are the same in all.
    let names = parts().map(|part| &part.class_names).max_by_key(|names| names.len()).cloned().unwrap_or_default();
    for data in [&mut found.train, &mut found.validation, &mut found.test].into_iter().flatten() {
        data.class_names.clone_from(&names);
    }
    Ok(found)
}

/// Takes a share of the images of each class away.
fn hold_back_images(data: &Dataset, option: &str, share: f64, seed: u64) -> Result<(Dataset, Dataset)> {
    let mut classes = Classes::new();
    for (i, &label) in data.labels.iter().enumerate() {
        // Sorted as numbers, so that the split does not depend on the names.
        classes.entry(format!("{label:010}")).or_default().push(i);
    }
    let mut train = classes;
    let test = hold_back(&mut train, share, seed).map_err(|class| {
        let class = class.trim_start_matches('0');
        Error::Usage(format!(
            "class '{class}' has one image only; `{option}` needs two of each class, one to hold back"
        ))
    })?;
    let part = |classes: Classes| {
        let mut places: Vec<usize> = classes.into_values().flatten().collect();
        places.sort_unstable();
        data.pick(&places)
    };
    Ok((part(train)?, part(test)?))
}

/// Everything that is decided about training data, and the report of it.
fn splits(name: &str, found: Found, options: &LoadOptions) -> Result<Splits> {
    let source = format!("{} in {name}", found.kind);
    let mut found = finish(name, found, options)?;
    let (Some(mut train), Some(mut test)) = (found.train.take(), found.test.take()) else {
        return Err(Error::input(name, "has no training or no test images"));
    };
    // A reader that keeps to the limit itself has shown no more than that.
    let cut = options.limit_train == Some(train.len());
    let one_class = |data: &Dataset| data.counts().iter().filter(|&&n| n > 0).count() < 2;
    if !cut && one_class(&train) {
        let what = "has training images of one class only; expected two or more to tell apart";
        // The commonest mistake with masks of two classes.
        let hint = if train.is_masked() { ", in masks as 0, 1, 2 and so on; 255 is no class" } else { "" };
        return Err(Error::input(name, format!("{what}{hint}")));
    }
    let known = known(name, &train);
    train.truncate(options.limit_train.unwrap_or(usize::MAX));
    // A single training image is what an evaluation looks at.
    if train.len() > 1 && one_class(&train) {
        let what = format!(
            "has {} training images of one class only within `limit_train`; expected two or more classes to tell apart",
            train.len()
        );
        return Err(Error::input(name, what));
    }
    // A single training image is what an evaluation looks at.
    if let (Some(share), None, true) = (options.prepare.validation, &found.validation, train.len() > 1) {
        let (rest, validation) = hold_back_images(&train, "validation", share, options.seed)?;
        found.split += &format!("; {} % of each class held back for validation, seed {}", 100.0 * share, options.seed);
        (train, found.validation) = (rest, Some(validation));
    }
    for part in [Some(&mut test), found.validation.as_mut()].into_iter().flatten() {
        part.truncate(options.limit_test.unwrap_or(usize::MAX));
    }
    let (normalize, why_normalize) = normalize(name, known, &train, options.prepare.normalize)?;
    let (augment, why_augment) = augment(name, train.shape, options);
    let mut report = Report {
        source,
        split: found.split,
        normalize: format!("{normalize}, {why_normalize}"),
        augment: format!("{augment}{why_augment}"),
        notes: found.notes,
        skipped: found.skipped,
        ..Report::default()
    };
    report.count(&train, found.validation.as_ref(), &test);
    Ok(Splits { train, validation: found.validation, test, normalize, augment, report })
}

/// Published statistics of a set that is known for certain, and how it is known.
fn known(name: &str, train: &Dataset) -> Option<(Normalize, &'static str)> {
    let known = match name {
        "glyphs" => (Normalize::mnist(), "those of MNIST, which the digits are drawn after"),
        "mnist" => (Normalize::mnist(), "those published for mnist"),
        "fashion-mnist" => (Normalize::none(1), "as published for fashion-mnist"),
        "cifar10" => (Normalize::cifar10(), "those published for cifar10"),
        "cifar100" => (Normalize::cifar100(), "those published for cifar100"),
        _ if train.len() == 60_000 && train.shape == [1, 28, 28] && idx::is_mnist(&train.images) => {
            (Normalize::mnist(), "those published for MNIST, known by its checksum")
        }
        _ => return None,
    };
    (known.0.mean.len() == train.shape[0]).then_some(known)
}

fn normalize(
    name: &str,
    known: Option<(Normalize, &'static str)>,
    train: &Dataset,
    wish: Option<Normalization>,
) -> Result<(Normalize, &'static str)> {
    let asked = "as `normalize` says";
    let channels = train.shape[0];
    let chosen = match wish {
        None => known.unwrap_or_else(|| (Normalize::of(train), "of the training images")),
        Some(Normalization::Data) => (Normalize::of(train), "of the training images, as `normalize` says"),
        Some(Normalization::None) => (Normalize::none(channels), asked),
        Some(Normalization::Mnist) => (Normalize::mnist(), asked),
        Some(Normalization::Cifar10) => (Normalize::cifar10(), asked),
        Some(Normalization::Cifar100) => (Normalize::cifar100(), asked),
    };
    if chosen.0.mean.len() != channels {
        return Err(Error::Usage(format!(
            "`normalize` {} is for {}, but images of '{name}' have {channels}; leave it out",
            wish.map_or(String::new(), |wish| wish.to_string()),
            plural::count(chosen.0.mean.len(), "channel")
        )));
    }
    Ok(chosen)
}

fn augment(name: &str, shape: [usize; 3], options: &LoadOptions) -> (Augment, String) {
    match options.prepare.augment {
        Some(wish) => {
            // 4 pixels at 32 x 32 (method, section 10.2).
            let pad = if wish.crop { (shape[1].min(shape[2]) / 8).max(1) } else { 0 };
            let cutout = if wish.cutout { (shape[1].min(shape[2]) / 2).max(1) } else { 0 };
            let Augmentation { flip, resized_crop, random_resize, .. } = wish;
            (Augment { pad, flip, cutout, resized_crop, random_resize }, ", as `augment` says".into())
        }
        None if matches!(name, "cifar10" | "cifar100") && shape == cifar::SHAPE => {
            (Augment::CIFAR, format!(", the recipe of {name}; `augment` none turns it off"))
        }
        None => (Augment::NONE, String::new()),
    }
}

fn unknown(files: &dyn Files) -> Error {
    let names = files.names();
    let some: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
    let what = format!(
        "expected IDX files (train-images-idx3-ubyte, ...), CIFAR's binary or python version \
         (data_batch_1.bin or data_batch_1, ...), class folders of pictures under train/ and test/, or pictures in images/ with masks in \
         masks/; found {} {}{}",
        plural::count(names.len(), "file"),
        some.join(", "),
        note_left_out(files)
    );
    Error::input(files.path(), what)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::files::Zip;
    use super::super::files::tests::zip_of;
    use super::*;

    fn run(entries: &[(&str, &[u8])], name: &str, options: &LoadOptions) -> Result<Splits, String> {
        let files = Zip::new("some.zip", Cursor::new(zip_of(entries))).unwrap();
        load_files(&files, name, options).map_err(|e| e.to_string())
    }

    fn limits(train: usize, test: usize) -> LoadOptions {
        LoadOptions { limit_train: Some(train), limit_test: Some(test), ..Default::default() }
    }

    #[test]
    fn idx_is_found_by_content_and_normalised_by_name() {
        let (images, labels) = (idx::encode(&[2, 28, 28], &[1; 1568]), idx::encode(&[2], &[0, 3]));
        let later = idx::encode(&[2], &[9, 1]);
        let entries: [(&str, &[u8]); 4] = [
            ("raw/train-images-idx3-ubyte", &images),
            ("raw/train-labels-idx1-ubyte", &labels),
            ("raw/t10k-images.idx3-ubyte", &images),
            ("raw/t10k-labels.idx1-ubyte", &later),
        ];
        let splits = run(&entries, "digits", &limits(1, 5)).unwrap();
        assert_eq!((splits.train.len(), splits.test.len()), (1, 2));
        assert_eq!(
            (splits.train.classes(), splits.test.classes()),
            (10, 10),
            "classes of both splits, before the limit"
        );
        assert_eq!((&splits.normalize, splits.augment), (&Normalize::of(&splits.train), Augment::NONE));
        let path = run(&entries, "old-fashioned-mnist", &limits(1, 1)).unwrap();
        assert_eq!(path.normalize, splits.normalize, "a path is no name");
        assert_eq!(run(&entries, "fashion-mnist", &limits(1, 1)).unwrap().normalize, Normalize::none(1));
        assert_eq!(run(&entries, "mnist", &limits(1, 1)).unwrap().normalize, Normalize::mnist());
        let missing = run(&entries[..3], "digits", &limits(1, 1)).unwrap_err();
        assert!(missing.contains("some.zip: holds IDX files, but t10k-labels-idx1-ubyte(.gz) is missing"), "{missing}");
    }

    #[test]
    fn cifar_binaries_of_both_kinds() {
        let one = |label: &[u8], v: u8| [label, &[v; 3072]].concat();
        let (a, b) = (one(&[4], 1), one(&[9], 2));
        let mut entries: Vec<(&str, &[u8])> = vec![("c/data_batch_1.bin", &a), ("c/data_batch_2.bin", &b)];
        entries.extend([("c/data_batch_3.bin", a.as_slice()), ("c/data_batch_4.bin", &a), ("c/test_batch.bin", &b)]);
        let missing = run(&entries, "x", &LoadOptions::default()).unwrap_err();
        assert!(missing.contains("data_batch_5.bin is missing"), "{missing}");
        entries.push(("c/data_batch_5.bin", &b));
        let splits = run(&entries, "x", &limits(3, 9)).unwrap();
        assert_eq!((splits.train.labels.as_slice(), splits.test.labels.as_slice()), (&[4, 9, 4][..], &[9][..]));
        assert_eq!((splits.normalize, splits.augment), (Normalize::of(&splits.train), Augment::NONE));
        let named = run(&entries, "cifar10", &limits(3, 9)).unwrap();
        assert_eq!((named.normalize, named.augment), (Normalize::cifar10(), Augment::CIFAR));
        assert!(named.report.augment.contains("the recipe of cifar10"), "{:?}", named.report);
        let c = one(&[1, 77], 3);
        let c = [c, one(&[1, 78], 4)].concat();
        let splits = run(&[("train.bin", &c), ("test.bin", &c)], "cifar100", &LoadOptions::default()).unwrap();
        assert_eq!((splits.train.labels[0], splits.normalize), (77, Normalize::cifar100()));
    }

    #[test]
    fn what_is_not_there_is_said() {
        let text = run(&[("notes.txt", b"hi")], "x", &LoadOptions::default()).unwrap_err();
        assert!(text.contains("expected IDX files") && text.contains("1 file notes.txt"), "{text}");
        let text = load("cifar1O", &LoadOptions::default()).unwrap_err().to_string();
        assert!(text.contains("'cifar1O'") && text.contains("fashion-mnist"), "{text}");
        let text = load("glyphs", &limits(0, 1)).unwrap_err().to_string();
        assert!(text.contains("`limit_train` 0"), "{text}");
        let text = load("glyphs", &limits(usize::MAX, 1)).unwrap_err().to_string();
        assert!(text.contains("expected at most"), "{text}");
    }
}
