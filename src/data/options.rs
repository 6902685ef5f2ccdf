//! What the user may ask of a data set: how much, which splits, and what is done to its pictures.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::named::named;

/// How much to load, and how.
///
/// ```
/// use mexhat::data::{self, LoadOptions};
/// let few = LoadOptions { limit_train: Some(20), limit_test: Some(10), seed: 1, ..Default::default() };
/// let splits = data::load("glyphs", &few)?;
/// assert_eq!((splits.train.len(), splits.test.len()), (20, 10));
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadOptions {
    /// Keep so many training images: of class folders the first of each class in turn, otherwise the first.
    pub limit_train: Option<usize>,
    /// The same for validation and test images.
    pub limit_test: Option<usize>,
    /// Seed of generated data, of `split` and of `validation`; other data does not depend on it.
    pub seed: u64,
    /// What is done to the images.
    #[serde(flatten)]
    pub prepare: Preparation,
}

impl LoadOptions {
    pub(super) fn check(&self) -> Result<()> {
        for (option, limit) in [("`limit_train`", self.limit_train), ("`limit_test`", self.limit_test)] {
            if limit == Some(0) {
                return Err(Error::Usage(format!("{option} 0 leaves no image; expected at least 1")));
            }
        }
        let shares =
            [("split", self.prepare.reading.split, "test"), ("validation", self.prepare.validation, "validation")];
        for (option, share, kind) in shares {
            if let Some(share) = share.filter(|share| !(*share > 0.0 && *share < 1.0)) {
                return Err(Error::Usage(format!(
                    "`{option}` is {share}; expected the share of training images that become {kind} images, above 0 and below 1, \
                     such as 0.1"
                )));
            }
        }
        Ok(())
    }
}

/// How the images of a data set are chosen and made ready. What is left open is decided by what is known for certain of
/// the data, and said in the [`Report`](super::Report).
///
/// ```
/// use mexhat::data::{self, Augment, Augmentation, LoadOptions, Normalization, Normalize, Preparation};
/// let prepare = Preparation {
///     augment: Some(Augmentation { crop: true, ..Default::default() }),
///     normalize: Some(Normalization::Mnist),
///     ..Default::default()
/// };
/// let options = LoadOptions { limit_train: Some(10), limit_test: Some(10), prepare, ..Default::default() };
/// let splits = data::load("glyphs", &options)?;
/// assert_eq!((splits.augment, splits.normalize), (Augment { pad: 3, ..Augment::NONE }, Normalize::mnist()));
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default)]
pub struct Preparation {
    /// Random changes to training images: none, or a list of flip (mirrored left to right every other time), crop
    /// (moved by up to an eighth of the side), resized-crop (a random part of 8 to 100 % of the area is stretched over
    /// the image; it is cut after --size has stretched the picture, by PyTorch before), random-resize (0.5 to 2 times
    /// as large, cut or surrounded by black, and masks alike) and cutout (a square of half the side is blank) [default:
    /// none; flip,crop for the names cifar10 and cifar100]
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "none|flip,crop,resized-crop,random-resize,cutout", help_heading = "Data")
    )]
    pub augment: Option<Augmentation>,
    /// Mean and deviation that pixels are normalised by: data (of the training images), none, mnist, cifar10, cifar100
    /// [default: data, and what is published for sets known by name or checksum]
    #[cfg_attr(feature = "cli", arg(long, value_name = "WHOSE", help_heading = "Data"))]
    pub normalize: Option<Normalization>,
    /// Hold back this share of the training images as validation images, where the data has none
    #[cfg_attr(feature = "cli", arg(long, value_name = "SHARE", help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<f64>,
    /// Which images are read, and how.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub reading: Reading,
}

/// Which images are read, and how pictures become images: the same in training and in evaluation.
///
/// ```
/// use mexhat::data::{Reading, Size};
/// let trained = Reading { size: Some(Size { height: 32, width: 32 }), split: Some(0.1), ..Default::default() };
/// // What an evaluation does not say is as it was in training.
/// let reading = Reading { skip_bad: true, ..Default::default() }.or(&trained);
/// assert_eq!((reading.size, reading.split, reading.skip_bad), (trained.size, Some(0.1), true));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default)]
pub struct Reading {
    /// Hold back this share of the training images as test images, where the data has none
    #[cfg_attr(feature = "cli", arg(long, value_name = "SHARE", help_heading = "Data"))]
    pub split: Option<f64>,
    /// Scale all pictures to this size (stretched, with a triangle filter)
    #[cfg_attr(feature = "cli", arg(long, value_name = "H,W", help_heading = "Data"))]
    pub size: Option<Size>,
    /// What lies behind transparent pictures: white, black or #rrggbb [default: white]
    #[cfg_attr(feature = "cli", arg(long, value_name = "COLOUR", help_heading = "Data"))]
    pub background: Option<Background>,
    /// Which set, where a folder or archive holds several
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME", help_heading = "Data"))]
    pub set: Option<String>,
    /// Leave out pictures that cannot be read, instead of refusing them all
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    pub skip_bad: bool,
}

impl Reading {
    /// These, and what they leave open from `others`.
    pub fn or(self, others: &Self) -> Self {
        Self {
            split: self.split.or(others.split),
            size: self.size.or(others.size),
            background: self.background.or(others.background),
            set: self.set.or_else(|| others.set.clone()),
            skip_bad: self.skip_bad || others.skip_bad,
        }
    }
}

/// The augmentation that is asked for.
///
/// ```
/// use mexhat::data::Augmentation;
/// assert_eq!("flip,crop".parse(), Ok(Augmentation { flip: true, crop: true, ..Default::default() }));
/// assert_eq!("none".parse(), Ok(Augmentation::default()));
/// let error = "spin".parse::<Augmentation>().unwrap_err();
/// let known = "flip, crop, resized-crop, random-resize and cutout";
/// assert_eq!(error, format!("'spin' is no augmentation; expected none, or a list of {known}"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Augmentation {
    /// Mirror left to right with probability one half.
    pub flip: bool,
    /// Move by up to an eighth of the side, black coming in (4 pixels at 32 x 32; method, section 10.2).
    pub crop: bool,
    /// Stretch a random part over the whole image, in place of `crop`.
    pub resized_crop: bool,
    /// Resize to 0.5 to 2 times, then cut or surround by black, in place of `crop`.
    pub random_resize: bool,
    /// Blank a square of half the side at a random place.
    pub cutout: bool,
}

impl FromStr for Augmentation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut found = Self::default();
        for part in text.split(',').map(str::trim).filter(|_| text != "none") {
            match part {
                "flip" => found.flip = true,
                "crop" => found.crop = true,
                "resized-crop" => found.resized_crop = true,
                "random-resize" => found.random_resize = true,
                "cutout" => found.cutout = true,
                _ => {
                    return Err(format!(
                        "'{part}' is no augmentation; expected none, or a list of flip, crop, resized-crop, random-resize \
                         and cutout"
                    ));
                }
            }
        }
        if [found.crop, found.resized_crop, found.random_resize].into_iter().filter(|cuts| *cuts).count() > 1 {
            return Err("crop, resized-crop and random-resize all cut images; expected one of them".into());
        }
        Ok(found)
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.flip, "flip"),
            (self.crop, "crop"),
            (self.resized_crop, "resized-crop"),
            (self.random_resize, "random-resize"),
            (self.cutout, "cutout"),
        ];
        let named: Vec<&str> = parts.into_iter().filter(|part| part.0).map(|part| part.1).collect();
        f.write_str(if named.is_empty() { "none" } else { "" })?;
        f.write_str(&named.join(","))
    }
}

named! {
    /// Whose mean and deviation pixels are normalised by.
    ///
    /// ```
    /// use mexhat::data::{Normalization, Preparation};
    /// let prepare = Preparation { normalize: Some("cifar10".parse()?), ..Default::default() };
    /// assert_eq!(prepare.normalize, Some(Normalization::Cifar10));
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    pub enum Normalization: "normalisation" {
        /// Those of the training images.
        Data = "data",
        /// None: values stay from 0 to 1.
        None = "none",
        /// The published ones of MNIST.
        Mnist = "mnist",
        /// The published ones of CIFAR-10.
        Cifar10 = "cifar10",
        /// The published ones of CIFAR-100.
        Cifar100 = "cifar100",
    }
}

/// Height and width in pixels, each from 1 to 4096.
///
/// ```
/// use mexhat::data::Size;
/// assert_eq!("32,48".parse(), Ok(Size { height: 32, width: 48 }));
/// assert_eq!("28".parse(), Ok(Size { height: 28, width: 28 }));
/// assert!("28x28".parse::<Size>().unwrap_err().contains("such as 32,48"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    /// Rows.
    pub height: u32,
    /// Pixels in a row.
    pub width: u32,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.trim().parse::<u32>().ok().filter(|side| (1..=4096).contains(side));
        let (height, width) = text.split_once(',').unwrap_or((text, text));
        match (side(height), side(width)) {
            (Some(height), Some(width)) => Ok(Self { height, width }),
            _ => Err(format!(
                "'{text}' is no size; expected height and width from 1 to 4096, such as 32,48, or one side"
            )),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.height, self.width)
    }
}

/// The colour behind transparent pictures: red, green, blue.
///
/// ```
/// use mexhat::data::Background;
/// assert_eq!("#0a10ff".parse(), Ok(Background([10, 16, 255])));
/// assert_eq!(Background::default().to_string(), "white");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Background(pub [u8; 3]);

impl Default for Background {
    fn default() -> Self {
        Self([255; 3])
    }
}

impl FromStr for Background {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hex = |hex: &str| {
            let value = u32::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 6 && !hex.starts_with('+'))?;
            let [_, red, green, blue] = value.to_be_bytes();
            Some([red, green, blue])
        };
        let found = match text {
            "white" => Some([255; 3]),
            "black" => Some([0; 3]),
            _ => text.strip_prefix('#').and_then(hex),
        };
        found.map(Self).ok_or_else(|| format!("'{text}' is no colour; expected white, black or #rrggbb"))
    }
}

impl fmt::Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        match self.0 {
            [255, 255, 255] => f.write_str("white"),
            [0, 0, 0] => f.write_str("black"),
            _ => write!(f, "#{red:02x}{green:02x}{blue:02x}"),
        }
    }
}

/// In JSON these are written as on the command line.
macro_rules! as_text {
    ($($kind:ty),+) => {$(
        impl TryFrom<String> for $kind {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$kind> for String {
            fn from(value: $kind) -> Self {
                value.to_string()
            }
        }
    )+};
}

as_text!(Augmentation, Size, Background);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_and_bad_ones_are_refused() {
        fn back<T: FromStr<Err: fmt::Display> + fmt::Display>(good: &[&str], bad: &[&str]) {
            let parsed = |text: &str| text.parse::<T>().map(|v| v.to_string()).map_err(|e| e.to_string());
            for text in good {
                assert_eq!(parsed(text), Ok((*text).to_owned()));
            }
            for text in bad {
                let complaint = parsed(text).err().unwrap_or_default();
                assert!(complaint.contains("expected"), "'{text}': {complaint}");
            }
        }
        back::<Augmentation>(
            &["none", "flip", "crop", "flip,crop", "flip,cutout", "flip,resized-crop", "flip,random-resize"],
            &["", "flip,spin", "cifar", "crop,resized-crop", "crop,random-resize"],
        );
        back::<Normalization>(&["data", "none", "mnist", "cifar10", "cifar100"], &["imagenet"]);
        back::<Size>(&["32,48", "1,4096"], &["0,3", "32,", "-1", "5000", "3,4,5", "9999999999999"]);
        back::<Background>(&["white", "black", "#0a10ff"], &["#fff", "red", "#+12345", "#1234567"]);
        assert_eq!("28".parse::<Size>(), Ok(Size { height: 28, width: 28 }));
        assert_eq!("crop, flip".parse::<Augmentation>().map(|a| a.to_string()), Ok("flip,crop".into()));
    }

    #[test]
    fn json_is_written_as_on_the_command_line() {
        let prepare = Preparation {
            augment: Some(Augmentation { flip: true, ..Default::default() }),
            reading: Reading { size: Some(Size { height: 3, width: 4 }), split: Some(0.25), ..Default::default() },
            ..Default::default()
        };
        let text = serde_json::to_string(&prepare).unwrap();
        assert!(text.contains(r#""augment":"flip""#) && text.contains(r#""size":"3,4""#), "{text}");
        assert_eq!(serde_json::from_str::<Preparation>(&text).unwrap(), prepare);
        assert_eq!(serde_json::from_str::<Preparation>("{}").unwrap(), Preparation::default());
        assert!(serde_json::from_str::<Preparation>(r#"{"size":"0"}"#).is_err());
    }
}
