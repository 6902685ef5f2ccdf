//! Which IDX files belong together: four from one folder with one prefix.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::files::{Files, MAX_FILE};
use super::found::{Found, Want, choose};
use super::{Dataset, LoadOptions, idx};
use crate::error::{Error, Result};

/// Places of the files of one set: images and labels of the training and of the test split.
#[derive(Default)]
struct Set {
    places: [Option<usize>; 4],
    /// Files that are there once more, raw and gzipped: the one that is used, and the other.
    doubles: Vec<[usize; 2]>,
}

/// What they are called where nobody renamed them.
const WANTED: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// The classes of Fashion-MNIST, whose files number them as MNIST's number digits.
pub(crate) const FASHION: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// Whether `path`, a path or the name of a data set, is called after Fashion-MNIST: its last part, or the one above
/// `raw`.
pub(crate) fn is_fashion(path: &str) -> bool {
    let called = |part: &str| {
        let letters: String = part.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        letters.starts_with("fashionmnist") || letters == "fashion"
    };
    let mut parts = path.rsplit(['/', '\\']).filter(|part| !part.is_empty());
    match parts.next() {
        Some("raw") => parts.next().is_some_and(called),
        last => last.is_some_and(called),
    }
}

/// Prefix and place among [`WANTED`] of a file's name without folders.
fn known(base: &str) -> Option<(String, usize)> {
    let name = base.to_lowercase();
    let parts = [
        ("train", "images", "idx3"),
        ("train", "labels", "idx1"),
        ("t10k", "images", "idx3"),
        ("t10k", "labels", "idx1"),
    ];
    parts.iter().enumerate().find_map(|(place, (split, what, rank))| {
        let at = [*split, if *split == "t10k" { "test" } else { *split }]
            .iter()
            .find_map(|s| name.find(&format!("{s}-{what}")))?;
        name[at..].contains(rank).then(|| (name[..at].trim_end_matches(['-', '_', '.']).to_owned(), place))
    })
}

impl Set {
    /// The sets among the files, by folder and prefix.
    fn all(files: &dyn Files) -> BTreeMap<String, Self> {
        let mut sets: BTreeMap<String, Self> = BTreeMap::new();
        for (i, name) in files.names().iter().enumerate() {
            let (mut folder, base) = name.rsplit_once('/').unwrap_or(("", name));
            let Some((prefix, place)) = known(base) else { continue };
            // Some archives keep each file in a folder of the same name.
            let (above, last) = folder.rsplit_once('/').unwrap_or(("", folder));
            if known(last).is_some() {
                folder = above;
            }
            let parts = [folder, &prefix].into_iter().filter(|part| !part.is_empty());
            let set = sets.entry(parts.collect::<Vec<_>>().join("/")).or_default();
            // Raw before gzipped where both are there: names end alike, so the shorter one is the raw one.
            let raw = |other: usize| files.names()[other].len() > name.len();
            match set.places[place] {
                Some(other) if raw(other) => set.doubles.push([i, other]),
                Some(other) => set.doubles.push([other, i]),
                None => {}
            }
            if set.places[place].is_none_or(raw) {
                set.places[place] = Some(i);
            }
        }
        sets
    }

    fn missing(&self, wanted: &[usize]) -> Vec<&'static str> {
        wanted.iter().filter(|&&place| self.places[place].is_none()).map(|&place| WANTED[place]).collect()
    }
}

/// Whether there are IDX files.
pub(super) fn present(files: &dyn Files) -> bool {
    files.names().iter().any(|name| known(name.rsplit('/').next().unwrap_or(name)).is_some())
}

/// Whether there are IDX files to judge by.
pub(super) fn are_tested(files: &dyn Files) -> bool {
    Set::all(files).values().any(|set| set.missing(&[2, 3]).is_empty())
}

/// The splits; `None` without IDX files.
///
/// # Errors
/// [`Error::Input`] when files are missing, there are several sets and none is chosen, or one is not as it should be.
pub(super) fn find(files: &dyn Files, name: &str, options: &LoadOptions, want: Want) -> Result<Option<Found>> {
    let sets = Set::all(files);
    if sets.is_empty() {
        return Ok(None);
    }
    let wanted: &[usize] = match (want, options.prepare.reading.split) {
        (_, Some(_)) => &[0, 1],
        (Want::Test, None) => &[2, 3],
        (Want::All, None) => &[0, 1, 2, 3],
    };
    let whole: Vec<&str> =
        sets.iter().filter(|(_, s)| s.missing(wanted).is_empty()).map(|(name, _)| name.as_str()).collect();
    let some: Vec<&str> = if whole.is_empty() { sets.keys().map(String::as_str).collect() } else { whole };
    let chosen = choose(files, &some, options.prepare.reading.set.as_deref(), "IDX sets")?;
    let set = &sets[chosen];
    if let Some(missing) = set.missing(wanted).first() {
        let prefix = if chosen.is_empty() { String::new() } else { format!(" in '{chosen}'") };
        let advice = if wanted.len() == 4 && set.missing(&[0, 1]).is_empty() {
            "; hold back a tenth of the training images as test images with `split` 0.1"
        } else {
            ""
        };
        let what = format!("holds IDX files, but {missing}(.gz) is missing{prefix}{advice}");
        return Err(Error::input(files.path(), what));
    }
    // Of several sets the one that is chosen says what it is.
    let fashion = is_fashion(chosen) || sets.len() == 1 && is_fashion(name);
    let read = |images: usize, labels: usize| -> Result<Option<Dataset>> {
        let (Some(images), Some(labels)) = (set.places[images], set.places[labels]) else { return Ok(None) };
        let file = |i: usize| -> Result<(PathBuf, Vec<u8>, u64)> {
            Ok((files.path_of(i), files.read(i, MAX_FILE)?, files.packed(i)))
        };
        let data = idx::dataset_within(name, &file(images)?, &file(labels)?)?;
        let fits = data.shape == [1, 28, 28] && data.classes() <= FASHION.len();
        if fashion && fits { data.with_class_names(&FASHION.map(String::from)).map(Some) } else { Ok(Some(data)) }
    };
    let only_test = want == Want::Test && options.prepare.reading.split.is_none();
    let mut found = Found {
        kind: "IDX files".into(),
        train: if only_test { None } else { read(0, 1)? },
        test: if options.prepare.reading.split.is_some() { None } else { read(2, 3)? },
        split: "from the training and test files".into(),
        ..Found::default()
    };
    if options.prepare.reading.split.is_some() && set.missing(&[2, 3]).is_empty() {
        let what = "has a test split, so that `split` would only waste images; leave it out";
        return Err(Error::input(files.path(), what));
    }
    for [used, other] in &set.doubles {
        let [used, other] = [used, other].map(|i| &files.names()[*i]);
        found.notes.push(format!("'{used}' is used, not '{other}' beside it"));
    }
    if sets.len() > 1 {
        let others: Vec<&str> = sets.keys().map(String::as_str).filter(|name| *name != chosen).collect();
        found.notes.push(format!("IDX set '{chosen}' is used, not {}", super::dataset::some(&others)));
    }
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_publishers_are_known() {
        for (name, prefix, place) in [
            ("train-images-idx3-ubyte", "", 0),
            ("train-labels.idx1-ubyte", "", 1),
            ("t10k-images-idx3-ubyte.gz", "", 2),
            ("emnist-letters-test-labels-idx1-ubyte.gz", "emnist-letters", 3),
            ("EMNIST-Digits-train-images-idx3-ubyte", "emnist-digits", 0),
        ] {
            assert_eq!(known(name), Some((prefix.to_owned(), place)), "{name}");
        }
        assert_eq!(known("train-images.png"), None);
    }

    #[test]
    fn fashion_is_known_by_its_name_alone() {
        for name in
            ["fashion-mnist", "data/FashionMNIST/raw", "./fashion-mnist-3600/", "fashion_mnist.zip", "a/fashion"]
        {
            assert!(is_fashion(name), "{name}");
        }
        for name in ["mnist", "fashion-mnist/digits", "old-fashioned-mnist", "raw", "raw/raw", "", "fashion-photos"] {
            assert!(!is_fashion(name), "{name}");
        }
    }
}
