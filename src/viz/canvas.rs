//! A small drawing surface: enlarged matrices with crisp cells, text, frames, colour bars.

use image::{RgbImage, imageops};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use super::colormap::{self, Rgb};

/// Background of every sheet.
pub const PAPER: Rgb = [0xff, 0xff, 0xff];
/// Titles and numbers.
pub const INK: Rgb = [0x1f, 0x24, 0x2b];
/// Explanations, frames of less weight.
pub const FAINT: Rgb = [0x62, 0x6b, 0x76];
/// Frames around tiles.
pub const LINE: Rgb = [0xb4, 0xbb, 0xc4];

/// Text sizes; the height in pixels includes the space between lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 16 pixels: captions and numbers.
    Small,
    /// 20 pixels: labels.
    Medium,
    /// 24 pixels, bold: the title.
    Title,
}

impl Size {
    const fn raster(self) -> (FontWeight, RasterHeight) {
        match self {
            Self::Small => (FontWeight::Regular, RasterHeight::Size16),
            Self::Medium => (FontWeight::Regular, RasterHeight::Size20),
            Self::Title => (FontWeight::Bold, RasterHeight::Size24),
        }
    }

    /// Height of a line in pixels.
    pub const fn height(self) -> u32 {
        self.raster().1.val() as u32
    }

    /// Width of `text` in pixels.
    pub fn width(self, text: &str) -> u32 {
        let (weight, height) = self.raster();
        text.chars().count() as u32 * get_raster_width(weight, height) as u32
    }
}

/// Where text stands relative to the given x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Begins at x.
    Left,
    /// Is centred on x.
    Middle,
    /// Ends at x.
    Right,
}

/// An RGB picture under construction; coordinates are pixels from the upper left corner.
///
/// Drawing outside of the picture is cut off silently.
#[derive(Clone, Debug)]
pub struct Canvas {
    image: RgbImage,
}

impl Canvas {
    /// A sheet of `width` x `height` pixels in [`PAPER`].
    pub fn new(width: u32, height: u32) -> Self {
        Self { image: RgbImage::from_pixel(width.max(1), height.max(1), PAPER.into()) }
    }

    /// The finished picture.
    pub fn into_image(self) -> RgbImage {
        self.image
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, x: u32, y: u32, width: u32, height: u32, color: Rgb) {
        let (right, bottom) = (x.saturating_add(width), y.saturating_add(height));
        for py in y..bottom.min(self.image.height()) {
            for px in x..right.min(self.image.width()) {
                self.image.put_pixel(px, py, color.into());
            }
        }
    }

    /// A frame of one pixel just outside of a rectangle.
    pub fn frame(&mut self, x: u32, y: u32, width: u32, height: u32, color: Rgb) {
        let (left, top) = (x.saturating_sub(1), y.saturating_sub(1));
        self.fill(left, top, width + 2, 1, color);
        self.fill(left, y + height, width + 2, 1, color);
        self.fill(left, top, 1, height + 2, color);
        self.fill(x + width, top, 1, height + 2, color);
    }

    /// Writes one line; `y` is the upper edge. Characters beyond Latin-1 appear as `?`.
    pub fn text(&mut self, x: u32, y: u32, text: &str, size: Size, align: Align, color: Rgb) {
        let (weight, height) = size.raster();
        let mut left = match align {
            Align::Left => x,
            Align::Middle => x.saturating_sub(size.width(text) / 2),
            Align::Right => x.saturating_sub(size.width(text)),
        };
        for c in text.chars() {
            let Some(glyph) = get_raster(c, weight, height).or_else(|| get_raster('?', weight, height)) else {
                continue;
            };
            for (dy, row) in (0u32..).zip(glyph.raster()) {
                for (dx, &cover) in (0u32..).zip(row.iter()) {
                    if let Some(pixel) = self.image.get_pixel_mut_checked(left + dx, y + dy) {
                        for (old, new) in pixel.0.iter_mut().zip(color) {
                            let mixed = u32::from(*old) * (255 - u32::from(cover)) + u32::from(new) * u32::from(cover);
                            *old = (mixed / 255) as u8;
                        }
                    }
                }
            }
            left += glyph.width() as u32;
        }
    }

    /// A row-major matrix, every entry a square of `cell` pixels in the colour that `paint(row, column)` gives.
    pub fn cells(
        &mut self,
        x: u32,
        y: u32,
        rows: usize,
        columns: usize,
        cell: u32,
        paint: impl Fn(usize, usize) -> Rgb,
    ) {
        for row in 0..rows {
            for column in 0..columns {
                self.fill(x + column as u32 * cell, y + row as u32 * cell, cell, cell, paint(row, column));
            }
        }
    }

    /// Places a picture.
    pub fn picture(&mut self, x: u32, y: u32, picture: &RgbImage) {
        imageops::replace(&mut self.image, picture, i64::from(x), i64::from(y));
    }

    /// A vertical colour bar, -1 at the bottom and 1 at the top, with numbers to its right. `marks` are places from -1
    /// to 1 and the numbers that belong there.
    pub fn color_bar_with(&mut self, x: u32, y: u32, height: u32, marks: &[(f32, f32)], paint: impl Fn(f32) -> Rgb) {
        const WIDTH: u32 = 18;
        for dy in 0..height {
            self.fill(x, y + dy, WIDTH, 1, paint(1.0 - 2.0 * (dy as f32 + 0.5) / height as f32));
        }
        self.frame(x, y, WIDTH, height, LINE);
        for &(place, value) in marks {
            let at = y + (0.5 * (1.0 - place) * (height - 1) as f32).round() as u32;
            self.fill(x + WIDTH, at, 5, 1, FAINT);
            let label = if value > 0.0 { format!("+{}", short(value)) } else { short(value) };
            self.text(x + WIDTH + 9, at.saturating_sub(8), &label, Size::Small, Align::Left, INK);
        }
    }

    /// The colour bar of a symmetric linear scale; `paint` is given -1 to 1.
    pub fn color_bar(&mut self, x: u32, y: u32, height: u32, scale: f32, paint: impl Fn(f32) -> Rgb) {
        let marks = [1.0, 0.5, 0.0, -0.5, -1.0].map(|place| (place, place * scale));
        self.color_bar_with(x, y, height, &marks, paint);
    }
}

/// Pixels that [`Canvas::color_bar`] takes in width, numbers included.
pub const COLOR_BAR_WIDTH: u32 = 100;

/// A number in at most three significant digits: `0`, `0.0123`, `1.5`, `173`, `2.1e6`.
pub fn short(value: f32) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".into()
    } else if !value.is_finite() {
        format!("{value}")
    } else if !(1e-3..1e5).contains(&size) {
        let text = format!("{value:.1e}");
        text.replace(".0e", "e")
    } else {
        let decimals = (2 - size.log10().floor() as i32).clamp(0, 5) as usize;
        let text = format!("{value:.decimals$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
    }
}

/// Pictures side by side with a caption under each, `columns` to a row, on white.
///
/// Smaller pictures stand at the top of their place; nothing is resampled.
pub fn panels(items: &[(&RgbImage, &str)], columns: usize) -> RgbImage {
    const GAP: u32 = 14;
    let columns = columns.clamp(1, items.len().max(1));
    let width = items.iter().map(|(p, t)| p.width().max(Size::Small.width(t))).max().unwrap_or(1);
    let row_heights: Vec<u32> =
        items.chunks(columns).map(|row| row.iter().map(|(p, _)| p.height()).max().unwrap_or(0) + 24).collect();
    let mut canvas = Canvas::new(
        GAP + columns as u32 * (width + GAP),
        GAP + row_heights.iter().sum::<u32>() + GAP * row_heights.len().saturating_sub(1) as u32 + GAP / 2,
    );
    let mut y = GAP;
    for (row, height) in items.chunks(columns).zip(&row_heights) {
        for (column, (picture, caption)) in (0u32..).zip(row) {
            let x = GAP + column * (width + GAP);
            canvas.picture(x + (width - picture.width()) / 2, y, picture);
            let below = y + picture.height() + 5;
            canvas.text(x + width / 2, below, caption, Size::Small, Align::Middle, INK);
        }
        y += height + GAP;
    }
    canvas.into_image()
}

/// PNG file of a picture.
pub fn png(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    // Neither the in-memory writer nor an RGB picture of matching size gives the encoder a reason to fail.
    picture.write_to(&mut bytes, image::ImageFormat::Png).expect("PNG encoding into memory");
    bytes.into_inner()
}

/// [`colormap::diverging`] of a value under a symmetric scale.
pub(super) fn signed(value: f32, scale: f32) -> Rgb {
    colormap::diverging(colormap::relative(value, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_crisp_and_clipped() {
        let mut canvas = Canvas::new(10, 7);
        canvas.cells(1, 1, 2, 3, 3, |r, c| [r as u8 * 100, c as u8 * 100, 0]);
        let image = canvas.into_image();
        assert_eq!(image.dimensions(), (10, 7));
        assert_eq!(image.get_pixel(0, 0).0, PAPER);
        for (x, y) in [(1, 1), (3, 3)] {
            assert_eq!(image.get_pixel(x, y).0, [0, 0, 0]);
        }
        assert_eq!(image.get_pixel(4, 4).0, [100, 100, 0]);
        assert_eq!(image.get_pixel(9, 6).0, [100, 200, 0]);
    }

    #[test]
    fn text_leaves_ink_where_it_should() {
        let ink = |align| {
            let mut canvas = Canvas::new(60, 20);
            canvas.text(30, 0, "ab", Size::Small, align, INK);
            let image = canvas.into_image();
            let dark = image.enumerate_pixels().filter(|(_, _, p)| p.0[0] < 200).map(|(x, _, _)| x);
            (dark.clone().min().unwrap(), dark.max().unwrap())
        };
        assert!(ink(Align::Left).0 >= 30 && ink(Align::Right).1 < 30);
        let (left, right) = ink(Align::Middle);
        assert!(left < 30 && right >= 30);
        let mut unknown = Canvas::new(20, 20);
        unknown.text(0, 0, "\u{4e2d}", Size::Small, Align::Left, INK);
        assert!(unknown.into_image().pixels().any(|p| p.0 != PAPER));
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.012_345, "0.0123"),
            (173.4, "173"),
            (99_999.0, "99999"),
            (2.1e6, "2.1e6"),
            (1e-6, "1e-6"),
            (100.0, "100"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn png_round_trips() {
        let picture = RgbImage::from_fn(13, 7, |x, y| [x as u8 * 9, y as u8 * 30, 200].into());
        let back = image::load_from_memory(&png(&picture)).unwrap().into_rgb8();
        assert_eq!(back, picture);
    }

    #[test]
    fn panels_hold_every_picture() {
        let (a, b) = (RgbImage::from_pixel(30, 20, [1, 2, 3].into()), RgbImage::from_pixel(40, 10, [9, 9, 9].into()));
        let sheet = panels(&[(&a, "a"), (&b, "b"), (&a, "c")], 2);
        let count = |c: Rgb| sheet.pixels().filter(|p| p.0 == c).count();
        assert_eq!((count([1, 2, 3]), count([9, 9, 9])), (2 * 600, 400));
    }
}
