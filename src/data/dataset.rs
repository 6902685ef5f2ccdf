//! Labelled images, and how labels are told by the names of their classes.

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::Size;
use super::store::{ImageStore, StoreWriter};
use crate::error::{Error, Result};
use crate::plural;

/// What stands in a mask where a pixel has no class: it is neither learnt nor judged.
///
/// ```
/// use mexhat::data::{Dataset, IGNORED};
/// let road = Dataset::new("road", 2, [1, 1, 3], vec![0, 200, 90], vec![0])?.with_masks(vec![0, 1, IGNORED])?;
/// assert_eq!(road.pixel_counts(), [1, 1]);
/// # Ok::<(), mexhat::Error>(())
/// ```
pub const IGNORED: u8 = 255;

/// Labelled images of one size, as bytes.
///
/// ```
/// use mexhat::data::Dataset;
/// let dots = Dataset::new("dots", 2, [1, 1, 2], vec![0, 255, 255, 0, 255, 9], vec![0, 1, 1])?
///     .with_class_names(&["right".into(), "left".into()])?;
/// assert_eq!((dots.len(), dots.counts(), dots.image(1)), (3, vec![1, 2], &[255, 0][..]));
///
/// let error = Dataset::new("dots", 2, [1, 1, 2], vec![0, 255], vec![2]).unwrap_err().to_string();
/// assert_eq!(error, "image 0 of data set 'dots' has label 2, but with 2 classes labels are below 2");
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// What messages and summaries call it.
    pub name: String,
    /// The name of every class; a label is a place in this list.
    pub class_names: Vec<String>,
    /// Channels, height, width of every image.
    pub shape: [usize; 3],
    /// All pixels, (N, C, H, W), 0 to 255.
    pub images: ImageStore,
    /// One class per image; with masks all 0.
    pub labels: Vec<u32>,
    /// The class of each pixel, (N, H, W), or [`IGNORED`]; empty where images have one label. See
    /// [`with_masks`](Self::with_masks).
    pub masks: Vec<u8>,
}

/// `name` in Unicode's composed form (NFC), in which names compare equal however a file system or editor spells them.
///
/// ```
/// use mexhat::data::class_name;
/// // An e with an accent of its own, as some file systems write it, and both in one.
/// assert_ne!("cafe\u{301}", "caf\u{e9}");
/// assert_eq!(class_name("cafe\u{301}"), "caf\u{e9}");
/// ```
pub fn class_name(name: &str) -> String {
    name.nfc().collect()
}

/// The names of classes that have none: their numbers.
pub fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

impl Dataset {
    /// A data set whose parts fit together. Its classes are called `0`, `1`, ...; see
    /// [`with_class_names`](Self::with_class_names).
    ///
    /// # Errors
    /// [`Error::Usage`] when there is no image, the shape has a zero, the bytes are not `labels.len()` images of
    /// `shape`, or a label is not below `classes`.
    pub fn new(
        name: impl Into<String>,
        classes: usize,
        shape: [usize; 3],
        images: Vec<u8>,
        labels: Vec<u32>,
    ) -> Result<Self> {
        Self::of(name.into(), classes, shape, images.into(), labels)
    }

    /// As [`new`](Self::new), wherever the pixels lie.
    pub(super) fn of(
        name: String,
        classes: usize,
        shape: [usize; 3],
        images: ImageStore,
        labels: Vec<u32>,
    ) -> Result<Self> {
        let wanted = shape.iter().try_fold(labels.len(), |n, &d| n.checked_mul(d));
        if labels.is_empty() || shape.contains(&0) {
            let what = format!(
                "data set '{name}' is empty: {} of {shape:?} (channels, height, width); expected at least one, with sides of at least 1",
                plural::count(labels.len(), "image")
            );
            return Err(Error::Usage(what));
        }
        if wanted != Some(images.len()) {
            return Err(Error::Usage(format!(
                "data set '{name}' has {} labels of images {shape:?} (channels, height, width), so it needs {} bytes, \
                 but {} were given",
                labels.len(),
                wanted.map_or("more than the memory's".into(), |w| w.to_string()),
                images.len()
            )));
        }
        if let Some((i, label)) = labels.iter().enumerate().find(|&(_, &l)| l as usize >= classes) {
            return Err(Error::Usage(format!(
                "image {i} of data set '{name}' has label {label}, but with {classes} classes labels are below {classes}"
            )));
        }
        Ok(Self { name, class_names: numbered(classes), shape, images, labels, masks: Vec::new() })
    }

    /// Names the classes; they are kept in composed Unicode.
    ///
    /// # Errors
    /// [`Error::Usage`] when two names are the same or a label would have none.
    pub fn with_class_names(self, names: &[String]) -> Result<Self> {
        let names: Vec<String> = names.iter().map(|name| class_name(name)).collect();
        if let Some((i, name)) = names.iter().enumerate().find(|&(i, name)| names[..i].contains(name)) {
            return Err(Error::Usage(format!(
                "data set '{}' has two classes called '{name}' ({i} is the second); rename one",
                self.name
            )));
        }
        if let Some(label) = self.labels.iter().find(|&&label| label as usize >= names.len()) {
            return Err(Error::Usage(format!(
                "data set '{}' has an image with label {label}, but only {} class names were given",
                self.name,
                names.len()
            )));
        }
        Ok(Self { class_names: names, ..self })
    }

    /// Gives each pixel a class in place of one for the whole image, for networks that put out a map of classes.
    ///
    /// ```
    /// use mexhat::data::{Dataset, IGNORED};
    /// let two = Dataset::new("sky", 2, [1, 1, 2], vec![200, 20, 210, 30], vec![0, 0])?;
    /// let sky = two.with_masks(vec![1, 0, 1, IGNORED])?;
    /// assert_eq!((sky.counts(), sky.pixel_counts(), sky.mask(1)), (vec![1, 2], vec![1, 2], &[1, 255][..]));
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Usage`] when there is not one value for each pixel, there are more than 255 classes, or a value is
    /// neither below [`classes`](Self::classes) nor [`IGNORED`].
    pub fn with_masks(self, masks: Vec<u8>) -> Result<Self> {
        let (classes, pixels) = (self.classes(), self.len() * self.area());
        if masks.len() != pixels || classes > usize::from(IGNORED) {
            return Err(Error::Usage(format!(
                "data set '{}' has {pixels} pixels in {classes} classes, and {} values in its masks; expected one for each pixel, and at \
                 most 255 classes",
                self.name,
                masks.len()
            )));
        }
        if let Some(at) = masks.iter().position(|value| *value != IGNORED && usize::from(*value) >= classes) {
            return Err(Error::Usage(format!(
                "the mask of image {} of data set '{}' holds {}, but with {classes} classes values are below {classes}, or {IGNORED} \
                 where a pixel has none",
                at / self.area(),
                self.name,
                masks[at]
            )));
        }
        Ok(Self { labels: vec![0; self.len()], masks, ..self })
    }

    /// Whether pixels have classes, and not images.
    pub fn is_masked(&self) -> bool {
        // The page reads none, and need not download what is made of them.
        cfg!(not(target_arch = "wasm32")) && !self.masks.is_empty()
    }

    /// Pixels of a mask, `H * W`.
    fn area(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// The classes of the pixels of image `i`, (H, W), in a data set [with masks](Self::is_masked); `i` below
    /// [`len`](Self::len).
    pub fn mask(&self, i: usize) -> &[u8] {
        &self.masks[i * self.area()..][..self.area()]
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of classes; every label is below it.
    pub fn classes(&self) -> usize {
        self.class_names.len()
    }

    /// Bytes of one image, `C * H * W`.
    pub fn pixels(&self) -> usize {
        self.shape.iter().product()
    }

    /// The bytes of image `i`, (C, H, W); `i` below [`len`](Self::len).
    pub fn image(&self, i: usize) -> &[u8] {
        let pixels = self.pixels();
        &self.images[i * pixels..][..pixels]
    }

    /// Whether each channel of image `i` has one value throughout.
    pub fn is_flat(&self, i: usize) -> bool {
        let [_, height, width] = self.shape;
        self.image(i).chunks_exact(height * width).all(|plane| plane.iter().all(|value| *value == plane[0]))
    }

    /// Keeps the first `n` images.
    pub fn truncate(&mut self, n: usize) {
        let n = n.min(self.len());
        self.images.truncate(n * self.pixels());
        self.labels.truncate(n);
        if self.is_masked() {
            self.masks.truncate(n * self.area());
        }
    }

    /// The images at `places`, each below [`len`](Self::len), in this order.
    ///
    /// # Errors
    /// [`Error::Input`] when they are kept in a file and the disk is full.
    pub fn pick(&self, places: &[usize]) -> Result<Self> {
        let mut images = StoreWriter::new((places.len() * self.pixels()) as u64)?;
        places.iter().try_for_each(|&i| images.extend(self.image(i)))?;
        Ok(Self {
            name: self.name.clone(),
            class_names: self.class_names.clone(),
            shape: self.shape,
            images: images.finish()?,
            labels: places.iter().map(|&i| self.labels[i]).collect(),
            masks: places.iter().filter(|_| self.is_masked()).flat_map(|&i| self.mask(i)).copied().collect(),
        })
    }

    /// Stretches all images to `size` with a triangle filter, and masks by the nearest value; returns how many changed.
    ///
    /// # Errors
    /// [`Error::Usage`] when they would take more than 16 GiB.
    pub fn resize(&mut self, size: Size) -> Result<usize> {
        use image::{GrayImage, imageops};
        let [channels, height, width] = self.shape.map(|side| side as u32);
        let Size { height: to_height, width: to_width } = size;
        if (height, width) == (to_height, to_width) {
            return Ok(0);
        }
        let area = to_height as usize * to_width as usize;
        let total = self.len().checked_mul(channels as usize * area).filter(|&n| n as u64 <= 1 << 34);
        let Some(total) = total else {
            let what = format!(
                "{} images of data set '{}' scaled to {size} would take more than 16 GiB",
                self.len(),
                self.name
            );
            return Err(Error::Usage(what));
        };
        let mut images = StoreWriter::new(total as u64)?;
        for plane in self.images.chunks_exact(height as usize * width as usize) {
            let plane = GrayImage::from_raw(width, height, plane.to_vec()).expect("one byte a pixel");
            let filter = imageops::FilterType::Triangle;
            images.extend(&imageops::resize(&plane, to_width, to_height, filter).into_raw())?;
        }
        self.images = images.finish()?;
        #[cfg(not(target_arch = "wasm32"))]
        if self.is_masked() {
            let (from, to) =
                ([height, width].map(|side| side as usize), [to_height, to_width].map(|side| side as usize));
            let masks = self.masks.chunks_exact(self.area());
            self.masks = masks.flat_map(|mask| super::nearest::nearest(mask, from, to)).collect();
        }
        self.shape = [channels as usize, to_height as usize, to_width as usize];
        Ok(self.len())
    }

    /// Images of each class, in the order of [`class_names`](Self::class_names); with masks, images that show it.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes()];
        if self.is_masked() {
            for i in 0..self.len() {
                let mut seen = [false; 256];
                self.mask(i).iter().for_each(|&class| seen[usize::from(class)] = true);
                counts.iter_mut().zip(seen).for_each(|(count, seen)| *count += usize::from(seen));
            }
            return counts;
        }
        self.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }

    /// Pixels of each class, those that are [`IGNORED`] left out; without masks all zero.
    pub fn pixel_counts(&self) -> Vec<u64> {
        let mut counts = [0; 256];
        self.masks.iter().for_each(|&class| counts[usize::from(class)] += 1);
        counts[..self.classes().min(usize::from(IGNORED))].to_vec()
    }

    /// The SHA-256 of shape, pixels, labels and class names: equal only for equal data.
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{:?} {} {:?}\n", self.shape, self.len(), self.class_names));
        hash.update(&*self.images);
        for labels in self.labels.chunks(4096) {
            hash.update(labels.iter().flat_map(|label| label.to_le_bytes()).collect::<Vec<u8>>());
        }
        if self.is_masked() {
            hash.update(&self.masks);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Changes the labels so that they are places in `known`, the classes of a network, matched by name. Classes that
    /// this data has no images of may be unknown.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the classes that `known` lacks; the data set stays as it was.
    pub fn map_classes(&mut self, known: &[String]) -> Result<()> {
        let known: Vec<String> = known.iter().map(|name| class_name(name)).collect();
        let place = |name: &String| known.iter().position(|k| *k == class_name(name)).map(|place| place as u32);
        let places: Vec<Option<u32>> = self.class_names.iter().map(place).collect();
        let counts = self.counts();
        let unknown: Vec<&str> = (0..places.len())
            .filter(|&class| places[class].is_none() && counts[class] > 0)
            .map(|class| self.class_names[class].as_str())
            .collect();
        if !unknown.is_empty() {
            return Err(Error::Usage(format!(
                "the network knows no class {} of data set '{}'; it knows {}. Rename or remove what it cannot know",
                some(&unknown),
                self.name,
                some(&known.iter().map(String::as_str).collect::<Vec<_>>())
            )));
        }
        if self.is_masked() {
            if known.len() > usize::from(IGNORED) {
                let what = format!("masks tell at most 255 classes, and the network tells {} apart", known.len());
                return Err(Error::Usage(what));
            }
            let of =
                |class: u8| places.get(usize::from(class)).map_or(IGNORED, |place| place.unwrap_or_default() as u8);
            self.masks.iter_mut().for_each(|class| *class = of(*class));
        } else {
            self.labels.iter_mut().for_each(|label| *label = places[*label as usize].unwrap_or_default());
        }
        self.class_names = known;
        Ok(())
    }

    /// Turns grey images into three equal channels, or colours into their luma (0.2126 R + 0.7152 G + 0.0722 B, Rec.
    /// 709).
    ///
    /// # Errors
    /// [`Error::Usage`] when this is not from 1 to 3 channels, from 3 to 1, or as they are.
    pub fn to_channels(&mut self, channels: usize) -> Result<()> {
        let [from, height, width] = self.shape;
        let area = height * width;
        let mut images = StoreWriter::new((self.len() * channels * area) as u64)?;
        match (from, channels) {
            (from, to) if from == to => return Ok(()),
            (1, 3) => self.images.chunks_exact(area).try_for_each(|plane| images.extend(&plane.repeat(3)))?,
            (3, 1) => {
                let grey = |image: &[u8]| luma(image, area).collect::<Vec<u8>>();
                self.images.chunks_exact(3 * area).try_for_each(|image| images.extend(&grey(image)))?;
            }
            _ => {
                return Err(Error::Usage(format!(
                    "images of data set '{}' have {} and cannot be turned into {channels}; \
                     expected grey (1) or colour (3)",
                    self.name,
                    plural::count(from, "channel")
                )));
            }
        }
        self.images = images.finish()?;
        self.shape[0] = channels;
        Ok(())
    }
}

/// The luma of an image (3, H, W) with `area` pixels.
fn luma(image: &[u8], area: usize) -> impl Iterator<Item = u8> {
    let weighted = move |i: usize| 2126 * u32::from(image[i]) + 7152 * u32::from(image[area + i]);
    (0..area).map(move |i| ((weighted(i) + 722 * u32::from(image[2 * area + i]) + 5000) / 10000) as u8)
}

/// Names for a message, cut short after ten.
pub(super) fn some(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(10).map(|name| format!("'{name}'")).collect();
    let more = names.len() - shown.len();
    shown.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let make = |classes, shape, bytes, labels: &[u32]| {
            Dataset::new("x", classes, shape, vec![0; bytes], labels.to_vec())
                .map(|d| d.len())
                .map_err(|e| e.to_string())
        };
        assert_eq!(make(2, [1, 2, 2], 8, &[0, 1]), Ok(2));
        assert!(make(2, [1, 2, 2], 7, &[0, 1]).unwrap_err().contains("needs 8 bytes, but 7"));
        assert!(make(2, [1, 2, 2], 8, &[0, 2]).unwrap_err().contains("image 1"));
        assert!(make(2, [1, 2, 2], 0, &[]).unwrap_err().contains("empty"));
        assert!(make(2, [1, 0, 2], 0, &[0]).unwrap_err().contains("empty"));
        assert!(make(2, [usize::MAX, 2, 2], 8, &[0, 1]).unwrap_err().contains("memory"));
    }

    #[test]
    fn truncation_keeps_images_and_labels_together() {
        let mut data = Dataset::new("x", 3, [1, 1, 2], vec![1, 2, 3, 4, 5, 6], vec![0, 1, 2]).unwrap();
        data.truncate(2);
        assert_eq!((&data.images[..], data.labels.as_slice()), (&[1, 2, 3, 4][..], &[0, 1][..]));
        data.truncate(9);
        assert_eq!(data.len(), 2);
    }

    #[test]
    fn classes_are_matched_by_name_in_any_order_and_spelling() {
        let data = Dataset::new("x", 3, [1, 1, 1], vec![0; 3], vec![0, 1, 1]).unwrap();
        // A decomposed and a composed e with an acute accent.
        let mut data = data.with_class_names(&names(&["cafe\u{301}", "tea", "never seen"])).unwrap();
        let known = names(&["milk", "tea", "caf\u{e9}"]);
        data.map_classes(&known).unwrap();
        assert_eq!((data.labels.as_slice(), &data.class_names), (&[2, 1, 1][..], &known));
        let before = data.clone();
        let text = data.map_classes(&names(&["milk", "tea"])).unwrap_err().to_string();
        assert!(text.contains("knows no class 'caf\u{e9}'") && text.contains("'milk', 'tea'"), "{text}");
        assert_eq!(data, before);
        assert!(data.clone().with_class_names(&names(&["a", "a", "b"])).is_err());
        assert!(data.with_class_names(&names(&["a", "b"])).is_err());
    }

    #[test]
    fn masks_go_along_with_their_images() {
        let data = Dataset::new("x", 3, [1, 1, 2], vec![1, 2, 3, 4, 5, 6], vec![0; 3]).unwrap();
        assert!(data.clone().with_masks(vec![0; 5]).unwrap_err().to_string().contains("expected one for each pixel"));
        let beyond = data.clone().with_masks(vec![0, 1, 2, 3, 0, 0]).unwrap_err().to_string();
        assert!(beyond.contains("mask of image 1") && beyond.contains("holds 3"), "{beyond}");
        let mut data = data.with_masks(vec![0, 1, IGNORED, 2, 1, 1]).unwrap();
        assert_eq!((data.counts(), data.pixel_counts()), (vec![1, 2, 1], vec![1, 3, 1]));
        assert_eq!(data.pick(&[2, 0]).unwrap().masks, [1, 1, 0, 1]);
        data.map_classes(&names(&["2", "0", "1", "more"])).unwrap();
        assert_eq!(data.masks, [1, 2, IGNORED, 0, 2, 2]);
        assert_eq!(data.resize(Size { height: 2, width: 2 }).unwrap(), 3);
        assert_eq!(data.mask(1), [IGNORED, 0, IGNORED, 0]);
        data.truncate(1);
        assert_eq!(data.masks, [1, 2, 1, 2]);
    }

    #[test]
    fn grey_and_colour_are_turned_into_each_other() {
        let mut data = Dataset::new("x", 1, [1, 1, 2], vec![7, 200], vec![0]).unwrap();
        data.to_channels(3).unwrap();
        assert_eq!((data.shape, &data.images[..]), ([3, 1, 2], &[7, 200, 7, 200, 7, 200][..]));
        data.to_channels(1).unwrap();
        assert_eq!(data.images[..], [7, 200]);
        let mut red = Dataset::new("x", 1, [3, 1, 1], vec![255, 0, 0], vec![0]).unwrap();
        red.to_channels(1).unwrap();
        assert_eq!(red.images[..], [54]);
        assert!(red.to_channels(4).is_err());
    }

    #[test]
    fn checksums_tell_pixels_labels_and_names() {
        let data = Dataset::new("x", 2, [1, 1, 2], vec![1, 2, 3, 4], vec![0, 1]).unwrap();
        let renamed = Dataset { name: "y".into(), ..data.clone() };
        assert_eq!(data.checksum(), renamed.checksum(), "where it lies does not matter");
        let others = [
            Dataset { images: vec![1, 2, 3, 5].into(), ..data.clone() },
            Dataset { labels: vec![1, 0], ..data.clone() },
            Dataset { class_names: names(&["0", "2"]), ..data.clone() },
            Dataset { shape: [2, 1, 1], ..data.clone() },
            data.clone().with_masks(vec![0, 1, 1, IGNORED]).unwrap(),
        ];
        assert!(others.iter().all(|other| other.checksum() != data.checksum()));
    }
}
