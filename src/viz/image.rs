//! Photographs in, deconvolved and sparse pictures out.
//!
//! A [`Photo`] keeps the samples as the file has them (8 or 16 bits) and gives out floating-point tiles on request, so
//! that a photograph of 24 megapixels takes 72 MB and not 288.

use std::path::Path;

use image::{DynamicImage, RgbImage};

use super::colormap;
use crate::data::picture::{self, FORMATS, Fault};
use crate::error::{Error, Result};

/// Red, green and blue planes.
#[derive(Clone, Debug, PartialEq)]
pub struct RgbPlanes {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Shape (3, height, width); 0 is black, 1 is full.
    pub data: Vec<f32>,
}

impl RgbPlanes {
    /// An 8-bit picture; values beyond 0 and 1 are clamped.
    pub fn to_image(&self) -> RgbImage {
        let area = self.width * self.height;
        RgbImage::from_fn(self.width as u32, self.height as u32, |x, y| {
            let at = y as usize * self.width + x as usize;
            let level = |c: usize| (self.data[c * area + at].clamp(0.0, 1.0) * 255.0).round() as u8;
            [level(0), level(1), level(2)].into()
        })
    }
}

/// A decoded photograph: interleaved RGB samples in the depth of the file.
#[derive(Clone, Debug)]
pub struct Photo {
    width: usize,
    height: usize,
    samples: Samples,
}

#[derive(Clone, Debug)]
enum Samples {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
}

impl Photo {
    /// A photograph from interleaved 8-bit RGB samples, shape (height, width, 3).
    pub fn from_rgb8(width: usize, height: usize, samples: Vec<u8>) -> Result<Self> {
        if samples.len() != 3 * width * height || samples.is_empty() {
            let (need, found) = (3 * width * height, samples.len());
            let what =
                format!("{width} x {height} RGB pixels are {need} samples, at least one pixel; {found} were given");
            return Err(Error::shape("photo", what));
        }
        Ok(Self { width, height, samples: Samples::Eight(samples) })
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Bytes of memory that the samples take.
    pub fn bytes(&self) -> usize {
        match &self.samples {
            Samples::Eight(s) => s.len(),
            Samples::Sixteen(s) => 2 * s.len(),
        }
    }

    /// The rectangle of `width` x `height` pixels whose upper left corner is (x, y), cut at the border of the
    /// photograph.
    pub fn tile(&self, x: usize, y: usize, width: usize, height: usize) -> RgbPlanes {
        let width = width.min(self.width.saturating_sub(x));
        let height = height.min(self.height.saturating_sub(y));
        let mut data = vec![0.0; 3 * width * height];
        if width > 0 && height > 0 {
            for (row, from) in (y..y + height).enumerate() {
                let start = (from * self.width + x) * 3;
                for channel in 0..3 {
                    let line = &mut data[(channel * height + row) * width..][..width];
                    match &self.samples {
                        Samples::Eight(s) => spread(line, &s[start + channel..], |v| f32::from(v) / 255.0),
                        Samples::Sixteen(s) => spread(line, &s[start + channel..], |v| f32::from(v) / 65535.0),
                    }
                }
            }
        }
        RgbPlanes { width, height, data }
    }

    /// The whole photograph as floating-point planes: 12 bytes a pixel. Prefer [`Photo::tile`] for large ones.
    pub fn planes(&self) -> RgbPlanes {
        self.tile(0, 0, self.width, self.height)
    }

    /// The photograph as an 8-bit picture.
    pub fn to_image(&self) -> RgbImage {
        let samples = match &self.samples {
            Samples::Eight(s) => s.clone(),
            Samples::Sixteen(s) => s.iter().map(|&v| ((u32::from(v) * 255 + 32767) / 65535) as u8).collect(),
        };
        RgbImage::from_raw(self.width as u32, self.height as u32, samples).expect("three samples a pixel")
    }
}

fn spread<T: Copy>(line: &mut [f32], interleaved: &[T], convert: impl Fn(T) -> f32) {
    for (to, &from) in line.iter_mut().zip(interleaved.iter().step_by(3)) {
        *to = convert(from);
    }
}

/// Decodes a PNG, JPEG, WebP, BMP, TIFF or GIF file (in a browser the first three); `name` appears in errors and need
/// not exist.
///
/// The content decides the format, not the name. Grey becomes three equal planes; colours with transparency are laid
/// over white; of an animation the first frame is taken; a rotation that a camera noted in the file is applied. 16-bit
/// samples stay 16-bit. More than 100 megapixels are refused, and more than 16 that come from less than a byte for a
/// thousand.
pub fn decode_photo(bytes: &[u8], name: impl AsRef<Path>) -> Result<Photo> {
    let name = name.as_ref();
    let fail = |what: String| Error::input(name, what);
    if bytes.is_empty() {
        return Err(fail(format!(
            "expected a {FORMATS} image, but the file is empty (0 bytes); copy or download it again"
        )));
    }
    match picture::open(bytes).and_then(picture::Opened::decode) {
        Ok(picture) => Ok(from_dynamic(picture)),
        Err(Fault::Unknown) => Err(fail(format!(
            "expected a {FORMATS} image, but the file {}; give it as one of these, whatever its name",
            appearance(bytes)
        ))),
        Err(fault) => Err(fail(fault.to_string())),
    }
}

/// What a file that is no image looks like, for the error message.
fn appearance(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(512)];
    let is_text = match std::str::from_utf8(head) {
        Ok(text) => !text.contains('\0'),
        Err(e) => e.error_len().is_none() && head.len() == 512,
    };
    if is_text {
        let line: String =
            String::from_utf8_lossy(head).trim().chars().take_while(|c| !c.is_control()).take(24).collect();
        format!("is text (it begins with \"{line}\")")
    } else {
        let hex: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
        format!("is something else (it begins with the bytes {})", hex.join(" "))
    }
}

fn from_dynamic(picture: DynamicImage) -> Photo {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let samples = match picture {
        DynamicImage::ImageRgb8(p) => Samples::Eight(p.into_raw()),
        DynamicImage::ImageLuma8(p) => Samples::Eight(p.into_raw().into_iter().flat_map(|v| [v; 3]).collect()),
        DynamicImage::ImageLumaA8(p) => {
            Samples::Eight(p.pixels().flat_map(|p| [over_white(p.0[0].into(), p.0[1].into(), 255) as u8; 3]).collect())
        }
        DynamicImage::ImageRgba8(p) => Samples::Eight(
            p.pixels().flat_map(|p| [0, 1, 2].map(|c| over_white(p.0[c].into(), p.0[3].into(), 255) as u8)).collect(),
        ),
        DynamicImage::ImageRgb16(p) => Samples::Sixteen(p.into_raw()),
        DynamicImage::ImageLuma16(p) => Samples::Sixteen(p.into_raw().into_iter().flat_map(|v| [v; 3]).collect()),
        // What is left has 16 bits with transparency, or floats, which none of the three formats holds.
        other => Samples::Sixteen(
            other
                .into_rgba16()
                .pixels()
                .flat_map(|p| [0, 1, 2].map(|c| over_white(p.0[c].into(), p.0[3].into(), 65535) as u16))
                .collect(),
        ),
    };
    Photo { width, height, samples }
}

/// `value` with opacity `alpha`, laid over white; all of them up to `full`.
fn over_white(value: u64, alpha: u64, full: u64) -> u64 {
    (value * alpha + full * (full - alpha) + full / 2) / full
}

/// The value below which a `share` (0..=1) of all magnitudes lies: the robust scale of a picture.
///
/// Exact up to a million values, beyond that from an even sample of about a million. 0 for no values.
pub fn magnitude_quantile(values: &[f32], share: f32) -> f32 {
    let stride = values.len().div_ceil(1 << 20).max(1);
    let mut magnitudes: Vec<f32> = values.iter().step_by(stride).map(|v| v.abs()).filter(|v| v.is_finite()).collect();
    if magnitudes.is_empty() {
        return 0.0;
    }
    let at = ((magnitudes.len() - 1) as f32 * share.clamp(0.0, 1.0)).round() as usize;
    *magnitudes.select_nth_unstable_by(at, f32::total_cmp).1
}

/// The robust scale that [`signed_picture`] and [`sparse_picture`] are made for: the 99.5th percentile of the
/// magnitudes.
///
/// A scale by the largest value would leave nearly all of a heavy-tailed picture at mid-grey.
pub fn robust_scale(values: &[f32]) -> f32 {
    magnitude_quantile(values, 0.995)
}

/// A signed picture: zero is mid-grey (128), -`scale` black, `scale` white, clamped beyond.
pub fn signed_picture(planes: &RgbPlanes, scale: f32) -> RgbImage {
    render(planes, |v| colormap::signed_grey(colormap::relative(v, scale)))
}

/// A picture of magnitudes: zero is black, `scale` and beyond full colour.
pub fn sparse_picture(planes: &RgbPlanes, scale: f32) -> RgbImage {
    render(planes, |v| (colormap::relative(v.abs(), scale).min(1.0) * 255.0).round() as u8)
}

fn render(planes: &RgbPlanes, level: impl Fn(f32) -> u8) -> RgbImage {
    let area = planes.width * planes.height;
    RgbImage::from_fn(planes.width as u32, planes.height as u32, |x, y| {
        let at = y as usize * planes.width + x as usize;
        [level(planes.data[at]), level(planes.data[area + at]), level(planes.data[2 * area + at])].into()
    })
}

/// The picture minus its mean colour: what a deconvolved picture is to be compared with.
pub fn centered(planes: &RgbPlanes) -> RgbPlanes {
    let area = (planes.width * planes.height).max(1);
    let mut data = planes.data.clone();
    for plane in data.chunks_mut(area) {
        let mean = plane.iter().map(|&v| f64::from(v)).sum::<f64>() / plane.len() as f64;
        plane.iter_mut().for_each(|v| *v -= mean as f32);
    }
    RgbPlanes { data, ..*planes }
}

/// Largest file that is read as a picture.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) const MOST_BYTES: u64 = 1 << 30;

/// Reads a photograph and keeps its samples as they are; see [`decode_photo`].
#[cfg(not(target_arch = "wasm32"))]
pub fn load_photo(path: impl AsRef<Path>) -> Result<Photo> {
    let path = path.as_ref();
    if path.is_dir() {
        return Err(Error::input(path, "expected an image file, but this is a folder; name the images in it"));
    }
    let bytes = crate::read::read_file(path, MOST_BYTES, "an image")?;
    decode_photo(&bytes, path)
}

/// Reads a photograph of any size as floating-point planes; see [`decode_photo`].
#[cfg(not(target_arch = "wasm32"))]
pub fn load_rgb(path: impl AsRef<Path>) -> Result<RgbPlanes> {
    Ok(load_photo(path)?.planes())
}

/// Writes a picture as a PNG file.
#[cfg(not(target_arch = "wasm32"))]
pub fn save_png(path: impl AsRef<Path>, picture: &RgbImage) -> Result<()> {
    write(path.as_ref(), &super::canvas::png(picture))
}

/// Writes SVG or HTML.
#[cfg(not(target_arch = "wasm32"))]
pub fn save_text(path: impl AsRef<Path>, text: &str) -> Result<()> {
    write(path.as_ref(), text.as_bytes())
}

#[cfg(not(target_arch = "wasm32"))]
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes)
        .map_err(|e| Error::input(path, format!("cannot be written: {e}; check that the folder exists and has room")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbaImage};
    use std::io::Cursor;

    fn encode(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        picture.into().write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    fn decode(bytes: &[u8]) -> Photo {
        decode_photo(bytes, "picture").unwrap()
    }

    fn complaint(bytes: &[u8]) -> String {
        decode_photo(bytes, "odd.png").unwrap_err().to_string()
    }

    #[test]
    fn every_format_and_depth_is_read() {
        let rgb = RgbImage::from_fn(5, 4, |x, y| [x as u8 * 50, y as u8 * 60, 7].into());
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            assert_eq!(decode(&encode(rgb.clone(), format)).to_image(), rgb);
        }
        let jpeg = decode(&encode(RgbImage::from_pixel(16, 8, [200, 100, 50].into()), ImageFormat::Jpeg));
        assert!(jpeg.planes().data.iter().zip([200.0 / 255.0f32]).all(|(a, b)| (a - b).abs() < 0.02));

        let deep: ImageBuffer<Rgb<u16>, Vec<u16>> = ImageBuffer::from_pixel(2, 2, Rgb([1, 257, 65535]));
        let planes = decode(&encode(deep, ImageFormat::Png)).planes();
        assert_eq!((planes.data[0], planes.data[4], planes.data[8]), (1.0 / 65535.0, 257.0 / 65535.0, 1.0));

        let grey = decode(&encode(GrayImage::from_pixel(3, 2, Luma([51])), ImageFormat::Png)).planes();
        assert_eq!(grey, RgbPlanes { width: 3, height: 2, data: vec![0.2; 18] });

        let deep_grey: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(1, 1, Luma([13107]));
        assert_eq!(decode(&encode(deep_grey, ImageFormat::Png)).planes().data, [0.2; 3]);
    }

    #[test]
    fn transparency_lies_over_white() {
        let clear = RgbaImage::from_fn(2, 1, |x, _| [10, 20, 30, if x == 0 { 0 } else { 255 }].into());
        assert_eq!(decode(&encode(clear, ImageFormat::Png)).to_image().into_raw(), [255, 255, 255, 10, 20, 30]);
        let half = GrayAlphaImage::from_pixel(1, 1, LumaA([0, 128]));
        assert_eq!(decode(&encode(half, ImageFormat::Png)).to_image().into_raw(), [127; 3]);
        let deep: ImageBuffer<LumaA<u16>, Vec<u16>> = ImageBuffer::from_pixel(1, 1, LumaA([0, 0]));
        assert_eq!(decode(&encode(deep, ImageFormat::Png)).planes().data, [1.0; 3]);
    }

    /// A WebP animation around still pictures, by the container specification of RFC 9649.
    fn animated_webp(frames: &[RgbImage]) -> Vec<u8> {
        let chunk = |name: &[u8; 4], body: &[u8]| {
            let mut out = [name.as_slice(), &(body.len() as u32).to_le_bytes(), body].concat();
            out.resize(out.len().next_multiple_of(2), 0);
            out
        };
        let side = |v: u32| (v - 1).to_le_bytes()[..3].to_vec();
        let (w, h) = frames[0].dimensions();
        let mut body = b"WEBP".to_vec();
        body.extend(chunk(b"VP8X", &[vec![2, 0, 0, 0], side(w), side(h)].concat()));
        body.extend(chunk(b"ANIM", &[255, 255, 255, 255, 0, 0]));
        for frame in frames {
            let still = encode(frame.clone(), ImageFormat::WebP);
            let head = [vec![0; 6], side(w), side(h), vec![100, 0, 0, 2]].concat();
            body.extend(chunk(b"ANMF", &[head, still[12..].to_vec()].concat()));
        }
        chunk(b"RIFF", &body)
    }

    #[test]
    fn an_animation_gives_its_first_frame() {
        let frames = [[9, 8, 7], [200, 0, 0]].map(|c| RgbImage::from_pixel(6, 4, c.into()));
        assert_eq!(decode(&animated_webp(&frames)).to_image(), frames[0]);
    }

    #[test]
    fn bad_files_are_named_with_the_reason() {
        assert!(complaint(b"").contains("odd.png") && complaint(b"").contains("empty"));
        assert!(complaint(b"hello, this is text\nmore").contains("is text (it begins with \"hello, this is text\")"));
        assert!(complaint(&[0, 255, 3, 9]).contains("00 ff 03 09"));
        let gif = complaint(b"GIF89a\x01\x00\x01\x00\x00\x00\x00;");
        assert!(gif.contains("GIF") && gif.contains("cut short"), "{gif}");
        let mut cut =
            encode(RgbImage::from_fn(64, 64, |x, y| [(x * y) as u8, x as u8, y as u8].into()), ImageFormat::Png);
        cut.truncate(cut.len() / 2);
        assert!(complaint(&cut).contains("cut short"));
        cut.truncate(20);
        assert!(complaint(&cut).contains("cut short"));
    }

    #[test]
    fn tiles_agree_with_the_whole_and_stop_at_the_border() {
        let photo = Photo::from_rgb8(7, 5, (0..105).collect()).unwrap();
        let (whole, tile) = (photo.planes(), photo.tile(4, 3, 10, 10));
        assert_eq!((tile.width, tile.height), (3, 2));
        for c in 0..3 {
            for (y, x) in (0..2).flat_map(|y| (0..3).map(move |x| (y, x))) {
                assert_eq!(tile.data[c * 6 + y * 3 + x], whole.data[c * 35 + (y + 3) * 7 + x + 4]);
            }
        }
        assert!(photo.tile(9, 0, 1, 1).data.is_empty());
        assert_eq!(photo.bytes(), 105);
        assert!(Photo::from_rgb8(2, 2, vec![0; 3]).is_err());
    }

    #[test]
    fn pictures_have_the_promised_zero_and_scale() {
        let planes = RgbPlanes { width: 2, height: 2, data: vec![0., 1., -1., 9., 0., 0., 0., 0., 0.5, 0., 0., 0.] };
        let signed = signed_picture(&planes, 1.0);
        assert_eq!(signed.get_pixel(0, 0).0, [128, 128, 191]);
        assert_eq!((signed.get_pixel(0, 1).0[0], signed.get_pixel(1, 1).0[0]), (0, 255));
        let sparse = sparse_picture(&planes, 1.0);
        assert_eq!((sparse.get_pixel(1, 0).0, sparse.get_pixel(0, 1).0), ([255, 0, 0], [255, 0, 0]));
        assert_eq!(signed_picture(&planes, 0.0).get_pixel(1, 1).0, [128; 3]);
        assert!(centered(&planes).data[..4].iter().sum::<f32>().abs() < 1e-5);
    }

    #[test]
    fn quantiles_ignore_outliers() {
        let mut values: Vec<f32> = (0..1000).map(|i| if i % 2 == 0 { i as f32 } else { -(i as f32) }).collect();
        values[0] = 1e9;
        assert_eq!(robust_scale(&values), 995.0);
        assert_eq!(magnitude_quantile(&[], 0.5), 0.0);
        assert_eq!(magnitude_quantile(&[f32::NAN, -2.0], 1.0), 2.0);
    }

    #[cfg(not(target_arch = "wasm32"))]
    #[test]
    fn files_are_loaded_and_saved() {
        let folder = std::env::temp_dir().join(format!("mexhat-viz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let picture = RgbImage::from_pixel(3, 2, [0, 51, 255].into());
        save_png(folder.join("a.png"), &picture).unwrap();
        let planes = load_rgb(folder.join("a.png")).unwrap();
        assert_eq!((planes.to_image(), planes.data[6]), (picture.clone(), 0.2));
        assert!(load_photo(folder.join("missing.png")).unwrap_err().to_string().contains("missing.png"));
        assert!(load_photo(&folder).unwrap_err().to_string().contains("folder"));
        assert!(save_png(folder.join("no/such/folder.png"), &picture).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
