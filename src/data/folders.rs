//! Class folders: `train/CLASS/PICTURE` and `test/CLASS/PICTURE` (or `val/`), in PNG, JPEG or WebP.
//!
//! Classes are the names of the folders under `train/` in sorted order. Pictures that are all grey give one channel,
//! otherwise three.

use std::collections::BTreeMap;
use std::io::Cursor;

use image::ImageDecoder;

use super::files::Files;
use super::{Dataset, threads};
use crate::error::{Error, Result};

/// Above this the pixels would not fit the memory of a common machine.
const MAX_BYTES: u64 = if cfg!(target_pointer_width = "64") { 1 << 34 } else { 1 << 30 };

/// The files of one split under their classes.
type Classes<'a> = BTreeMap<&'a str, Vec<usize>>;

/// Both splits, as (train, test); `None` when the files are not laid out as class folders.
///
/// `limits` keep the first N pictures of each split, taken from the classes in turn, so that they stay balanced.
///
/// # Errors
/// [`Error::Input`] naming the file: a split is missing, a class of the test split is not in the training split, a
/// picture cannot be decoded or has another size than the first.
pub fn datasets(files: &dyn Files, name: &str, limits: [Option<usize>; 2]) -> Result<Option<(Dataset, Dataset)>> {
    let (train, test) = (group(files, &["train"]), group(files, &["test", "val"]));
    if train.is_empty() && test.is_empty() {
        return Ok(None);
    }
    for (split, classes) in [("train", &train), ("test", &test)] {
        if classes.is_empty() {
            let what = format!("expected class folders of pictures (PNG, JPEG or WebP) under {split}/, found none");
            return Err(Error::input(files.path(), what));
        }
    }
    let names: Vec<&str> = train.keys().copied().collect();
    if let Some((class, pictures)) = test.iter().find(|(class, _)| !train.contains_key(*class)) {
        let what =
            format!("is of the class '{class}', which is not under train/; expected one of {}", names.join(", "));
        return Err(Error::input(files.path_of(pictures[0]), what));
    }
    let chosen = [turns(&names, &train, limits[0]), turns(&names, &test, limits[1])];
    let first = chosen[0][0].1;
    let (width, height) = open(files, first)?.dimensions();
    let total = (chosen[0].len() + chosen[1].len()) as u64;
    if total.saturating_mul(3 * u64::from(width) * u64::from(height)) > MAX_BYTES {
        let what = format!(
            "{total} pictures of {width}x{height} need more than the {} GiB that are allowed; limit them with \
             --limit-train and --limit-test",
            MAX_BYTES >> 30
        );
        return Err(Error::input(files.path(), what));
    }
    let expected = Expected { width, height, first };
    let [train, test] = [decode_all(files, &chosen[0], &expected)?, decode_all(files, &chosen[1], &expected)?];
    // One channel only where no picture of either split has colour.
    let grey = train.iter().chain(&test).all(|picture| picture.grey);
    let build = |pictures: Vec<Picture>, chosen: &[(u32, usize)]| {
        let shape = [if grey { 1 } else { 3 }, height as usize, width as usize];
        let mut images = Vec::with_capacity(pictures.len() * shape.iter().product::<usize>());
        pictures.iter().for_each(|picture| picture.append(grey, &mut images));
        let labels = chosen.iter().map(|&(label, _)| label).collect();
        let known: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Dataset::new(name, names.len(), shape, images, labels)?.with_class_names(&known)
    };
    Ok(Some((build(train, &chosen[0])?, build(test, &chosen[1])?)))
}

/// Pictures by class; the split's folder may lie in other folders.
fn group<'a>(files: &'a dyn Files, splits: &[&str]) -> Classes<'a> {
    let mut classes = Classes::new();
    for (i, name) in files.names().iter().enumerate() {
        let extension = name.rsplit_once('.').map_or("", |(_, e)| e).to_ascii_lowercase();
        if !matches!(extension.as_str(), "png" | "jpg" | "jpeg" | "webp") {
            continue;
        }
        let mut parts = name.split('/');
        if parts.any(|part| splits.contains(&part))
            && let (Some(class), Some(_picture)) = (parts.next(), parts.next())
        {
            classes.entry(class).or_default().push(i);
        }
    }
    classes
}

/// (label, file) of the pictures to use. Without a limit class after class; with one, the classes in turn.
fn turns(names: &[&str], classes: &Classes, limit: Option<usize>) -> Vec<(u32, usize)> {
    let lists = names.iter().enumerate().filter_map(|(label, name)| Some((label as u32, classes.get(name)?)));
    let Some(limit) = limit else {
        return lists.flat_map(|(label, list)| list.iter().map(move |&i| (label, i))).collect();
    };
    let lists: Vec<_> = lists.collect();
    let longest = lists.iter().map(|(_, list)| list.len()).max().unwrap_or(0);
    (0..longest)
        .flat_map(|turn| lists.iter().filter_map(move |(label, list)| Some((*label, *list.get(turn)?))))
        .take(limit.max(1))
        .collect()
}

struct Expected {
    width: u32,
    height: u32,
    /// The picture that set the size.
    first: usize,
}

struct Picture {
    grey: bool,
    /// (H, W) when grey, else (H, W, 3).
    pixels: Vec<u8>,
}

impl Picture {
    /// Appends (C, H, W) with one channel if `grey`, else three.
    fn append(&self, grey: bool, images: &mut Vec<u8>) {
        match (self.grey, grey) {
            (true, true) => images.extend_from_slice(&self.pixels),
            (true, false) => (0..3).for_each(|_| images.extend_from_slice(&self.pixels)),
            _ => (0..3).for_each(|c| images.extend(self.pixels.iter().skip(c).step_by(3))),
        }
    }
}

fn undecodable(files: &dyn Files, i: usize, e: &dyn std::fmt::Display) -> Error {
    Error::input(files.path_of(i), format!("expected a whole PNG, JPEG or WebP picture ({e}); replace or remove it"))
}

fn open(files: &dyn Files, i: usize) -> Result<impl ImageDecoder> {
    let reader = image::ImageReader::new(Cursor::new(files.read(i)?)).with_guessed_format();
    let reader = reader.map_err(|e| undecodable(files, i, &e))?;
    reader.into_decoder().map_err(|e| undecodable(files, i, &e))
}

fn decode(files: &dyn Files, i: usize, expected: &Expected) -> Result<Picture> {
    let decoder = open(files, i)?;
    let (width, height) = decoder.dimensions();
    // Checked before decoding: the size in a header costs nothing, its pixels might cost gigabytes.
    if (width, height) != (expected.width, expected.height) {
        let what = format!(
            "expected {}x{} pixels, as {} has, found {width}x{height}; scale all pictures to one size",
            expected.width,
            expected.height,
            files.path_of(expected.first).display()
        );
        return Err(Error::input(files.path_of(i), what));
    }
    let grey = !decoder.color_type().has_color();
    let picture = image::DynamicImage::from_decoder(decoder).map_err(|e| undecodable(files, i, &e))?;
    Ok(Picture { grey, pixels: if grey { picture.into_luma8().into_raw() } else { picture.into_rgb8().into_raw() } })
}

fn decode_all(files: &dyn Files, chosen: &[(u32, usize)], expected: &Expected) -> Result<Vec<Picture>> {
    let parts = threads::split(chosen.len(), |range| {
        chosen[range].iter().map(|&(_, i)| decode(files, i, expected)).collect::<Result<Vec<_>>>()
    });
    // In order, so that among several bad pictures the same one is named every time.
    let mut pictures = Vec::with_capacity(chosen.len());
    for part in parts {
        pictures.extend(part?);
    }
    Ok(pictures)
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, ImageFormat};

    use super::super::files::Zip;
    use super::super::files::tests::zip_of;
    use super::*;

    fn png(width: u32, height: u32, colour: Option<[u8; 3]>) -> Vec<u8> {
        let picture = match colour {
            Some(rgb) => DynamicImage::from(image::RgbImage::from_pixel(width, height, image::Rgb(rgb))),
            None => DynamicImage::from(image::GrayImage::from_pixel(width, height, image::Luma([9]))),
        };
        let mut to = Cursor::new(Vec::new());
        picture.write_to(&mut to, ImageFormat::Png).unwrap();
        to.into_inner()
    }

    fn run(entries: &[(&str, &[u8])], limits: [Option<usize>; 2]) -> Result<Option<(Dataset, Dataset)>, String> {
        let files = Zip::new("pics.zip", Cursor::new(zip_of(entries))).unwrap();
        datasets(&files, "pics", limits).map_err(|e| e.to_string())
    }

    #[test]
    fn colours_go_to_planes_and_folders_to_labels() {
        let (red, grey) = (png(2, 1, Some([200, 10, 20])), png(2, 1, None));
        let entries: [(&str, &[u8]); 4] =
            [("x/train/b/0.png", &red), ("x/train/a/0.png", &grey), ("x/val/b/0.PNG", &red), ("readme.txt", b"hi")];
        let (train, test) = run(&entries, [None; 2]).unwrap().unwrap();
        assert_eq!((train.shape, train.classes(), train.labels.as_slice()), ([3, 1, 2], 2, &[0, 1][..]));
        assert_eq!(train.image(0), [9; 6]);
        assert_eq!(train.image(1), [200, 200, 10, 10, 20, 20]);
        assert_eq!(test.labels, [1]);
        let (train, _) = run(&[entries[1], ("test/a/1.png", &grey)], [None; 2]).unwrap().unwrap();
        assert_eq!(train.shape, [1, 1, 2]);
    }

    #[test]
    fn limits_take_the_classes_in_turn() {
        let grey = png(1, 1, None);
        let names =
            ["train/a/1.png", "train/a/2.png", "train/a/3.png", "train/b/1.png", "test/a/1.png", "test/b/1.png"];
        let entries: Vec<(&str, &[u8])> = names.iter().map(|&n| (n, grey.as_slice())).collect();
        let labels = |limit| run(&entries, [limit, Some(1)]).unwrap().unwrap().0.labels;
        assert_eq!(labels(Some(3)), [0, 1, 0]);
        assert_eq!(labels(Some(99)), [0, 1, 0, 0]);
        assert_eq!(labels(None), [0, 0, 0, 1]);
    }

    #[test]
    fn faults_name_the_file() {
        let good = png(2, 2, None);
        let other = png(3, 2, None);
        let a = ("train/a/1.png", good.as_slice());
        let size = run(&[a, ("test/a/1.png", &other)], [None; 2]).unwrap_err();
        assert!(size.contains("test/a/1.png: expected 2x2") && size.contains("found 3x2"), "{size}");
        for bad in [&good[..good.len() / 2], b"not a picture"] {
            let text = run(&[a, ("test/a/1.png", bad)], [None; 2]).unwrap_err();
            assert!(text.contains("test/a/1.png: expected a whole PNG"), "{text}");
        }
        assert!(run(&[a], [None; 2]).unwrap_err().contains("under test/"));
        assert!(run(&[a, ("test/b/1.png", &good)], [None; 2]).unwrap_err().contains("class 'b'"));
        assert_eq!(run(&[("a/1.png", &good)], [None; 2]), Ok(None));
    }
}
