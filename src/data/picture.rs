//! One picture file in memory, read with limits that hold before anything is decoded.

use std::fmt;
use std::io::Cursor;
use std::sync::Mutex;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage};

/// What can be read, for messages.
pub(crate) const FORMATS: &str =
    if cfg!(target_arch = "wasm32") { "PNG, JPEG or WebP" } else { "PNG, JPEG, WebP, BMP, TIFF or GIF" };

/// Endings of what can be read.
pub(crate) const ENDINGS: &[&str] = if cfg!(target_arch = "wasm32") {
    &["png", "jpg", "jpeg", "webp"]
} else {
    &["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif"]
};

/// Whether a file of this name ends as a picture does, in whatever case.
pub(crate) fn is_picture(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    ENDINGS.contains(&ending.as_str())
}

/// Longest side of a picture.
const MAX_SIDE: u32 = 65_535;
/// Most pixels of a picture.
const MAX_PIXELS: u64 = 100_000_000;
/// Pixels that any file may ask for; beyond them a file must be large itself, by [`PIXELS_PER_BYTE`].
const FREE_PIXELS: u64 = 16 << 20;
/// No photograph comes near; a few bytes that unpack to gigabytes do.
const PIXELS_PER_BYTE: u64 = 1000;
/// Pictures above [`FREE_PIXELS`] are decoded one at a time, however many cores there are.
static LARGE: Mutex<()> = Mutex::new(());

/// Why a picture cannot be read.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Its bytes are those of no known kind of picture.
    Unknown,
    /// A kind or form of picture that is not read.
    Unsupported(ImageFormat),
    /// Decoding would take too much.
    TooLarge { width: u32, height: u32, bytes: usize },
    /// Cut short or damaged.
    Damaged(ImageFormat, String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |format: &ImageFormat| format!("{format:?}").to_uppercase();
        match self {
            Self::Unknown => write!(f, "is no picture; expected {FORMATS}"),
            Self::Unsupported(format) => {
                write!(f, "is {} in a form that is not supported; convert it to PNG", kind(format))
            }
            Self::TooLarge { width, height, bytes } => {
                let size = match (width, height) {
                    // The decoder refused it before it told.
                    (0, 0) => "has more pixels than are read".into(),
                    _ => format!("is {height} x {width} pixels (height x width)"),
                };
                write!(
                    f,
                    "says in its {bytes} bytes that it {size}; expected at most {} megapixels, and {} megapixels and {PIXELS_PER_BYTE} \
                     pixels for each byte of the file; scale it down",
                    MAX_PIXELS / 1_000_000,
                    FREE_PIXELS >> 20
                )
            }
            Self::Damaged(format, e) => {
                write!(f, "begins as a {} picture but is damaged or cut short ({e})", kind(format))
            }
        }
    }
}

/// A picture whose header has been read.
pub(crate) struct Opened<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    format: ImageFormat,
    turn: Orientation,
    pixels: u64,
    bytes: usize,
}

/// Reads the header of a picture; the content decides the format, not the name.
pub(crate) fn open(bytes: &[u8]) -> Result<Opened<'_>, Fault> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| Fault::Unknown)?;
    let format = reader.format().ok_or(Fault::Unknown)?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(1 << 30);
    reader.limits(limits);
    let fault = |e| fault(format, bytes.len(), (0, 0), e);
    let mut decoder: Box<dyn ImageDecoder + '_> = Box::new(reader.into_decoder().map_err(fault)?);
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 {
        return Err(Fault::Damaged(format, "it has no pixels".into()));
    }
    let allowed = (FREE_PIXELS + PIXELS_PER_BYTE * bytes.len() as u64).min(MAX_PIXELS);
    if width.max(height) > MAX_SIDE || pixels > allowed || decoder.total_bytes() > 1 << 30 {
        return Err(Fault::TooLarge { width, height, bytes: bytes.len() });
    }
    if format == ImageFormat::Jpeg && !jpeg_is_whole(bytes) {
        return Err(Fault::Damaged(format, "the data ends before the picture does".into()));
    }
    let turn = decoder.orientation().map_err(fault)?;
    Ok(Opened { decoder, format, turn, pixels, bytes: bytes.len() })
}

fn fault(format: ImageFormat, bytes: usize, (width, height): (u32, u32), e: ImageError) -> Fault {
    match e {
        ImageError::Unsupported(_) => Fault::Unsupported(format),
        ImageError::Limits(_) => Fault::TooLarge { width, height, bytes },
        e => Fault::Damaged(format, e.to_string()),
    }
}

impl Opened<'_> {
    /// Width and height as a viewer shows it: a camera's note that it was held upright is followed.
    pub(crate) fn dimensions(&self) -> (u32, u32) {
        let (width, height) = self.decoder.dimensions();
        let turned =
            [Orientation::Rotate90, Orientation::Rotate270, Orientation::Rotate90FlipH, Orientation::Rotate270FlipH];
        if turned.contains(&self.turn) { (height, width) } else { (width, height) }
    }

    /// Whether the file asks to be shown turned or mirrored.
    pub(crate) fn turned(&self) -> bool {
        self.turn != Orientation::NoTransforms
    }

    /// The pixels as a viewer shows them; of an animation the first frame.
    pub(crate) fn decode(self) -> Result<DynamicImage, Fault> {
        let _alone = (self.pixels > FREE_PIXELS).then(|| LARGE.lock().unwrap_or_else(|e| e.into_inner()));
        let (format, bytes, dimensions) = (self.format, self.bytes, self.decoder.dimensions());
        let picture = DynamicImage::from_decoder(self.decoder).map_err(|e| fault(format, bytes, dimensions, e));
        let mut picture = picture?;
        picture.apply_orientation(self.turn);
        Ok(picture)
    }
}

/// Whether the data of a JPEG file goes on to its end marker: decoders fill what is missing with grey.
///
/// ITU-T T.81, annex B: segments have a length; after a start of scan, entropy-coded bytes last until a marker that is
/// neither a stuffed zero nor a restart.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // To the next marker; fill bytes 0xff may stand before it.
        let Some(ff) = bytes.get(at..).and_then(|rest| rest.iter().position(|&b| b == 0xff)) else { return false };
        at += ff;
        while bytes.get(at) == Some(&0xff) {
            at += 1;
        }
        match bytes.get(at) {
            None => return false,
            Some(0xd9) => return true,
            Some(0x00 | 0x01 | 0xd0..=0xd8) => at += 1,
            Some(_) => match bytes.get(at + 1..at + 3) {
                Some(&[high, low]) => at += 1 + usize::from(u16::from_be_bytes([high, low])).max(2),
                _ => return false,
            },
        }
    }
}

/// A picture without transparency.
pub(crate) enum Flat {
    /// One channel.
    Grey(GrayImage),
    /// Three channels.
    Colour(RgbImage),
}

/// Lays a picture over `background` in 8 bits; says whether anything shone through.
pub(crate) fn flatten(picture: DynamicImage, background: [u8; 3]) -> (Flat, bool) {
    let over = |value: u8, alpha: u8, ground: u8| {
        ((u32::from(value) * u32::from(alpha) + u32::from(ground) * u32::from(255 - alpha) + 127) / 255) as u8
    };
    let colour = picture.color();
    if !colour.has_alpha() {
        let flat =
            if colour.has_color() { Flat::Colour(picture.into_rgb8()) } else { Flat::Grey(picture.into_luma8()) };
        return (flat, false);
    }
    let [red, green, blue] = background;
    if !colour.has_color() && red == green && green == blue {
        let from = picture.into_luma_alpha8();
        let seen = from.pixels().any(|p| p.0[1] < 255);
        let to = GrayImage::from_fn(from.width(), from.height(), |x, y| {
            let [value, alpha] = from.get_pixel(x, y).0;
            [over(value, alpha, red)].into()
        });
        return (Flat::Grey(to), seen);
    }
    let from = picture.into_rgba8();
    let seen = from.pixels().any(|p| p.0[3] < 255);
    let to = RgbImage::from_fn(from.width(), from.height(), |x, y| {
        let [r, g, b, alpha] = from.get_pixel(x, y).0;
        [over(r, alpha, red), over(g, alpha, green), over(b, alpha, blue)].into()
    });
    (Flat::Colour(to), seen)
}

impl Flat {
    /// As the one image of a data set, (C, H, W).
    ///
    /// # Errors
    /// It has no pixel.
    #[cfg(feature = "cli")]
    pub(crate) fn to_dataset(&self, name: String) -> crate::Result<super::Dataset> {
        let (width, height) = match self {
            Self::Grey(picture) => picture.dimensions(),
            Self::Colour(picture) => picture.dimensions(),
        };
        let grey = matches!(self, Self::Grey(_));
        let mut images = Vec::new();
        self.append(grey, &mut images);
        super::Dataset::new(name, 1, [if grey { 1 } else { 3 }, height as usize, width as usize], images, vec![0])
    }

    /// Appends (C, H, W) with one channel if `grey`, else three.
    pub(crate) fn append(&self, grey: bool, images: &mut Vec<u8>) {
        match self {
            Self::Grey(p) => (0..if grey { 1 } else { 3 }).for_each(|_| images.extend_from_slice(p.as_raw())),
            Self::Colour(p) => (0..3).for_each(|c| images.extend(p.as_raw().iter().skip(c).step_by(3))),
        }
    }

    /// Stretched to `width` x `height` with a triangle filter, whose support grows with the step when scaling down.
    pub(crate) fn scaled(self, width: u32, height: u32) -> Self {
        use image::imageops::{FilterType, resize};
        match self {
            Self::Grey(p) if p.dimensions() != (width, height) => {
                Self::Grey(resize(&p, width, height, FilterType::Triangle))
            }
            Self::Colour(p) if p.dimensions() != (width, height) => {
                Self::Colour(resize(&p, width, height, FilterType::Triangle))
            }
            same => same,
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayAlphaImage, RgbaImage};

    use super::*;

    fn encode(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        picture.into().write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    fn scene() -> RgbImage {
        RgbImage::from_fn(40, 30, |x, y| [x as u8 * 6, y as u8 * 8, (x * y) as u8].into())
    }

    fn complaint(bytes: &[u8]) -> String {
        open(bytes).and_then(Opened::decode).err().map(|fault| fault.to_string()).unwrap_or_default()
    }

    #[test]
    fn lossless_formats_give_the_same_pixels() {
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff] {
            let picture = open(&encode(scene(), format)).unwrap().decode().unwrap();
            assert_eq!(picture.into_rgb8(), scene(), "{format:?}");
        }
        let two = RgbImage::from_fn(4, 2, |x, _| if x < 2 { [250, 0, 0].into() } else { [0, 0, 250].into() });
        assert_eq!(open(&encode(two.clone(), ImageFormat::Gif)).unwrap().decode().unwrap().into_rgb8(), two);
    }

    #[test]
    fn every_cut_is_refused() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Gif] {
            let whole = encode(scene(), format);
            assert_eq!(complaint(&whole), "", "{format:?}");
            for part in [10, 30, 50, 90] {
                let cut = &whole[..whole.len() * part / 100];
                assert!(!complaint(cut).is_empty(), "{format:?} cut to {part} %");
            }
        }
        assert!(complaint(b"hello").contains("no picture"));
    }

    #[test]
    fn a_size_is_told_where_it_is_known() {
        let told = |width, height| Fault::TooLarge { width, height, bytes: 73 }.to_string();
        assert!(told(70_000, 3).contains("is 3 x 70000 pixels (height x width)"));
        assert!(told(0, 0).contains("has more pixels than are read"));
    }

    #[test]
    fn a_thumbnail_end_does_not_make_a_cut_jpeg_whole() {
        let jpeg = encode(scene(), ImageFormat::Jpeg);
        let thumbnail = [&[0xff, 0xe1, 0x00, 0x06][..], &[0xff, 0xd9, 1, 2]].concat();
        let whole = [&jpeg[..2], &thumbnail, &jpeg[2..]].concat();
        assert!(jpeg_is_whole(&whole) && !jpeg_is_whole(&whole[..whole.len() / 2]));
        assert!(jpeg_is_whole(&[&whole[..], b"trailing bytes"].concat()));
    }

    #[test]
    fn limits_hold_before_anything_is_decoded() {
        // A PNG header of 117,440,515 x 8,323,074 pixels; `a` claims them with a right checksum in 73 bytes.
        let header = |width: u32, height: u32| {
            let body = [&b"IHDR"[..], &width.to_be_bytes(), &height.to_be_bytes(), &[1, 0, 0, 0, 0]].concat();
            let mut sum = flate2::Crc::new();
            sum.update(&body);
            let data = [0, 0, 0, 0, 0x49, 0x44, 0x41, 0x54, 0x35, 0xaf, 0x06, 0x1e];
            let end = [0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82];
            [&b"\x89PNG\r\n\x1a\n\0\0\0\x0d"[..], &body, &sum.sum().to_be_bytes(), &data, &end].concat()
        };
        for (width, height) in [(117_440_515, 8_323_074), (60_000, 60_000), (32, 8_388_640), (9_000, 9_000)] {
            let text = complaint(&header(width, height));
            assert!(text.contains("scale it down"), "{width} x {height}: {text}");
        }
    }

    #[test]
    fn transparency_lies_over_the_background() {
        let clear = RgbaImage::from_fn(2, 1, |x, _| [10, 20, 30, if x == 0 { 0 } else { 255 }].into());
        let (Flat::Colour(flat), true) = flatten(clear.into(), [1, 2, 3]) else { panic!("expected colour") };
        assert_eq!(flat.into_raw(), [1, 2, 3, 10, 20, 30]);
        let half = || DynamicImage::from(GrayAlphaImage::from_pixel(1, 1, image::LumaA([0, 128])));
        let (Flat::Grey(flat), true) = flatten(half(), [255; 3]) else { panic!("expected grey") };
        assert_eq!(flat.into_raw(), [127]);
        assert!(matches!(flatten(half(), [255, 0, 0]), (Flat::Colour(_), true)));
        let opaque = GrayAlphaImage::from_pixel(1, 1, image::LumaA([9, 255]));
        assert!(matches!(flatten(opaque.into(), [255; 3]), (Flat::Grey(_), false)));
    }
}
