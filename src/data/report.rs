//! What was decided about a data set, for its user to read before the first step.

use serde::{Deserialize, Serialize};

use super::Dataset;
use super::dataset::some;
use crate::plural::count;

/// What a data set turned out to be, and what was decided about it.
///
/// The texts are fragments for [`lines`](Self::lines); empty ones say nothing.
///
/// ```
/// use mexhat::data::{self, LoadOptions};
/// let few = LoadOptions { limit_train: Some(20), limit_test: Some(10), ..Default::default() };
/// let lines = data::load("glyphs", &few)?.report.lines();
/// assert_eq!(lines[0], "data: digits drawn from seed 0 in glyphs, 28 x 28 (height x width) grey");
/// assert_eq!(lines[2], "split: 20 training, 10 test images; drawn apart");
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Kind of files and where they are, such as `class folders in photos`.
    pub source: String,
    /// Every class with its number of images.
    pub classes: Vec<ClassCount>,
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// Images in the training, validation and test split.
    pub images: [usize; 3],
    /// Where the splits come from.
    pub split: String,
    /// Normalisation, and why this one.
    pub normalize: String,
    /// Augmentation of training images, and why this one.
    pub augment: String,
    /// Everything else that was decided: scaling, background, which of several sets.
    pub notes: Vec<String>,
    /// Files left out.
    pub skipped: Skipped,
    /// What is likely a mistake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Images of one class.
///
/// ```
/// use mexhat::data::{Augment, Dataset, Normalize, Splits};
/// let train = Dataset::new("dots", 2, [1, 1, 1], vec![0, 9, 9], vec![0, 1, 1])?;
/// let test = train.pick(&[0])?;
/// let splits = Splits::new(train, test, Normalize::none(1), Augment::NONE);
/// for class in &splits.report.classes {
///     println!("{}: {} to learn from, {} to judge by", class.name, class.train, class.test);
/// }
/// assert_eq!((splits.report.classes[1].train, splits.report.classes[1].test), (2, 0));
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// Its name.
    pub name: String,
    /// Training images.
    pub train: usize,
    /// Validation images.
    pub validation: usize,
    /// Test images.
    pub test: usize,
}

/// Files that were left out.
///
/// ```
/// use mexhat::data::{Report, Skipped};
/// let mut skipped = Skipped::default();
/// skipped.add("cat/notes.txt", "no picture");
/// let report = Report { skipped, ..Default::default() };
/// assert_eq!(report.lines().pop().as_deref(), Some("skipped 1 file: cat/notes.txt (no picture)"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// How many.
    pub count: usize,
    /// The first ten, each with the reason.
    pub first: Vec<String>,
}

/// Most examples that are kept.
const EXAMPLES: usize = 10;

impl Skipped {
    /// Counts `file`, left out for `reason`.
    pub fn add(&mut self, file: &str, reason: &str) {
        if self.count < EXAMPLES {
            self.first.push(format!("{file} ({reason})"));
        }
        self.count += 1;
    }
}

/// Classes that are named with their counts; more are summed up.
const SHOWN: usize = 20;

impl Report {
    /// Fills in classes, shape and numbers of images.
    pub(super) fn count(&mut self, train: &Dataset, validation: Option<&Dataset>, test: &Dataset) {
        let of = |data: Option<&Dataset>| data.map_or_else(|| vec![0; train.classes()], Dataset::counts);
        let [trained, validated, tested] = [of(Some(train)), of(validation), of(Some(test))];
        let class = |(i, name): (usize, &String)| ClassCount {
            name: name.clone(),
            train: trained[i],
            validation: validated[i],
            test: tested[i],
        };
        self.classes = train.class_names.iter().enumerate().map(class).collect();
        self.shape = train.shape;
        self.images = [train.len(), validation.map_or(0, Dataset::len), test.len()];
    }

    /// As [`count`](Self::count), of a test split alone.
    pub(super) fn count_test(&mut self, test: &Dataset) {
        let class =
            |(name, tested): (&String, usize)| ClassCount { name: name.clone(), train: 0, validation: 0, test: tested };
        self.classes = test.class_names.iter().zip(test.counts()).map(class).collect();
        self.shape = test.shape;
        self.images = [0, 0, test.len()];
    }

    /// Takes up notes and a warning of somebody else's.
    pub(crate) fn add(&mut self, (notes, warning): (Vec<String>, Option<String>)) {
        self.notes.extend(notes);
        self.warnings.extend(warning);
    }

    /// The first lines of a run: source, classes with their counts, size, splits, normalisation, augmentation, what was
    /// left out.
    pub fn lines(&self) -> Vec<String> {
        let [channels, height, width] = self.shape;
        let colour = match channels {
            1 => "grey".to_owned(),
            3 => "colour".to_owned(),
            n => count(n, "channel"),
        };
        let [train, validation, test] = self.images;
        let mut counts = Vec::new();
        counts.extend((train > 0).then(|| format!("{train} training")));
        counts.extend((validation > 0).then(|| format!("{validation} validation")));
        counts.push(count(test, "test image"));
        let mut lines = vec![
            format!("data: {}, {height} x {width} (height x width) {colour}", self.source),
            format!("{}: {}", count(self.classes.len(), "class"), self.class_text(train > 0, validation > 0)),
            format!("split: {}{}", counts.join(", "), prefixed("; ", &self.split)),
        ];
        if validation > 0 {
            lines.push("validation images judge the network during training, test images at its end".into());
        }
        lines.extend((!self.normalize.is_empty()).then(|| format!("normalisation: {}", self.normalize)));
        lines.extend((!self.augment.is_empty()).then(|| format!("augmentation: {}", self.augment)));
        let untaught: Vec<&str> =
            self.classes.iter().filter(|c| train > 0 && c.train == 0).map(|c| c.name.as_str()).collect();
        if !untaught.is_empty() {
            lines.push(format!("note: no training image of class {}", some(&untaught)));
        }
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        if self.skipped.count > 0 {
            let more = self.skipped.count - self.skipped.first.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let files = count(self.skipped.count, "file");
            lines.push(format!("skipped {files}: {}{more}", self.skipped.first.join(", ")));
        }
        lines
    }

    /// `left 40+10, right 40+10`: training and test images, with validation images between where there are some.
    fn class_text(&self, train: bool, validation: bool) -> String {
        let kinds = [(train, "training"), (validation, "validation"), (true, "test")];
        let kinds: Vec<&str> = kinds.iter().filter(|(used, _)| *used).map(|(_, kind)| *kind).collect();
        let one = |class: &ClassCount| {
            let counts = [(train, class.train), (validation, class.validation), (true, class.test)];
            let counts = counts.iter().filter(|(used, _)| *used).map(|(_, count)| count.to_string());
            format!("{} {}", class.name, counts.collect::<Vec<_>>().join("+"))
        };
        let shown: Vec<String> = self.classes.iter().take(SHOWN).map(one).collect();
        let rest = self.classes.iter().skip(SHOWN);
        let (more, images) = rest.fold((0, 0), |(n, images), c| (n + 1, images + c.train + c.validation + c.test));
        let more = if more > 0 { format!(", {more} more with {}", count(images, "image")) } else { String::new() };
        format!("{}{more} ({} images)", shown.join(", "), kinds.join("+"))
    }
}

fn prefixed(prefix: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{prefix}{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_was_decided() {
        let mut train = Dataset::new("x", 3, [1, 1, 2], vec![0; 6], vec![0, 1, 1]).unwrap();
        train.class_names[2] = "dents".into();
        let test = Dataset { labels: vec![0, 2, 2], ..train.clone() };
        let mut report = Report { source: "class folders in d".into(), split: "test/".into(), ..Default::default() };
        report.normalize = "mean [0.5]".into();
        report.augment = "none".into();
        for i in 0..12 {
            report.skipped.add(&format!("{i}.txt"), "no picture");
        }
        report.count(&train, None, &test);
        report.add((vec!["noted".into()], Some("look here".into())));
        assert_eq!(report.warnings, ["look here"]);
        let lines = report.lines().join("\n");
        assert!(lines.contains("\nnote: noted\n"), "{lines}");
        for wanted in [
            "data: class folders in d, 1 x 2 (height x width) grey",
            "3 classes: 0 1+1, 1 2+0, dents 0+2 (training+test images)",
            "split: 3 training, 3 test images; test/",
            "no training image of class 'dents'",
            "skipped 12 files: 0.txt (no picture), 1.txt",
            "9.txt (no picture) and 2 more",
        ] {
            assert!(lines.contains(wanted), "'{wanted}' is missing in\n{lines}");
        }
    }
}
