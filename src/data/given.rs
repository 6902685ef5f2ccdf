//! Files of somebody who chose nothing but them: what [`load_files`] leaves to its user is decided here, and said.

use super::files::Files;
use super::layout::Layout;
use super::options::{LoadOptions, Reading, Size};
use super::source::load_files;
use super::{Splits, cifar, folders, idx_sets, picture};
use crate::error::Result;

/// Share of the training images that is held back where there are no test images.
const SHARE: f64 = 0.1;
/// Sides of pictures that are left as they are, where all have the same.
const SMALL: u32 = 64;
/// What other pictures are scaled to.
const SCALED: Size = Size { height: 32, width: 32 };

/// As [`load_files`], for a visitor of the page: where the files have no test images a tenth of each class is held
/// back, pictures of several sizes or with a side above 64 become 32 x 32, and those that cannot be read are left out.
/// What the options say comes first.
///
/// Returns how the files were read, too, for a saved network to say.
///
/// ```no_run
/// use mexhat::data::{self, files::Zip};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let zip = Zip::new("pets.zip", std::io::Cursor::new(std::fs::read("pets.zip")?))?;
/// let (splits, reading) = data::load_given(&zip, "pets.zip", &Default::default())?;
/// println!("{}\n{:?}", splits.report.lines().join("\n"), reading.split);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`load_files`].
pub fn load_given(files: &dyn Files, name: &str, options: &LoadOptions) -> Result<(Splits, Reading)> {
    let mut options = options.clone();
    let reading = &mut options.prepare.reading;
    reading.skip_bad = true;
    let layout = if idx_sets::present(files) || cifar::present(files) { None } else { Layout::of(files)? };
    let tested = match &layout {
        Some(layout) => layout.is_tested(),
        None => cifar::present(files) || idx_sets::are_tested(files),
    };
    reading.split = reading.split.or((!tested).then_some(SHARE));
    if let (Some(layout), None) = (layout, reading.size) {
        if is_small(files, &layout)
            && let Ok(splits) = load_files(files, name, &options)
        {
            return Ok((splits, options.prepare.reading));
        }
        options.prepare.reading.size = Some(SCALED);
    }
    let splits = load_files(files, name, &options)?;
    Ok((splits, options.prepare.reading))
}

/// Whether the first picture that can be read is.
fn is_small(files: &dyn Files, layout: &Layout) -> bool {
    let size = |i| picture::open(&folders::read(files, i).ok()?.ok()?).ok().map(|opened| opened.dimensions());
    layout.pictures().find_map(size).is_some_and(|(width, height)| width.max(height) <= SMALL)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, ImageFormat, RgbImage};

    use super::super::files::Zip;
    use super::super::files::tests::zip_of;
    use super::super::idx;
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let picture = RgbImage::from_fn(width, height, |x, y| [x as u8, y as u8, (x * y) as u8].into());
        let mut out = Cursor::new(Vec::new());
        DynamicImage::from(picture).write_to(&mut out, ImageFormat::Png).unwrap();
        out.into_inner()
    }

    fn run(entries: &[(&str, &[u8])]) -> Result<(Splits, Reading), String> {
        let files = Zip::new("pets.zip", Cursor::new(zip_of(entries))).unwrap();
        load_given(&files, "pets.zip", &LoadOptions::default()).map_err(|e| e.to_string())
    }

    #[test]
    fn small_pictures_of_one_size_stay_and_a_tenth_is_held_back() {
        let same = png(20, 24);
        let (splits, reading) =
            run(&[("p/cat/1.png", &same), ("p/cat/2.png", &same), ("p/dog/1.png", &same), ("p/dog/2.png", &same)])
                .unwrap();
        assert_eq!((splits.train.shape, splits.train.len(), splits.test.len()), ([3, 24, 20], 2, 2));
        assert_eq!(splits.train.class_names, ["cat", "dog"]);
        assert_eq!((reading.split, reading.size), (Some(0.1), None));
    }

    #[test]
    fn other_pictures_are_scaled_and_bad_ones_left_out() {
        let (small, tall, large) = (png(20, 24), png(20, 30), png(200, 90));
        for odd in [&tall, &large] {
            let entries: [(&str, &[u8]); 5] = [
                ("train/cat/1.png", &small),
                ("train/cat/2.png", b"none"),
                ("train/dog/1.png", odd),
                ("test/cat/1.png", &small),
                ("test/dog/1.png", &small),
            ];
            let (splits, reading) = run(&entries).unwrap();
            assert_eq!((splits.train.shape, splits.train.len(), splits.test.len()), ([3, 32, 32], 2, 2));
            assert_eq!((reading.split, reading.size), (None, Some(SCALED)));
            assert_eq!(splits.report.skipped.count, 1);
        }
    }

    #[test]
    fn idx_files_without_a_test_split_lose_a_tenth() {
        let (images, labels) = (idx::encode(&[20, 8, 8], &[1; 1280]), idx::encode(&[20], &[0, 1].repeat(10)));
        let (splits, reading) =
            run(&[("train-images-idx3-ubyte", &images), ("train-labels-idx1-ubyte", &labels)]).unwrap();
        assert_eq!((splits.train.len(), splits.test.len(), reading.split), (18, 2, Some(0.1)));
    }

    #[test]
    fn what_is_no_data_is_refused_in_words() {
        let complaint = run(&[("notes.txt", b"hi")]).unwrap_err();
        assert!(complaint.contains("expected IDX files"), "{complaint}");
    }
}
