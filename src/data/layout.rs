//! Which files are pictures of which class and split: `train/CLASS/PICTURE`, or `CLASS/PICTURE` without splits.

use std::collections::{BTreeMap, BTreeSet};

use super::dataset::{class_name, some};
use super::files::Files;
use super::picture::is_picture;
use super::report::Skipped;
use super::split::Split;
use crate::error::{Error, Result};
use crate::rng::Rng;

/// The pictures of a split under their classes, as places in [`Files::names`].
pub(super) type Classes = BTreeMap<String, Vec<usize>>;

/// How the files lie.
pub(super) struct Layout {
    /// Pictures in split folders.
    pub train: Classes,
    pub validation: Classes,
    pub test: Classes,
    /// Pictures in class folders that are in no split folder.
    pub bare: Classes,
    /// What is no picture, or lies where none belongs.
    pub skipped: Skipped,
    /// Names of the folders of each split: of more than one all are taken.
    folders: [BTreeSet<String>; 3],
}

impl Layout {
    /// Sorts the files; `None` when there is no picture in a folder of its class.
    ///
    /// # Errors
    /// [`Error::Input`] when the split folders lie in several places, or a class folder has files but no picture.
    pub fn of(files: &dyn Files) -> Result<Option<Self>> {
        let mut layout = Self {
            train: Classes::new(),
            validation: Classes::new(),
            test: Classes::new(),
            bare: Classes::new(),
            skipped: Skipped::default(),
            folders: Default::default(),
        };
        files.left_out().iter().for_each(|(name, why)| layout.skipped.add(name, why));
        let mut roots = BTreeSet::new();
        let mut loose = Vec::new();
        // Folders that hold `train/PICTURE` or the like: classes above the splits.
        let mut above = BTreeSet::new();
        for (i, name) in files.names().iter().enumerate() {
            let parts: Vec<&str> = name.split('/').collect();
            let split = parts.iter().enumerate().find_map(|(at, part)| Some((at, Split::of(part)?)));
            if let Some((at, _)) = split.filter(|(at, _)| *at > 0 && at + 2 == parts.len() && is_picture(name)) {
                above.insert(parts[..at].join("/"));
            }
            let Some((at, split)) = split.filter(|(at, _)| at + 2 < parts.len()) else {
                loose.push(i);
                continue;
            };
            roots.insert(parts[..at].join("/"));
            layout.folders[split as usize].insert(parts[at].to_owned());
            let classes = match split {
                Split::Train => &mut layout.train,
                Split::Validation => &mut layout.validation,
                Split::Test => &mut layout.test,
            };
            // A folder with files of other kinds only is a class without pictures, and no class of that is made here.
            let pictures = classes.entry(class_name(parts[at + 1])).or_default();
            if is_picture(name) {
                pictures.push(i);
            } else {
                layout.skipped.add(name, "no picture that is read");
            }
        }
        let splits = [&layout.train, &layout.validation, &layout.test];
        if splits.iter().all(|classes| classes.values().all(Vec::is_empty)) {
            if above.len() > 1 {
                let classes: Vec<&str> = above.iter().map(String::as_str).collect();
                let what = format!(
                    "has train/ and test/ below its classes ({}); put them above: train/CLASS/PICTURE and test/CLASS/PICTURE",
                    some(&classes)
                );
                return Err(Error::input(files.path(), what));
            }
            return Ok(layout.bare_classes(files));
        }
        if roots.len() > 1 {
            let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
            let what = format!("holds split folders in several places: {}; name one of them with `data`", some(&roots));
            return Err(Error::input(files.path(), what));
        }
        for (split, classes) in ["train", "validation", "test"].iter().zip(splits) {
            if let Some((class, _)) = classes.iter().find(|(_, pictures)| pictures.is_empty()) {
                let what = format!(
                    "the class '{class}' of the {split} split has files but no picture that is read ({}); convert them, or \
                     remove the folder; skipped: {}",
                    super::picture::FORMATS,
                    layout.skipped.first.join(", ")
                );
                return Err(Error::input(files.path(), what));
            }
        }
        for i in loose {
            let why = if is_picture(&files.names()[i]) { "in no class folder of a split" } else { "no picture" };
            layout.skipped.add(&files.names()[i], why);
        }
        Ok(Some(layout))
    }

    /// Whether there are pictures to judge by.
    pub fn is_tested(&self) -> bool {
        !self.test.is_empty() || !self.validation.is_empty()
    }

    /// All pictures of classes.
    pub fn pictures(&self) -> impl Iterator<Item = usize> {
        [&self.train, &self.validation, &self.test, &self.bare]
            .into_iter()
            .flat_map(|classes| classes.values().flatten().copied())
    }

    /// What is said of splits that lie in several folders.
    pub fn notes(&self) -> Vec<String> {
        let several = self.folders.iter().filter(|names| names.len() > 1);
        let list =
            |names: &BTreeSet<String>| names.iter().map(|name| format!("{name}/")).collect::<Vec<_>>().join(" and ");
        several.map(|names| format!("{} are taken together", list(names))).collect()
    }

    /// Folders of pictures side by side are classes.
    fn bare_classes(mut self, files: &dyn Files) -> Option<Self> {
        let folder = |i: usize| files.names()[i].rsplit_once('/').map_or("", |(folder, _)| folder).split('/');
        let (pictures, others): (Vec<usize>, Vec<usize>) =
            (0..files.names().len()).partition(|&i| is_picture(&files.names()[i]));
        let first: Vec<&str> = folder(*pictures.first()?).collect();
        let same = |i: usize| folder(i).zip(&first).take_while(|(a, b)| a == *b).count();
        // Where all lie in one folder, that is their class.
        let deepest = pictures.iter().map(|&i| folder(i).count()).max()?;
        let common = pictures.iter().map(|&i| same(i)).min()?.min(deepest - 1);
        self.skipped = Skipped::default();
        files.left_out().iter().for_each(|(name, why)| self.skipped.add(name, why));
        for &i in &pictures {
            match folder(i).nth(common).filter(|class| !class.is_empty()) {
                Some(class) => self.bare.entry(class_name(class)).or_default().push(i),
                None => self.skipped.add(&files.names()[i], "in no class folder"),
            }
        }
        others.iter().for_each(|&i| self.skipped.add(&files.names()[i], "no picture that is read"));
        (!self.bare.is_empty()).then_some(self)
    }
}

/// Takes a share of each class away, chosen at random: at least one, and at least one stays.
///
/// # Errors
/// The name of a class with a single item.
pub(super) fn hold_back(classes: &mut Classes, share: f64, seed: u64) -> Result<Classes, String> {
    let mut held = Classes::new();
    for (label, (name, items)) in classes.iter_mut().enumerate() {
        // A stream of its own, so that the split has nothing to do with the order of training.
        let stream = Rng::new(seed).fork(u64::MAX - 1).fork(label as u64);
        held.insert(name.clone(), hold_back_of(items, share, stream).ok_or_else(|| name.clone())?);
    }
    Ok(held)
}

/// Takes a share of `items` away, in their order: at least one, and at least one stays. `None` where there are not two.
fn hold_back_of<T: Copy>(items: &mut Vec<T>, share: f64, mut stream: Rng) -> Option<Vec<T>> {
    if items.len() < 2 {
        return None;
    }
    let count = ((items.len() as f64 * share).round() as usize).clamp(1, items.len() - 1);
    let mut order: Vec<usize> = (0..items.len()).collect();
    stream.shuffle(&mut order);
    let chosen: BTreeSet<usize> = order[..count].iter().copied().collect();
    let (test, train): (Vec<_>, Vec<_>) = items.iter().copied().enumerate().partition(|(k, _)| chosen.contains(k));
    *items = train.into_iter().map(|(_, item)| item).collect();
    Some(test.into_iter().map(|(_, item)| item).collect())
}

/// As [`hold_back`] of items that are of no classes.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn hold_back_some<T: Copy>(items: &mut Vec<T>, share: f64, seed: u64) -> Option<Vec<T>> {
    hold_back_of(items, share, Rng::new(seed).fork(u64::MAX - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_is_stratified_and_depends_on_the_seed_only() {
        let classes = || Classes::from([("a".to_owned(), (0..50).collect()), ("b".to_owned(), (50..60).collect())]);
        let mut train = classes();
        let test = hold_back(&mut train, 0.1, 7).unwrap();
        assert_eq!((test["a"].len(), test["b"].len(), train["a"].len(), train["b"].len()), (5, 1, 45, 9));
        let mut all: Vec<usize> = train.values().chain(test.values()).flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..60).collect::<Vec<_>>());
        assert_eq!(hold_back(&mut classes(), 0.1, 7).unwrap(), test);
        assert_ne!(hold_back(&mut classes(), 0.1, 8).unwrap(), test);
        let mut lonely = Classes::from([("a".to_owned(), vec![1])]);
        assert_eq!(hold_back(&mut lonely, 0.5, 0), Err("a".into()));
    }
}
