//! Pictures with masks: `train/images/NAME.jpg` beside `train/masks/NAME.png`, with `test/` and perhaps `val/`, or
//! `images/` and `masks/` alone. A mask is a PNG of one grey or palette value for each pixel, which is its class; 255
//! is no class.
//!
//! `classes.txt` beside the folders names the classes, one a line; without it they are called by their numbers.

use std::collections::BTreeMap;

use super::dataset::{IGNORED, numbered};
use super::files::Files;
use super::folders::{Counts, MAX_FILE, Outcome, decode, notes, read, uneven, unreadable};
use super::found::{Found, Want};
use super::layout::hold_back_some;
use super::mask::{self, Mask};
use super::picture::{self, Flat, is_picture};
use super::split::Split;
use super::{Dataset, LoadOptions, Reading, Size, threads};
use crate::error::{Error, Result};

/// Pictures and masks are in memory.
const MAX_BYTES: u64 = 1 << 34;

/// Where names of classes stand.
const NAMES: &str = "classes.txt";

/// What a folder of a pair is called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Images,
    Masks,
}

impl Kind {
    fn of(folder: &str) -> Option<Self> {
        match folder.to_lowercase().as_str() {
            "images" => Some(Self::Images),
            "masks" => Some(Self::Masks),
            _ => None,
        }
    }
}

/// A picture and its mask, as places in [`Files::names`].
type Pair = (usize, usize);

/// Which split a file is of, and which folder and name, without ending, it has there.
type Key = (Option<Split>, String);

/// The pairs of the three splits, and of none.
#[derive(Default)]
struct Layout {
    train: Vec<Pair>,
    validation: Vec<Pair>,
    test: Vec<Pair>,
    bare: Vec<Pair>,
}

/// Where a file belongs, if it lies in a folder of images or masks.
fn place(name: &str) -> Option<(Kind, Key)> {
    let (folders, file) = name.rsplit_once('/')?;
    let parts: Vec<&str> = folders.split('/').collect();
    let at = parts.iter().position(|part| Kind::of(part).is_some())?;
    let split = parts.iter().find_map(|part| Split::of(part));
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let rest = parts.iter().enumerate().filter(|(i, part)| *i != at && Split::of(part).is_none());
    let key: Vec<&str> = rest.map(|(_, part)| *part).chain([stem]).collect();
    Some((Kind::of(parts[at])?, (split, key.join("/"))))
}

impl Layout {
    /// Sorts the files; `None` when there are no pictures in a folder `images` beside some in a folder `masks`.
    ///
    /// # Errors
    /// [`Error::Input`] that names a picture without a mask, or a mask without a picture.
    fn of(files: &dyn Files, found: &mut Found) -> Result<Option<Self>> {
        let (mut images, mut masks) = (BTreeMap::new(), BTreeMap::new());
        for (i, name) in files.names().iter().enumerate() {
            match place(name).filter(|_| is_picture(name)) {
                Some((kind, key)) => {
                    let of = if kind == Kind::Images { &mut images } else { &mut masks };
                    if let Some(before) = of.insert(key, i) {
                        let what = format!("has the name of {}; rename one", files.names()[before]);
                        return Err(Error::input(files.path_of(i), what));
                    }
                }
                None if name.rsplit('/').next() == Some(NAMES) => {}
                None => found.skipped.add(name, "no picture in a folder images or masks"),
            }
        }
        if images.is_empty() || masks.is_empty() {
            return Ok(None);
        }
        let mut layout = Self::default();
        for (key, image) in &images {
            let Some(mask) = masks.remove(key) else {
                let what = format!(
                    "has no mask; expected a file of the same name, such as {}.png, in the folder masks beside images",
                    key.1
                );
                return Err(Error::input(files.path_of(*image), what));
            };
            let part = match key.0 {
                Some(Split::Train) => &mut layout.train,
                Some(Split::Validation) => &mut layout.validation,
                Some(Split::Test) => &mut layout.test,
                None => &mut layout.bare,
            };
            part.push((*image, mask));
        }
        if let Some(mask) = masks.values().next() {
            let what = "is a mask without a picture; expected one of the same name in the folder images beside masks";
            return Err(Error::input(files.path_of(*mask), what));
        }
        Ok(Some(layout))
    }
}

/// The splits; `None` when the files are not laid out as pairs.
///
/// # Errors
/// [`Error::Input`] when there is no test split, a picture has no mask or one of another size, a mask holds what is no
/// class, or files cannot be read or differ in size.
pub(super) fn find(files: &dyn Files, name: &str, options: &LoadOptions, want: Want) -> Result<Option<Found>> {
    let mut found = Found { kind: "pictures with masks".into(), ..Found::default() };
    let Some(layout) = Layout::of(files, &mut found)? else { return Ok(None) };
    let mut splits = settle(files, layout, options, want, &mut found)?;
    for (split, limit) in splits.iter_mut().zip([options.limit_train, options.limit_test, options.limit_test]) {
        split.truncate(limit.unwrap_or(usize::MAX));
    }
    if want == Want::Test {
        splits[0].clear();
        splits[1].clear();
    }
    let names = class_names(files)?;
    let reading = &options.prepare.reading;
    let (size, parts) = decoded(files, &splits, reading, &mut found)?;
    let values = parts.iter().flatten().flatten().flat_map(|(_, mask)| mask.values.iter());
    let most = values.filter(|value| **value != IGNORED).max();
    let names = match names {
        Some(names) => names,
        None => numbered(most.map_or(0, |most| usize::from(*most) + 1)),
    };
    // One channel only where no picture of any split has colour.
    let grey = parts.iter().flatten().flatten().all(|(picture, _)| matches!(picture, Flat::Grey(_)));
    let shape = [if grey { 1 } else { 3 }, size.height as usize, size.width as usize];
    let mut sets = Vec::new();
    for (part, pairs) in parts.into_iter().zip(&splits) {
        let (mut images, mut masks) = (Vec::new(), Vec::new());
        for (pair, (_, place)) in part.into_iter().zip(pairs) {
            let Some((picture, mask)) = pair else { continue };
            if let Some(value) = mask.values.iter().find(|v| **v != IGNORED && usize::from(**v) >= names.len()) {
                let what = format!(
                    "holds the value {value}, but {NAMES} names {} classes; expected 0 to {}, or {IGNORED} where a pixel has none",
                    names.len(),
                    names.len().saturating_sub(1)
                );
                return Err(Error::input(files.path_of(*place), what));
            }
            picture.append(grey, &mut images);
            masks.extend(mask.values);
        }
        if images.is_empty() {
            sets.push(None);
            continue;
        }
        let labels = vec![0; images.len() / shape.iter().product::<usize>()];
        let set = Dataset::new(name, names.len().max(1), shape, images, labels)?;
        sets.push(Some(set.with_class_names(&names)?.with_masks(masks)?));
    }
    let mut sets = sets.into_iter();
    let mut next = || sets.next().flatten();
    (found.train, found.validation, found.test) = (next(), next(), next());
    Ok(Some(found))
}

/// The names in `classes.txt`, where there is one.
fn class_names(files: &dyn Files) -> Result<Option<Vec<String>>> {
    let of = |name: &String| name.rsplit('/').next() == Some(NAMES);
    let Some(i) = files.names().iter().position(of) else { return Ok(None) };
    let refuse = |what: String| Err(Error::input(files.path_of(i), what));
    let Ok(text) = String::from_utf8(files.read(i, 1 << 20)?) else {
        return refuse("is no text in UTF-8; expected the name of a class in each line".into());
    };
    let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    match names.len() {
        2..=255 => Ok(Some(names)),
        n => refuse(format!("names {n} classes; expected 2 to 255, one in each line")),
    }
}

/// Which pairs are train, validation and test.
fn settle(
    files: &dyn Files,
    layout: Layout,
    options: &LoadOptions,
    want: Want,
    found: &mut Found,
) -> Result<[Vec<Pair>; 3]> {
    let fail = |what: &str| Err(Error::input(files.path(), what));
    let Layout { mut train, mut validation, mut test, bare } = layout;
    let share = options.prepare.reading.split;
    found.split = match (test.is_empty(), validation.is_empty(), share) {
        (false, _, Some(_)) => {
            return fail("has a test folder, so that `split` would only waste images; leave it out");
        }
        (false, true, None) => "from train/ and test/".into(),
        (false, false, None) => "from train/, validation/ and test/".into(),
        (true, false, None) => {
            test = std::mem::take(&mut validation);
            "from train/ and validation/, which stands in for the test folder that is not there".into()
        }
        (true, true, None) if train.is_empty() && want == Want::Test => {
            test.clone_from(&bare);
            "all pictures, which are in no split folders; if some of them were trained on, this accuracy says little"
                .into()
        }
        (true, true, None) => {
            return fail(
                "has pictures and masks but none of them for testing; add a folder test/ with images/ and masks/, or hold back a tenth \
                 with `split` 0.1",
            );
        }
        (true, _, Some(share)) => {
            if train.is_empty() {
                train = bare;
            }
            let Some(held) = hold_back_some(&mut train, share, options.seed) else {
                return fail("has one picture only; `split` needs two, one to test");
            };
            test = held;
            format!("{} % of the pictures held back for testing, seed {}", 100.0 * share, options.seed)
        }
    };
    if train.is_empty() && want == Want::All {
        return fail("has pictures and masks, but none under train/; expected train/images/ and train/masks/");
    }
    Ok([train, validation, test])
}

/// A picture with its mask; `None` where it was left out.
type Decoded = Option<(Flat, Mask)>;

/// What became of a pair.
enum Read {
    Both(Flat, Mask),
    /// A file that cannot be read.
    Bad(usize, String),
    /// The picture has another size than the first one.
    Other(Size),
}

/// The pictures and masks of all splits.
fn decoded(
    files: &dyn Files,
    splits: &[Vec<Pair>; 3],
    reading: &Reading,
    found: &mut Found,
) -> Result<(Size, Vec<Vec<Decoded>>)> {
    let all: Vec<Pair> = splits.iter().flatten().copied().collect();
    let size = match (reading.size, all.first()) {
        (Some(size), _) => size,
        (None, Some((first, _))) => {
            let bytes = files.read(*first, MAX_FILE)?;
            let opened =
                picture::open(&bytes).map_err(|fault| Error::input(files.path_of(*first), fault.to_string()))?;
            let (width, height) = opened.dimensions();
            Size { height, width }
        }
        (None, None) => return Err(Error::input(files.path(), "has no pictures within the limits")),
    };
    // Three bytes of colour and one of mask.
    if (all.len() as u64).saturating_mul(4 * u64::from(size.width) * u64::from(size.height)) > MAX_BYTES {
        let what = format!(
            "{} pictures of {} x {} (height x width) with masks need more than the {} GiB that are allowed; limit them with `limit_train` and \
             `limit_test`, or scale them with `size`",
            all.len(),
            size.height,
            size.width,
            MAX_BYTES >> 30
        );
        return Err(Error::input(files.path(), what));
    }
    let counts = Counts::default();
    let parts = threads::split(all.len(), |range| {
        all[range].iter().map(|pair| one(files, *pair, size, reading, &counts)).collect::<Result<Vec<_>>>()
    });
    let (mut bad, mut others, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
    for (read, (image, _)) in parts.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().zip(&all) {
        pairs.push(match read {
            Read::Both(picture, mask) => Some((picture, mask)),
            Read::Bad(i, why) => {
                bad.push((i, why));
                None
            }
            Read::Other(other) => {
                others.push((*image, other));
                None
            }
        });
    }
    if let (false, Some((first, _))) = (others.is_empty(), all.first()) {
        return Err(uneven(files, (*first, size), pairs.iter().flatten().count(), &others));
    }
    if !bad.is_empty() && !reading.skip_bad {
        return Err(unreadable(files, &bad, all.len() as u64));
    }
    bad.iter().for_each(|(i, why)| found.skipped.add(&files.names()[*i], why));
    notes(&counts, size, reading, found);
    let mut pairs = pairs.into_iter();
    Ok((size, splits.iter().map(|split| pairs.by_ref().take(split.len()).collect()).collect()))
}

fn one(files: &dyn Files, (image, mask): Pair, size: Size, reading: &Reading, counts: &Counts) -> Result<Read> {
    let [bytes, mask_bytes] = match [read(files, image)?, read(files, mask)?] {
        [Ok(bytes), Ok(mask_bytes)] => [bytes, mask_bytes],
        [Err(why), _] => return Ok(Read::Bad(image, why)),
        [_, Err(why)] => return Ok(Read::Bad(mask, why)),
    };
    let (width, height) = match picture::open(&bytes) {
        Ok(opened) if opened.turned() => {
            let why = "asks to be shown turned (EXIF), and its mask does not say so; save it upright";
            return Ok(Read::Bad(image, why.into()));
        }
        Ok(opened) => opened.dimensions(),
        Err(fault) => return Ok(Read::Bad(image, fault.to_string())),
    };
    if reading.size.is_none() && (width, height) != (size.width, size.height) {
        return Ok(Read::Other(Size { height, width }));
    }
    let found = match mask::read(&mask_bytes) {
        Ok(found) => found,
        Err(why) => return Ok(Read::Bad(mask, why)),
    };
    if (found.width, found.height) != (width, height) {
        let what = format!(
            "is a mask of {} x {} pixels (height x width), but its picture {} has {height} x {width}; expected the same size",
            found.height,
            found.width,
            files.names()[image]
        );
        return Err(Error::input(files.path_of(mask), what));
    }
    Ok(match decode(files, &bytes, size, reading, counts)? {
        Outcome::Picture(picture) => Read::Both(picture, found.scaled(size.width, size.height)),
        Outcome::Bad(why) => Read::Bad(image, why),
        Outcome::Other(other) => Read::Other(other),
    })
}
