//! Pictures in class folders: `train/CLASS/PICTURE` with `test/` and perhaps `validation/`, or `CLASS/PICTURE`.
//!
//! Classes are the names of the folders in sorted order. Pictures that are all grey give one channel, otherwise three.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::files::{Files, note_left_out};
use super::found::{Found, Want};
use super::layout::{Classes, Layout, hold_back};
use super::picture::{self, Flat};
use super::store::{ImageStore, StoreWriter};
use super::{Dataset, LoadOptions, Reading, Size, threads};
use crate::error::{Error, Result};
use crate::plural::count;

/// A picture file is smaller; a link to something endless is not.
pub(super) const MAX_FILE: u64 = 1 << 28;
/// Above this the pixels would not fit the disk of a common machine, or the memory of a browser's tab.
const MAX_BYTES: u64 = if cfg!(target_pointer_width = "64") { 1 << 40 } else { 256 << 20 };
/// Pixels that are decoded before they are put where they belong.
const AT_ONCE: usize = 64 << 20;
/// Bytes of pixels that any files may ask for; beyond them the files must be large themselves.
const FREE_BYTES: u64 = 1 << 30;
const PIXELS_PER_BYTE: u64 = 200;

/// (label, file) of the pictures of a split.
type Chosen = Vec<(u32, usize)>;

/// The splits; `None` when the files are not laid out as class folders.
///
/// Limits keep the first N pictures of each split, taken from the classes in turn, so that they stay balanced.
///
/// # Errors
/// [`Error::Input`] when a split or a class has no pictures, a class of another split is not in the training split,
/// there is one class only, or pictures cannot be read or differ in size.
pub(super) fn find(files: &dyn Files, name: &str, options: &LoadOptions, want: Want) -> Result<Option<Found>> {
    let Some(layout) = Layout::of(files)? else { return Ok(None) };
    let (mut found, splits) = settle(files, layout, options, want)?;
    let names: Vec<String> = if splits[0].is_empty() { &splits[2] } else { &splits[0] }.keys().cloned().collect();
    if want == Want::All && names.len() < 2 {
        let what = format!(
            "holds the one class '{}'; expected two or more class folders to tell apart{}",
            names.join(""),
            note_left_out(files)
        );
        return Err(Error::input(files.path(), what));
    }
    if let Some(name) = names.iter().find(|name| name.chars().any(char::is_control)) {
        let what = format!("has a class folder {name:?} with control characters in its name; rename it");
        return Err(Error::input(files.path(), what));
    }
    for classes in &splits[1..] {
        if let Some((class, pictures)) = classes.iter().find(|(class, _)| !names.contains(class)) {
            let near = names.iter().find(|name| name.to_lowercase() == class.to_lowercase());
            let hint = near.map_or(String::new(), |near| format!(" (is it '{near}', whose case differs?)"));
            let what = format!(
                "is of the class '{class}', which is not in the training split{hint}; expected one of {}",
                names.join(", ")
            );
            return Err(Error::input(files.path_of(pictures[0]), what));
        }
    }
    let limits = [options.limit_train, options.limit_test, options.limit_test];
    let mut chosen: Vec<Chosen> = (splits.iter().zip(limits)).map(|(s, limit)| turns(&names, s, limit)).collect();
    if want == Want::Test {
        chosen[0].clear();
        chosen[1].clear();
    }
    let mut decoded = Decoded::of(files, &chosen, &options.prepare.reading)?;
    for (chosen, pictures) in chosen.iter().zip(&decoded.splits) {
        let lost = |label: u32| !chosen.iter().zip(&pictures.kinds).any(|((l, _), p)| *l == label && p.is_some());
        if let Some(&(label, _)) = chosen.iter().find(|(label, _)| lost(*label)) {
            let what = format!("no picture of the class '{}' can be read; mend or remove it", names[label as usize]);
            return Err(Error::input(files.path(), what));
        }
    }
    decoded.notes(&mut found);
    // One channel only where no picture of any split has colour.
    let grey = decoded.splits.iter().flat_map(|split| &split.kinds).flatten().all(|kind| *kind == Kind::Grey);
    let Size { height, width } = decoded.size;
    let shape = [if grey { 1 } else { 3 }, height as usize, width as usize];
    let mut parts = decoded.splits.into_iter().zip(&chosen).map(|(pictures, chosen)| {
        if chosen.is_empty() {
            return Ok(None);
        }
        let read = chosen.iter().zip(&pictures.kinds).filter(|(_, kind)| kind.is_some());
        let labels = read.map(|((label, _), _)| *label).collect();
        let images = if grey { pictures.store } else { pictures.in_colour(shape[1] * shape[2])? };
        Dataset::of(name.into(), names.len(), shape, images, labels)?.with_class_names(&names).map(Some)
    });
    let mut next = || parts.next().unwrap_or(Ok(None));
    (found.train, found.validation, found.test) = (next()?, next()?, next()?);
    Ok(Some(found))
}

/// Which classes are train, validation and test.
fn settle(files: &dyn Files, layout: Layout, options: &LoadOptions, want: Want) -> Result<(Found, [Classes; 3])> {
    let fail = |what: String| Error::input(files.path(), what);
    let notes = layout.notes();
    let Layout { mut train, mut validation, mut test, bare, skipped, .. } = layout;
    let mut found = Found { kind: "class folders".into(), skipped, notes, ..Found::default() };
    let share = options.prepare.reading.split;
    found.split = match (train.is_empty(), validation.is_empty(), test.is_empty(), share) {
        (_, _, false, Some(share)) => {
            return Err(fail(format!(
                "has a test folder, so that `split` {share} would only waste images; leave it out"
            )));
        }
        (false, true, false, None) => "from train/ and test/".into(),
        (false, false, false, None) => "from train/, validation/ and test/".into(),
        (false, false, true, None) => {
            test = std::mem::take(&mut validation);
            "from train/ and validation/, which stands in for the test folder that is not there".into()
        }
        (true, _, false, None) if want == Want::Test => "from test/".into(),
        (true, false, true, None) if want == Want::Test => {
            test = std::mem::take(&mut validation);
            "from validation/".into()
        }
        (true, true, true, None) if want == Want::Test => {
            test = bare;
            "all pictures, which are in no split folders; if some of them were trained on, this accuracy says little"
                .into()
        }
        (false, _, true, Some(_)) => String::new(),
        (true, true, true, Some(_)) => {
            train = bare;
            String::new()
        }
        (false, true, true, None) => {
            return Err(fail(
                "has pictures under train/ but no test folder; add one, or hold back a tenth of the training \
                             pictures as test pictures with `split` 0.1"
                    .into(),
            ));
        }
        (true, true, true, None) => {
            let classes: Vec<&str> = bare.keys().map(String::as_str).collect();
            return Err(fail(format!(
                "has class folders ({}) but no train/ and test/ above them; hold back a tenth of the pictures as test \
                 pictures with `split` 0.1",
                super::dataset::some(&classes)
            )));
        }
        (true, ..) => return Err(fail("expected class folders of pictures under train/, found none".into())),
    };
    if let Some(share) = share {
        test = hold_back(&mut train, share, options.seed).map_err(|class| {
            fail(format!("the class '{class}' has one picture only; `split` needs two of each class, one to test"))
        })?;
        found.split = format!("{:.4} % of each class held back for testing, seed {}", 100.0 * share, options.seed);
        found.split = found.split.replace(".0000 %", " %");
        let count = |classes: &Classes| classes.values().map(Vec::len).sum::<usize>();
        let (held, all) = (count(&test), count(&test) + count(&train));
        // At least one of each class: of few pictures that is more than was asked for.
        if held as f64 > 1.5 * share * all as f64 {
            found.split += &format!(", at least one of each: {held} of {all}");
        }
    }
    Ok((found, [train, validation, test]))
}

/// The pictures to use. Without a limit class after class; with one, the classes in turn.
fn turns(names: &[String], classes: &Classes, limit: Option<usize>) -> Chosen {
    let lists = names.iter().enumerate().filter_map(|(label, name)| Some((label as u32, classes.get(name)?)));
    let Some(limit) = limit else {
        return lists.flat_map(|(label, list)| list.iter().map(move |&i| (label, i))).collect();
    };
    let lists: Vec<_> = lists.collect();
    let longest = lists.iter().map(|(_, list)| list.len()).max().unwrap_or(0);
    (0..longest)
        .flat_map(|turn| lists.iter().filter_map(move |(label, list)| Some((*label, *list.get(turn)?))))
        .take(limit)
        .collect()
}

/// Channels of a decoded picture.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Grey,
    Colour,
}

/// Pictures one after the other, each with the channels that it has.
struct Pictures {
    store: ImageStore,
    /// `None` where one was left out.
    kinds: Vec<Option<Kind>>,
}

impl Pictures {
    /// All with three channels, of `area` pixels.
    fn in_colour(self, area: usize) -> Result<ImageStore> {
        let kinds: Vec<Kind> = self.kinds.into_iter().flatten().collect();
        if kinds.iter().all(|kind| *kind == Kind::Colour) {
            return Ok(self.store);
        }
        let mut images = StoreWriter::new((kinds.len() * 3 * area) as u64)?;
        let mut rest = &self.store[..];
        for kind in kinds {
            let (picture, others) = rest.split_at(if kind == Kind::Grey { area } else { 3 * area });
            (0..3 * area / picture.len()).try_for_each(|_| images.extend(picture))?;
            rest = others;
        }
        images.finish()
    }
}

/// The pictures of all splits.
struct Decoded {
    size: Size,
    splits: Vec<Pictures>,
    bad: Vec<(String, String)>,
    counts: Counts,
    reading: Reading,
}

/// What became of one file.
pub(super) enum Outcome {
    Picture(Flat),
    Bad(String),
    /// Its size differs.
    Other(Size),
}

/// What is counted while decoding, on several threads.
#[derive(Default)]
pub(super) struct Counts {
    file_bytes: AtomicU64,
    pixel_bytes: AtomicU64,
    scaled: AtomicU64,
    turned: AtomicU64,
    clear: AtomicU64,
}

impl Decoded {
    fn of(files: &dyn Files, chosen: &[Chosen], reading: &Reading) -> Result<Self> {
        let (size, first) = match reading.size {
            Some(size) => (size, None),
            None => first_size(files, chosen)?,
        };
        let total = chosen.iter().map(Vec::len).sum::<usize>() as u64;
        if total.saturating_mul(3 * u64::from(size.width) * u64::from(size.height)) > MAX_BYTES {
            let what = format!(
                "{total} pictures of {} x {} (height x width) need more than the {} MiB that are allowed; limit them with `limit_train` and \
                 `limit_test`, or scale them with `size`",
                size.height,
                size.width,
                MAX_BYTES >> 20
            );
            return Err(Error::input(files.path(), what));
        }
        let counts = Counts::default();
        let (mut splits, mut bad, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for chosen in chosen {
            splits.push(decode_split(files, chosen, size, reading, &counts, &mut bad, &mut others)?);
        }
        if let (false, Some(first)) = (others.is_empty(), first) {
            let alike = splits.iter().flat_map(|split: &Pictures| &split.kinds).flatten().count();
            return Err(uneven(files, (first, size), alike, &others));
        }
        if !bad.is_empty() && !reading.skip_bad {
            return Err(unreadable(files, &bad, total));
        }
        let bad = bad.into_iter().map(|(i, why)| (files.names()[i].clone(), why)).collect();
        Ok(Self { size, splits, bad, counts, reading: reading.clone() })
    }

    fn notes(&mut self, found: &mut Found) {
        for (name, why) in self.bad.drain(..) {
            found.skipped.add(&name, &why);
        }
        notes(&self.counts, self.size, &self.reading, found);
    }
}

/// Tells what was done to pictures.
pub(super) fn notes(counts: &Counts, Size { height, width }: Size, reading: &Reading, found: &mut Found) {
    let [scaled, turned, clear] = [&counts.scaled, &counts.turned, &counts.clear].map(|count| count.load(Relaxed));
    if scaled > 0 {
        found.notes.push(format!("{} stretched to {height} x {width} (triangle filter)", count(scaled, "picture")));
    }
    if clear > 0 {
        let ground = reading.background.unwrap_or_default();
        found.notes.push(format!("{} laid over {ground} (`background`)", count(clear, "transparent picture")));
    }
    if turned > 0 {
        found.notes.push(format!("{} turned as the EXIF orientation says", count(turned, "picture")));
    }
}

/// Refuses pictures of several sizes, where `others` are not of the `size` of the picture `first` as `alike` are: the
/// most frequent size is what the rest differs from.
pub(super) fn uneven(files: &dyn Files, (first, size): (usize, Size), alike: usize, others: &[(usize, Size)]) -> Error {
    let mut counts = BTreeMap::new();
    for (_, other) in others {
        *counts.entry((other.height, other.width)).or_insert(0) += 1;
    }
    let mut usual = (size, alike);
    for (_, other) in others {
        let count = counts[&(other.height, other.width)];
        usual = if count > usual.1 { (*other, count) } else { usual };
    }
    let (Size { height, width }, most) = usual;
    let odd = others.first().filter(|_| usual.0 == size).copied().unwrap_or((first, size));
    let all = alike + others.len();
    let what = format!(
        "expected {height} x {width} pixels (height x width), as {most} of {all} pictures have, found {} x {}; {} of {all} differ, \
         of which this is the first. `size` {height},{width} scales all to one height and width",
        odd.1.height,
        odd.1.width,
        all - most
    );
    Error::input(files.path_of(odd.0), what)
}

/// Decodes the pictures of a split, some at a time on several threads, so that few are in memory at once. Tells the
/// `bad`, and the sizes of `others`.
fn decode_split(
    files: &dyn Files,
    chosen: &Chosen,
    size: Size,
    reading: &Reading,
    counts: &Counts,
    bad: &mut Vec<(usize, String)>,
    others: &mut Vec<(usize, Size)>,
) -> Result<Pictures> {
    let each = 3 * size.width as usize * size.height as usize;
    let mut to = StoreWriter::new((chosen.len() * each) as u64)?;
    let (mut kinds, mut pixels) = (Vec::with_capacity(chosen.len()), Vec::new());
    for some in chosen.chunks((AT_ONCE / each).max(1)) {
        let parts = threads::split(some.len(), |range| {
            some[range].iter().map(|&(_, i)| one(files, i, size, reading, counts)).collect::<Result<Vec<_>>>()
        });
        let outcomes = parts.into_iter().collect::<Result<Vec<_>>>()?;
        for (outcome, &(_, i)) in outcomes.into_iter().flatten().zip(some) {
            kinds.push(match outcome {
                Outcome::Picture(picture) => {
                    let kind = if matches!(picture, Flat::Grey(_)) { Kind::Grey } else { Kind::Colour };
                    pixels.clear();
                    picture.append(kind == Kind::Grey, &mut pixels);
                    to.extend(&pixels)?;
                    Some(kind)
                }
                Outcome::Bad(why) => {
                    bad.push((i, why));
                    None
                }
                Outcome::Other(other) => {
                    others.push((i, other));
                    None
                }
            });
        }
    }
    Ok(Pictures { store: to.finish()?, kinds })
}

/// The size of the first picture that can be read, and which it is.
fn first_size(files: &dyn Files, chosen: &[Chosen]) -> Result<(Size, Option<usize>)> {
    let mut why = None;
    for &(_, i) in chosen.iter().flatten() {
        let bytes = files.read(i, MAX_FILE)?;
        match picture::open(&bytes) {
            Ok(opened) => {
                let (width, height) = opened.dimensions();
                return Ok((Size { height, width }, Some(i)));
            }
            Err(fault) => _ = why.get_or_insert((i, fault.to_string())),
        }
    }
    let total = chosen.iter().map(Vec::len).sum::<usize>() as u64;
    Err(unreadable(files, why.as_slice(), total))
}

/// The bytes of a file, or why it cannot be read.
///
/// # Errors
/// The archive that it is in unpacks to too much.
pub(super) fn read(files: &dyn Files, i: usize) -> Result<Result<Vec<u8>, String>> {
    match files.read(i, MAX_FILE) {
        Ok(bytes) => Ok(Ok(bytes)),
        // Archives have limits over all files; what is behind them is not a bad picture.
        Err(Error::Input { what, .. }) if !what.contains("unpack") => Ok(Err(what)),
        Err(error) => Err(error),
    }
}

fn one(files: &dyn Files, i: usize, size: Size, reading: &Reading, counts: &Counts) -> Result<Outcome> {
    match read(files, i)? {
        Ok(bytes) => decode(files, &bytes, size, reading, counts),
        Err(why) => Ok(Outcome::Bad(why)),
    }
}

/// The picture in these bytes of a file, in that size.
pub(super) fn decode(
    files: &dyn Files,
    bytes: &[u8],
    size: Size,
    reading: &Reading,
    counts: &Counts,
) -> Result<Outcome> {
    let opened = match picture::open(bytes) {
        Ok(opened) => opened,
        Err(fault) => return Ok(Outcome::Bad(fault.to_string())),
    };
    let (width, height) = opened.dimensions();
    let fits = (width, height) == (size.width, size.height);
    // Checked before decoding: the size in a header costs nothing, its pixels might cost gigabytes.
    if reading.size.is_none() && !fits {
        return Ok(Outcome::Other(Size { height, width }));
    }
    let pixels = 3 * u64::from(size.width) * u64::from(size.height);
    let pixels = counts.pixel_bytes.fetch_add(pixels, Relaxed) + pixels;
    let file = counts.file_bytes.fetch_add(bytes.len() as u64, Relaxed) + bytes.len() as u64;
    if pixels > FREE_BYTES + PIXELS_PER_BYTE * file {
        let what = format!(
            "pictures of {file} bytes ask for {pixels} bytes of pixels; expected at most {} GiB and {PIXELS_PER_BYTE} for \
             each byte of the files; scale them with `size` or limit them with `limit_train`",
            FREE_BYTES >> 30
        );
        return Err(Error::input(files.path(), what));
    }
    counts.turned.fetch_add(u64::from(opened.turned()), Relaxed);
    counts.scaled.fetch_add(u64::from(!fits), Relaxed);
    let (flat, clear) = match opened.decode() {
        Ok(decoded) => picture::flatten(decoded, reading.background.unwrap_or_default().0),
        Err(fault) => return Ok(Outcome::Bad(fault.to_string())),
    };
    counts.clear.fetch_add(u64::from(clear), Relaxed);
    Ok(Outcome::Picture(flat.scaled(size.width, size.height)))
}

/// The first ten files that cannot be read, and how many there are.
pub(super) fn unreadable(files: &dyn Files, bad: &[(usize, String)], total: u64) -> Error {
    let advice = "mend or remove them, or leave them out with `skip_bad`";
    match bad {
        [(i, why)] => Error::input(files.path_of(*i), format!("{why}; {}", advice.replace("them", "it"))),
        _ => {
            let first: Vec<String> =
                bad.iter().take(10).map(|(i, why)| format!("\n  {} {why}", files.names()[*i])).collect();
            let more = bad.len() - first.len();
            let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
            let what = format!("{} of {total} pictures cannot be read; {advice}:{}{more}", bad.len(), first.concat());
            Error::input(files.path(), what)
        }
    }
}
