//! `data.png`: training pictures as the network sees them, with their labels.

use crate::Result;
use crate::data::Form;
use crate::plural;
use crate::viz::canvas::{Align, Canvas, FAINT, INK, Size, panels};
use crate::viz::png;
use image::{RgbImage, imageops};

/// Pictures on the sheet, and how many stand side by side.
const PICTURES: (usize, usize) = (16, 4);
/// Longest side of a picture on the sheet in pixels, about.
const SIDE: u32 = 144;
/// Characters of a class name that fit under a picture.
const NAME: usize = 18;

impl super::Trainer {
    /// The first training pictures of the first epoch, augmented and normalised, as a PNG. One scale for all: the least
    /// value is black, the largest white; the title says which.
    ///
    /// # Errors
    /// The loader fails.
    pub fn data_png(&self) -> Result<Vec<u8>> {
        let data = self.train.dataset();
        let (mut images, mut labels, mut count) = (Vec::new(), Vec::new(), 0);
        for batch in self.train.in_form(Form::Values).epoch(0, 0) {
            images.extend_from_slice(&batch.images);
            labels.extend_from_slice(&batch.labels);
            count += batch.len;
            if count >= PICTURES.0 {
                break;
            }
        }
        count = count.min(PICTURES.0);
        images.truncate(count * data.pixels());
        #[cfg(not(target_arch = "wasm32"))]
        if data.is_masked() {
            return Ok(png(&sheet(&images, data.shape, &vec![""; count], Some(&labels))));
        }
        labels.truncate(count);
        let names: Vec<&str> = labels.iter().map(|&label| data.class_names[label as usize].as_str()).collect();
        Ok(png(&sheet(&images, data.shape, &names, None)))
    }
}

/// `images` (N, C, H, W) with a name under each; of masks (N, H, W) the right half of each is in the colours of its
/// classes.
fn sheet(images: &[f32], shape: [usize; 3], names: &[&str], masks: Option<&[u32]>) -> RgbImage {
    let [channels, height, width] = shape;
    let (low, high) = images.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    let level = |v: f32| if high > low { ((v - low) / (high - low) * 255.0).round() as u8 } else { 128 };
    let pictures: Vec<RgbImage> = images
        .chunks_exact((channels * height * width).max(1))
        .enumerate()
        .map(|(i, image)| {
            // One channel is shown as grey; of more the first three.
            let value = |c: usize, x: u32, y: u32| {
                level(image[(c.min(channels - 1) * height + y as usize) * width + x as usize])
            };
            let class = |x: u32, y: u32| {
                let at = (i * height + y as usize) * width + x as usize;
                masks.filter(|_| 2 * x as usize >= width).map(|masks| class_colour(masks[at]))
            };
            let picture = RgbImage::from_fn(width as u32, height as u32, |x, y| {
                let seen = [0, 1, 2].map(|c| value(c, x, y));
                // The picture shines through, so that both can be seen to agree.
                let mixed = |colour: [u8; 3]| {
                    std::array::from_fn(|c| ((u16::from(seen[c]) + 2 * u16::from(colour[c])) / 3) as u8)
                };
                class(x, y).map_or(seen, mixed).into()
            });
            let scale = f64::from(SIDE) / height.max(width) as f64;
            let side = |side: usize| ((side as f64 * if scale > 1.0 { scale.floor() } else { scale }) as u32).max(1);
            let filter = if scale > 1.0 { imageops::FilterType::Nearest } else { imageops::FilterType::Triangle };
            imageops::resize(&picture, side(width), side(height), filter)
        })
        .collect();
    let captions: Vec<String> = names.iter().map(|name| shortened(name)).collect();
    let items: Vec<(&RgbImage, &str)> = pictures.iter().zip(&captions).map(|(p, c)| (p, c.as_str())).collect();
    let grid = panels(&items, PICTURES.1);
    let title = match masks {
        Some(_) => "training pictures as the network sees them, their right halves under their masks",
        None => "training pictures as the network sees them",
    };
    let lines = [
        (title.to_owned(), Size::Medium, INK),
        (
            format!("{height} x {width}, {}; black {low:.2}, white {high:.2}", plural::count(channels, "channel")),
            Size::Small,
            FAINT,
        ),
    ];
    let wide = lines.iter().map(|(text, size, _)| size.width(text) + 28).max().unwrap_or(0);
    let mut canvas = Canvas::new(grid.width().max(wide), grid.height() + 56);
    let mut y = 12;
    for (text, size, colour) in &lines {
        canvas.text(14, y, text, *size, Align::Left, *colour);
        y += size.height() + 2;
    }
    canvas.picture(0, 56, &grid);
    canvas.into_image()
}

#[cfg(not(target_arch = "wasm32"))]
fn class_colour(class: u32) -> [u8; 3] {
    crate::data::mask::colour(class.min(255) as u8)
}

#[cfg(target_arch = "wasm32")]
fn class_colour(_: u32) -> [u8; 3] {
    [0; 3]
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(NAME) {
        Some(_) => name.chars().take(NAME - 2).chain("..".chars()).collect(),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_keep_their_colours_and_names_are_cut() {
        // Red and green planes of one image, 1x2: red on the left, green on the right.
        let images = [1.0, -1.0, -1.0, 1.0, -1.0, -1.0];
        let picture = sheet(&images, [3, 1, 2], &["a name that is far too long to fit"], None);
        let count = |colour: [u8; 3]| picture.pixels().filter(|p| p.0 == colour).count();
        assert_eq!((count([255, 0, 0]), count([0, 255, 0])), (72 * 72, 72 * 72));
        assert_eq!(shortened("a name that is far too long"), "a name that is f..");
        assert_eq!(shortened("caf\u{e9}"), "caf\u{e9}");
    }
}
