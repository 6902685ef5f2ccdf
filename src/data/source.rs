//! From a name or a path to both splits: what is there, how it is normalised and augmented.

use super::files::Files;
use super::{Augment, Dataset, Normalize, Splits, cifar, folders, glyphs, idx};
use crate::error::{Error, Result};

/// Names that [`load`] knows; anything else is a path.
pub const NAMES: [&str; 5] = ["glyphs", "mnist", "fashion-mnist", "cifar10", "cifar100"];

/// How much to load, and the seed of generated data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct LoadOptions {
    /// Keep so many training images: of class folders the first of each class in turn, otherwise the first.
    pub limit_train: Option<usize>,
    /// The same for test images.
    pub limit_test: Option<usize>,
    /// Seed of generated data; data from files does not depend on it.
    pub seed: u64,
}

impl LoadOptions {
    fn check(&self) -> Result<()> {
        for (option, limit) in [("--limit-train", self.limit_train), ("--limit-test", self.limit_test)] {
            if limit == Some(0) {
                return Err(Error::Usage(format!("{option} 0 leaves no image; expected at least 1")));
            }
        }
        Ok(())
    }
}

/// Loads the data set named by `spec`: one of [`NAMES`], or the path of
///
/// - IDX files, raw or gzipped (`train-images-idx3-ubyte`, ..., `t10k-labels-idx1-ubyte.gz`),
/// - CIFAR binaries (`data_batch_1.bin` to `5` and `test_batch.bin`; `train.bin` and `test.bin` of CIFAR-100),
/// - class folders of PNG, JPEG or WebP pictures under `train/` and `test/`,
///
/// in a folder, in one zip, or in `train.zip` and `test.zip`. Without files (in a browser) only `glyphs` is there;
/// a zip that was fetched otherwise goes through [`load_files`].
///
/// # Errors
/// [`Error::Usage`] when the name is unknown or its files are not found; [`Error::Input`] when files are not as they
/// should be.
pub fn load(spec: &str, options: &LoadOptions) -> Result<Splits> {
    options.check()?;
    if spec == "glyphs" {
        // Drawn data has no end, memory has.
        for (option, limit) in [("--limit-train", options.limit_train), ("--limit-test", options.limit_test)] {
            if let Some(limit) = limit.filter(|&n| n > glyphs::MAX) {
                return Err(Error::Usage(format!("{option} {limit} is too much; expected at most {}", glyphs::MAX)));
            }
        }
        return Ok(glyphs::splits(options));
    }
    load_path(spec, options)
}

#[cfg(target_arch = "wasm32")]
fn load_path(spec: &str, _: &LoadOptions) -> Result<Splits> {
    Err(Error::Usage(format!("data set '{spec}' needs files, which a browser page does not have; expected 'glyphs'")))
}

#[cfg(not(target_arch = "wasm32"))]
use native::load_path;
#[cfg(not(target_arch = "wasm32"))]
pub use native::{data_home, places};

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::path::{Path, PathBuf};

    use super::super::files;
    use super::{Error, LoadOptions, NAMES, Result, Splits, load_files};

    /// The user's folder of data sets, where fetched ones are kept; `None` when the system names no home.
    pub fn data_home() -> Option<PathBuf> {
        let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let base = folder("XDG_DATA_HOME")
            .or_else(|| folder("HOME").map(|home| home.join(".local/share")))
            .or_else(|| folder("LOCALAPPDATA"))?;
        Some(base.join("mexhat"))
    }

    /// Where the public data set `name` is looked for, in this order.
    pub fn places(name: &str) -> Vec<PathBuf> {
        let given = std::env::var_os("MEXHAT_DATA").filter(|v| !v.is_empty()).map(PathBuf::from);
        let bases = [Some(PathBuf::from("data")), given, data_home()];
        bases.into_iter().flatten().map(|base| base.join(name)).collect()
    }

    /// How to come by the public data set `name`.
    fn advice(name: &str) -> String {
        #[cfg(feature = "cli")]
        if crate::data::fetch::fetchable().contains(&name) {
            return format!("Get it with: mexhat data fetch {name}");
        }
        format!("Put the files of {name} there, or name their folder with --data")
    }

    pub(super) fn load_path(spec: &str, options: &LoadOptions) -> Result<Splits> {
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
        } else if Path::new(spec).exists() {
            PathBuf::from(spec)
        } else {
            return Err(Error::Usage(format!(
                "unknown data set '{spec}': expected {} or the path of a folder or zip, but there is nothing at that path",
                NAMES.join(", ")
            )));
        };
        load_files(&*files::open(&path)?, spec, options)
    }
}

/// Both splits from whatever the files turn out to be; `name` also says whether this is Fashion-MNIST.
///
/// A zip in memory is read with [`Zip`](super::files::Zip) over a `Cursor`, also in a browser.
///
/// # Errors
/// [`Error::Input`] when the files are of no known kind, some are missing, or one is not as it should be.
pub fn load_files(files: &dyn Files, name: &str, options: &LoadOptions) -> Result<Splits> {
    options.check()?;
    // Grey 28x28 means MNIST only among IDX files; pictures of that size may be anything.
    let (mut train, mut test, digits) = if let Some((train, test)) = read_idx(files, name)? {
        (train, test, true)
    } else if let Some((train, test)) = read_cifar(files, name, options)? {
        (train, test, false)
    } else if let Some((train, test)) = folders::datasets(files, name, [options.limit_train, options.limit_test])? {
        (train, test, false)
    } else {
        return Err(unknown(files));
    };
    if train.shape != test.shape {
        let what = format!(
            "the splits differ: training images are {:?} (channels, height, width), test images {:?}; expected one shape",
            train.shape, test.shape
        );
        return Err(Error::input(files.path(), what));
    }
    // Numbered classes of both splits; named ones are the same in both.
    let names = if train.classes() < test.classes() { &test.class_names } else { &train.class_names }.clone();
    let classes = names.len();
    (train.class_names, test.class_names) = (names.clone(), names);
    train.truncate(options.limit_train.unwrap_or(usize::MAX));
    test.truncate(options.limit_test.unwrap_or(usize::MAX));
    let normalize = match (train.shape, classes) {
        _ if name.to_lowercase().contains("fashion") => Normalize::none(train.shape[0]),
        ([1, 28, 28], _) if digits => Normalize::mnist(),
        (cifar::SHAPE, 10) => Normalize::cifar10(),
        (cifar::SHAPE, 100) => Normalize::cifar100(),
        _ => Normalize::of(&train),
    };
    let augment = if train.shape == cifar::SHAPE { Augment::CIFAR } else { Augment::NONE };
    log::info!("{name}: {} training and {} test images {:?}, {classes} classes", train.len(), test.len(), train.shape);
    Ok(Splits::new(train, test, normalize, augment))
}

fn unknown(files: &dyn Files) -> Error {
    let names = files.names();
    let some: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
    let what = format!(
        "expected IDX files (train-images-idx3-ubyte, ...), the binary version of CIFAR (data_batch_1.bin, ... or \
         train.bin and test.bin), or class folders of pictures under train/ and test/; found {} file(s) {}",
        names.len(),
        some.join(", ")
    );
    Error::input(files.path(), what)
}

fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn read_idx(files: &dyn Files, name: &str) -> Result<Option<(Dataset, Dataset)>> {
    // Raw before gzipped where both are there: names end alike, so the shorter one is the raw one.
    let find = |splits: [&str; 2], what: &str, rank: &str| {
        let fits = |n: &str| splits.iter().any(|s| n.contains(&format!("{s}-{what}"))) && n.contains(rank);
        let found = files.names().iter().enumerate().filter(|(_, n)| fits(base(n)));
        found.min_by_key(|(_, n)| n.len()).map(|(i, _)| i)
    };
    let (train, test) = (["train", "train"], ["t10k", "test"]);
    let found = [
        find(train, "images", "idx3"),
        find(train, "labels", "idx1"),
        find(test, "images", "idx3"),
        find(test, "labels", "idx1"),
    ];
    if found.iter().all(Option::is_none) {
        return Ok(None);
    }
    let wanted =
        ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
    let mut places = [0; 4];
    for ((place, found), wanted) in places.iter_mut().zip(found).zip(wanted) {
        *place = found
            .ok_or_else(|| Error::input(files.path(), format!("holds IDX files, but {wanted}(.gz) is missing")))?;
    }
    let read = |images: usize, labels: usize| {
        let (pixels, tags) = (files.read(images)?, files.read(labels)?);
        idx::dataset(name, (files.path_of(images), &pixels), (files.path_of(labels), &tags))
    };
    Ok(Some((read(places[0], places[1])?, read(places[2], places[3])?)))
}

fn read_cifar(files: &dyn Files, name: &str, options: &LoadOptions) -> Result<Option<(Dataset, Dataset)>> {
    let find = |wanted: &str| files.names().iter().position(|n| base(n) == wanted);
    let batches: [String; 5] = std::array::from_fn(|i| format!("data_batch_{}.bin", i + 1));
    let ten: Vec<&str> = batches.iter().map(String::as_str).collect();
    let (kind, train, test) = if find("test_batch.bin").is_some() || ten.iter().any(|n| find(n).is_some()) {
        (cifar::Kind::Cifar10, ten, "test_batch.bin")
    } else if find("train.bin").is_some() || find("test.bin").is_some() {
        (cifar::Kind::Cifar100, vec!["train.bin"], "test.bin")
    } else {
        return Ok(None);
    };
    let read = |parts: &[&str], limit: Option<usize>| {
        let limit = limit.unwrap_or(usize::MAX);
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for part in parts {
            let missing = || Error::input(files.path(), format!("holds CIFAR binaries, but {part} is missing"));
            let i = find(part).ok_or_else(missing)?;
            if labels.len() < limit {
                cifar::parse(files.path_of(i), &files.read(i)?, kind, limit, &mut images, &mut labels)?;
            }
        }
        Dataset::new(name, kind.classes(), cifar::SHAPE, images, labels)
    };
    Ok(Some((read(&train, options.limit_train)?, read(&[test], options.limit_test)?)))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::path::Path;

    use super::super::files::Zip;
    use super::super::files::tests::zip_of;
    use super::*;

    fn run(entries: &[(&str, &[u8])], name: &str, options: &LoadOptions) -> Result<Splits, String> {
        let files = Zip::new("some.zip", Cursor::new(zip_of(entries))).unwrap();
        load_files(&files, name, options).map_err(|e| e.to_string())
    }

    fn limits(train: usize, test: usize) -> LoadOptions {
        LoadOptions { limit_train: Some(train), limit_test: Some(test), seed: 0 }
    }

    #[test]
    fn idx_is_found_by_content_and_normalised_by_shape_and_name() {
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
        assert_eq!((splits.normalize, splits.augment), (Normalize::mnist(), Augment::NONE));
        let fashion = run(&entries, "Fashion-mnist-small", &limits(1, 1)).unwrap();
        assert_eq!(fashion.normalize, Normalize::none(1));
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
        assert_eq!((splits.normalize, splits.augment), (Normalize::cifar10(), Augment::CIFAR));
        let c = one(&[1, 77], 3);
        let splits = run(&[("train.bin", &c), ("test.bin", &c)], "x", &LoadOptions::default()).unwrap();
        assert_eq!((splits.train.labels[0], splits.normalize), (77, Normalize::cifar100()));
    }

    #[test]
    fn what_is_not_there_is_said() {
        let text = run(&[("notes.txt", b"hi")], "x", &LoadOptions::default()).unwrap_err();
        assert!(text.contains("expected IDX files") && text.contains("1 file(s) notes.txt"), "{text}");
        let text = load("cifar1O", &LoadOptions::default()).unwrap_err().to_string();
        assert!(text.contains("'cifar1O'") && text.contains("fashion-mnist"), "{text}");
        let text = load("glyphs", &limits(0, 1)).unwrap_err().to_string();
        assert!(text.contains("--limit-train 0"), "{text}");
        let text = load("glyphs", &limits(usize::MAX, 1)).unwrap_err().to_string();
        assert!(text.contains("expected at most"), "{text}");
        assert!(places("mnist")[0].ends_with("data/mnist"));
    }

    /// The data sets beside a checkout; `None` (and the test passes) where there are none.
    fn shared(name: &str) -> Option<String> {
        let path = Path::new("../shared/data").join(name);
        path.exists().then(|| path.display().to_string())
    }

    #[test]
    fn real_mnist() {
        let Some(path) = shared("mnist") else { return };
        let splits = load(&path, &LoadOptions::default()).unwrap();
        assert_eq!((splits.train.len(), splits.test.len()), (60_000, 10_000));
        assert_eq!((splits.train.shape, splits.train.classes()), ([1, 28, 28], 10));
        assert_eq!((splits.train.labels[0], splits.test.labels[0]), (5, 7));
        assert_eq!(splits.train.image(0).iter().map(|&v| u32::from(v)).sum::<u32>(), 27_525);
        let found = Normalize::of(&splits.train);
        assert!((found.mean[0] - splits.normalize.mean[0]).abs() < 1e-4, "{found:?}");
        assert!((found.std[0] - splits.normalize.std[0]).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn real_fashion() {
        let Some(path) = shared("fashion-mnist-3600") else { return };
        let splits = load(&path, &LoadOptions::default()).unwrap();
        assert_eq!(splits.train.shape, [1, 28, 28]);
        assert_eq!(splits.normalize, Normalize::none(1));
    }

    #[test]
    fn real_cifar_zips() {
        let Some(path) = shared("cifar10") else { return };
        let splits = load(&path, &limits(200, 50)).unwrap();
        assert_eq!((splits.train.shape, splits.train.classes(), splits.train.len()), ([3, 32, 32], 10, 200));
        assert_eq!(splits.train.labels[..11], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]);
        assert_eq!((&splits.normalize, splits.augment), (&Normalize::cifar10(), Augment::CIFAR));
        let found = Normalize::of(&splits.train);
        for (found, known) in found.mean.iter().zip(&splits.normalize.mean) {
            assert!((found - known).abs() < 0.05, "planes hold whole colours: {found} against {known}");
        }
    }
}
