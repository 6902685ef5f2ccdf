//! Heat maps of covariance and deconvolution matrices.

use image::RgbImage;

use super::canvas::{Align, COLOR_BAR_WIDTH, Canvas, INK, LINE, Size, signed};
use super::colormap;
use super::kernels::{header, header_height, header_width};
use crate::error::{Error, Result};

const MARGIN: u32 = 24;

/// Largest side that is drawn; beyond it a picture would need more pixels than screens and viewers have.
pub const LARGEST: usize = 4096;

/// A square signed matrix as a picture with a colour bar, the scale symmetric in the largest magnitude.
#[derive(Clone, Debug)]
pub struct MatrixMap<'a> {
    /// Row-major entries, shape (side, side).
    pub values: &'a [f32],
    /// Rows and columns.
    pub side: usize,
    /// Lines are drawn after every so many rows and columns (k k for the channels of a patch); 0 draws none.
    pub block: usize,
    /// Headline.
    pub title: &'a str,
    /// One more line, such as condition number and whiteness; may be empty.
    pub note: &'a str,
    /// Names of the blocks, for both axes; may be empty.
    pub labels: &'a [&'a str],
}

impl MatrixMap<'_> {
    /// Draws the map.
    pub fn draw(&self) -> Result<RgbImage> {
        let Self { values, side, block, .. } = *self;
        if side == 0 || side > LARGEST || values.len() != side * side {
            return Err(Error::shape(
                "matrix map",
                format!(
                    "expected a square matrix with a side of 1 to {LARGEST}, found side {side} with {} numbers; \
                     pass all rows of one square matrix, or one block of it",
                    values.len()
                ),
            ));
        }
        let scale = colormap::symmetric_scale(values);
        let cell = (560 / side as u32).max(1);
        // Lines lie between the cells, so that they hide none.
        let lines = if block > 0 && block < side { (side - 1) / block } else { 0 } as u32;
        let extent = side as u32 * cell + lines;
        let place = |i: usize| i as u32 * cell + if lines > 0 { (i / block) as u32 } else { 0 };
        let band = self.labels.iter().map(|l| Size::Small.width(l)).max().map_or(0, |w| w + 10);
        let above = if band > 0 { 24 } else { 0 };
        let head = header_height(self.note);
        let (left, top) = (MARGIN + band, head + above);
        let width = (left + extent + 28 + COLOR_BAR_WIDTH + MARGIN).max(header_width(self.title, self.note));
        let mut canvas = Canvas::new(width, top + extent.max(120) + MARGIN);
        header(&mut canvas, self.title, self.note);
        canvas.fill(left, top, extent, extent, [0x8a, 0x92, 0x9c]);
        for row in 0..side {
            for column in 0..side {
                let color = signed(values[row * side + column], scale);
                canvas.fill(left + place(column), top + place(row), cell, cell, color);
            }
        }
        canvas.frame(left, top, extent, extent, LINE);
        let step = if block > 0 { block } else { side };
        for (i, label) in self.labels.iter().enumerate().take(side.div_ceil(step)) {
            let (from, to) = (place(i * step), place(((i + 1) * step - 1).min(side - 1)) + cell);
            let middle = (from + to) / 2;
            canvas.text(left + middle, top - 21, label, Size::Small, Align::Middle, INK);
            canvas.text(left - 8, (top + middle).saturating_sub(8), label, Size::Small, Align::Right, INK);
        }
        canvas.color_bar(left + extent + 28, top, extent.clamp(110, 320), scale, colormap::diverging);
        Ok(canvas.into_image())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viz::colormap::{NEUTRAL, diverging};

    fn identity(side: usize) -> Vec<f32> {
        (0..side * side).map(|i| if i / side == i % side { 1.0 } else { 0.0 }).collect()
    }

    #[test]
    fn cells_keep_their_area() {
        let values = identity(12);
        let map = MatrixMap { values: &values, side: 12, block: 4, title: "A", note: "", labels: &["R", "G", "B"] };
        let image = map.draw().unwrap();
        let cell = (560u32 / 12).pow(2) as usize;
        // The colour bar and the text add a few pixels of either colour.
        let near = |c, n: usize| (n..n + 400).contains(&image.pixels().filter(|p| p.0 == c).count());
        assert!(near(diverging(1.0), 12 * cell) && near(NEUTRAL, 132 * cell));
    }

    #[test]
    fn large_small_and_wrong() {
        for (side, block) in [(1, 0), (75, 25), (576, 9), (700, 64)] {
            let values = identity(side);
            let map = MatrixMap { values: &values, side, block, title: "D", note: "n", labels: &[] };
            assert!(map.draw().unwrap().height() as usize >= side);
        }
        let wrong = MatrixMap { values: &[0.0; 3], side: 2, block: 0, title: "", note: "", labels: &[] };
        assert!(wrong.draw().unwrap_err().to_string().contains("side 2 with 3 numbers"));
    }
}
