//! CIFAR-10 and CIFAR-100: the binary version, records of label byte(s) and a 32x32 image, channel after channel; and
//! the python version, pickles of the same.

use std::collections::BTreeSet;
use std::path::Path;

use super::files::{Files, MAX_FILE};
use super::found::{Found, Want, choose};
use super::pickle::Pickle;
use super::{Dataset, LoadOptions};
use crate::error::{Error, Result};

/// Shape of every image.
pub const SHAPE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3 * 32 * 32;

/// Which of the two sets; they differ in the bytes before each image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One label byte, 10 classes.
    Cifar10,
    /// A coarse label byte, then the fine one that is used, 100 classes.
    Cifar100,
}

impl Kind {
    /// Number of classes.
    pub const fn classes(self) -> usize {
        match self {
            Self::Cifar10 => 10,
            Self::Cifar100 => 100,
        }
    }

    const fn label_bytes(self) -> usize {
        match self {
            Self::Cifar10 => 1,
            Self::Cifar100 => 2,
        }
    }
}

/// Appends the records in `bytes` to `images` (N, 3, 32, 32) and `labels`, at most until `limit` images are there.
///
/// # Errors
/// [`Error::Input`] when the file is empty, does not end with a whole record, or has a label that is no class.
pub fn parse(
    path: impl AsRef<Path>,
    bytes: &[u8],
    kind: Kind,
    limit: usize,
    images: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<()> {
    let record = kind.label_bytes() + PIXELS;
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        let what = format!(
            "expected whole records of {record} bytes ({} label, {PIXELS} pixels), found {} bytes, which is {} records \
             and {} bytes; fetch the file again",
            kind.label_bytes(),
            bytes.len(),
            bytes.len() / record,
            bytes.len() % record
        );
        return Err(Error::input(path, what));
    }
    for (i, item) in bytes.chunks_exact(record).enumerate() {
        if labels.len() >= limit {
            break;
        }
        let (head, pixels) = item.split_at(kind.label_bytes());
        let label = head[head.len() - 1];
        if usize::from(label) >= kind.classes() {
            let what = format!("record {i} has label {label}, expected a label below {}", kind.classes());
            return Err(Error::input(path, what));
        }
        images.extend_from_slice(pixels);
        labels.push(u32::from(label));
    }
    Ok(())
}

/// Appends the images and labels of a pickle of the python version, as [`parse`] does.
///
/// # Errors
/// [`Error::Input`] when it is no such pickle, or has another number of labels than of images.
pub fn parse_python(
    path: impl AsRef<Path>,
    bytes: &[u8],
    kind: Kind,
    limit: usize,
    images: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<()> {
    let path = path.as_ref();
    let wrong = |e: String| {
        Error::input(path, format!("expected a batch of CIFAR's python version, but {e}; fetch the file again"))
    };
    let key = match kind {
        Kind::Cifar10 => "labels",
        Kind::Cifar100 => "fine_labels",
    };
    let pickle = Pickle::read(bytes).map_err(wrong)?;
    let (data, found) = (pickle.array("data").map_err(wrong)?, pickle.numbers(key).map_err(wrong)?);
    if data.len() != found.len() * PIXELS || found.is_empty() {
        return Err(wrong(format!("it has {} bytes of images of {PIXELS} and {} labels", data.len(), found.len())));
    }
    for (label, pixels) in found.into_iter().zip(data.chunks_exact(PIXELS)).take(limit.saturating_sub(labels.len())) {
        let label = u32::try_from(label).ok().filter(|&label| (label as usize) < kind.classes());
        labels.push(label.ok_or_else(|| wrong(format!("it has a label that is not below {}", kind.classes())))?);
        images.extend_from_slice(pixels);
    }
    Ok(())
}

/// The files of one version of one set.
struct Version {
    kind: Kind,
    python: bool,
    train: &'static [&'static str],
    test: &'static str,
    /// The file with the names of the classes, and their key in it.
    names: (&'static str, &'static str),
}

const VERSIONS: [Version; 4] = [
    Version {
        kind: Kind::Cifar10,
        python: false,
        train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
        test: "test_batch.bin",
        names: ("batches.meta.txt", ""),
    },
    Version {
        kind: Kind::Cifar100,
        python: false,
        train: &["train.bin"],
        test: "test.bin",
        names: ("fine_label_names.txt", ""),
    },
    Version {
        kind: Kind::Cifar10,
        python: true,
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: "test_batch",
        names: ("batches.meta", "label_names"),
    },
    Version {
        kind: Kind::Cifar100,
        python: true,
        train: &["train"],
        test: "test",
        names: ("meta", "fine_label_names"),
    },
];

/// The place of `file` in `folder`.
fn place(files: &dyn Files, folder: &str, file: &str) -> Option<usize> {
    let path = if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") };
    files.names().binary_search(&path).ok()
}

/// Folders with files of CIFAR, and of which version they are.
fn sets(files: &dyn Files) -> Vec<(String, &'static Version)> {
    let folder = |name: &str| name.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
    let folders: BTreeSet<String> = files.names().iter().map(|name| folder(name)).collect();
    let holds = |folder: &str, version: &Version| {
        let any = version.train.iter().chain([&version.test]).any(|file| place(files, folder, file).is_some());
        // Files called `train` and `test` may be anything.
        any && (version.train != ["train"] || place(files, folder, version.names.0).is_some())
    };
    let of = |folder: String| {
        let found = VERSIONS.iter().filter(|version| holds(&folder, version));
        found.map(|version| (folder.clone(), version)).collect::<Vec<_>>()
    };
    folders.into_iter().flat_map(of).collect()
}

/// Whether there are files of CIFAR.
pub(super) fn present(files: &dyn Files) -> bool {
    !sets(files).is_empty()
}

/// The splits; `None` without files of CIFAR.
///
/// # Errors
/// [`Error::Input`] when a file is missing or not as it should be, or there are several sets and none is chosen.
pub(super) fn find(files: &dyn Files, name: &str, options: &LoadOptions, want: Want) -> Result<Option<Found>> {
    let sets = sets(files);
    let labels: Vec<String> =
        sets.iter().map(|(f, v)| if v.python { format!("{f}/python") } else { f.clone() }).collect();
    if sets.is_empty() {
        return Ok(None);
    }
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let chosen = choose(files, &labels, options.prepare.reading.set.as_deref(), "sets of CIFAR")?;
    let (folder, version) = &sets[labels.iter().position(|label| *label == chosen).unwrap_or_default()];
    if options.prepare.reading.split.is_some() {
        return Err(Error::input(
            files.path(),
            "has a test split, so that `split` would only waste images; leave it out",
        ));
    }
    let names = class_names(files, version, place(files, folder, version.names.0))?;
    let read = |parts: &[&str], limit: Option<usize>| {
        let limit = limit.unwrap_or(usize::MAX);
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for part in parts {
            let missing = || Error::input(files.path(), format!("holds files of CIFAR, but {part} is missing"));
            let i = place(files, folder, part).ok_or_else(missing)?;
            if labels.len() < limit {
                let parse = if version.python { parse_python } else { parse };
                let bytes = files.read(i, MAX_FILE)?;
                parse(files.path_of(i).as_path(), &bytes, version.kind, limit, &mut images, &mut labels)?;
            }
        }
        let data = Dataset::new(name, version.kind.classes(), SHAPE, images, labels)?;
        if let Some(names) = &names { data.with_class_names(names) } else { Ok(data) }
    };
    let train = if want == Want::All { Some(read(version.train, options.limit_train)?) } else { None };
    let test = read(&[version.test], options.limit_test)?;
    let form = if version.python { "python" } else { "binary" };
    Ok(Some(Found {
        kind: format!("CIFAR-{} ({form} version)", version.kind.classes()),
        train,
        test: Some(test),
        split: "from the training and test batches".into(),
        ..Found::default()
    }))
}

/// The published names of the classes, where they lie beside the batches.
fn class_names(files: &dyn Files, version: &Version, place: Option<usize>) -> Result<Option<Vec<String>>> {
    let Some(i) = place else { return Ok(None) };
    let bytes = files.read(i, 1 << 20)?;
    let names: Vec<String> = if version.python {
        let names = Pickle::read(&bytes).and_then(|pickle| pickle.texts(version.names.1));
        names.map_err(|e| Error::input(files.path_of(i), format!("expected names of classes, but {e}")))?
    } else {
        String::from_utf8_lossy(&bytes).lines().map(|line| line.trim().to_owned()).filter(|l| !l.is_empty()).collect()
    };
    if names.len() != version.kind.classes() {
        let what = format!("expected {} names of classes, found {}", version.kind.classes(), names.len());
        return Err(Error::input(files.path_of(i), what));
    }
    Ok(Some(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8], kind: Kind, limit: usize) -> Result<(Vec<u8>, Vec<u32>), String> {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        parse("batch.bin", bytes, kind, limit, &mut images, &mut labels).map_err(|e| e.to_string())?;
        Ok((images, labels))
    }

    #[test]
    fn records_of_both_kinds() {
        let ten = [vec![7], vec![1; PIXELS], vec![9], vec![2; PIXELS]].concat();
        let (images, labels) = run(&ten, Kind::Cifar10, 10).unwrap();
        assert_eq!((labels, images[PIXELS - 1], images[PIXELS]), (vec![7, 9], 1, 2));
        assert_eq!(run(&ten, Kind::Cifar10, 1).unwrap().1, [7]);
        let hundred = [vec![3, 99], vec![5; PIXELS]].concat();
        assert_eq!(run(&hundred, Kind::Cifar100, 10).unwrap(), (vec![5; PIXELS], vec![99]));
    }

    #[test]
    fn bad_records_are_refused() {
        assert!(run(&[], Kind::Cifar10, 9).unwrap_err().contains("found 0 bytes"));
        assert!(run(&vec![0; PIXELS + 3], Kind::Cifar10, 9).unwrap_err().contains("1 records and 2 bytes"));
        let label = [vec![10], vec![0; PIXELS]].concat();
        assert!(run(&label, Kind::Cifar10, 9).unwrap_err().contains("record 0 has label 10"));
    }
}
