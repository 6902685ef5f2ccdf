//! Signed numbers as coloured half blocks: two pixels a cell, one above the other.

use crate::viz::{colormap::symmetric_scale, diverging, relative};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// 24 bits.
    True,
    /// The 6 x 6 x 6 cube and 24 greys of 256-colour terminals.
    Indexed,
}

impl Depth {
    /// What the environment says: `COLORTERM` names true colour; anything else is taken to have 256 colours.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let names = ["truecolor", "24bit"];
        let told = variable("COLORTERM").is_some_and(|text| names.iter().any(|name| text.contains(name)));
        // Windows Terminal does not set COLORTERM.
        if told || variable("WT_SESSION").is_some() { Self::True } else { Self::Indexed }
    }

    /// The colour, or the nearest one that there is.
    pub fn color(self, [r, g, b]: [u8; 3]) -> Color {
        const LEVELS: [i32; 6] = [0, 95, 135, 175, 215, 255];
        if self == Self::True {
            return Color::Rgb(r, g, b);
        }
        let rgb = [r, g, b].map(i32::from);
        let apart = |c: [i32; 3]| c.iter().zip(&rgb).map(|(a, b)| (a - b).pow(2)).sum::<i32>();
        let nearest = |v: i32| (0..6).min_by_key(|i| (LEVELS[*i] - v).abs()).unwrap_or(0);
        let [r, g, b] = rgb.map(nearest);
        let cube = (apart([LEVELS[r], LEVELS[g], LEVELS[b]]), 16 + 36 * r + 6 * g + b);
        let grey = (0..24).map(|i| (apart([8 + 10 * i; 3]), 232 + i as usize)).min().unwrap_or(cube);
        Color::Indexed(cube.min(grey).1 as u8)
    }
}

/// Kernels as tiles of square pixels.
#[derive(Clone, Debug)]
pub(super) struct Tiles {
    /// (rows, columns) of tiles.
    pub grid: [usize; 2],
    /// Side of a tile.
    pub k: usize,
    /// (row, column, k, k).
    pub values: Vec<f32>,
}

impl Tiles {
    /// Kernels (channels, channels, k, k): all of them for up to 4 channels; otherwise each channel's own, in 8
    /// columns.
    pub fn new(channels: usize, k: usize, kernels: &[f32]) -> Option<Self> {
        let area = k * k;
        if area == 0 || channels == 0 || kernels.len() != channels * channels * area {
            return None;
        }
        if channels <= 4 {
            return Some(Self { grid: [channels, channels], k, values: kernels.to_vec() });
        }
        let own = (0..channels).flat_map(|c| &kernels[(c * channels + c) * area..][..area]).copied();
        Some(Self { grid: [channels.div_ceil(8), channels.min(8)], k, values: own.collect() })
    }

    /// Pixels of the whole at a zoom, a gap of one zoomed pixel between tiles: (width, height).
    fn size(&self, zoom: usize) -> (usize, usize) {
        let side = |n: usize| (n * (self.k + 1) - 1) * zoom;
        (side(self.grid[1]), side(self.grid[0]))
    }

    /// Value at a pixel of zoom 1; `None` in a gap or behind the last tile.
    fn at(&self, x: usize, y: usize) -> Option<f32> {
        let pitch = self.k + 1;
        let (column, row, u, v) = (x / pitch, y / pitch, x % pitch, y % pitch);
        let inside = u < self.k && v < self.k && column < self.grid[1];
        let tile = row * self.grid[1] + column;
        inside.then(|| self.values.get((tile * self.k + v) * self.k + u).copied())?
    }

    /// The symmetric scale.
    pub fn scale(&self) -> f32 {
        symmetric_scale(&self.values)
    }

    /// Draws as large as fits, from the upper left corner; false when not even zoom 1 fits.
    pub fn draw(&self, area: Rect, buffer: &mut Buffer, depth: Depth) -> bool {
        let room = (usize::from(area.width), 2 * usize::from(area.height));
        let fits = |zoom: &usize| self.size(*zoom).0 <= room.0 && self.size(*zoom).1 <= room.1;
        let Some(zoom) = (1..=12).rev().find(fits) else { return false };
        let ((width, height), scale) = (self.size(zoom), self.scale());
        let pixel = |x: usize, y: usize| {
            let value = (y < height).then(|| self.at(x / zoom, y / zoom))??;
            // As on the sheets: by the square root, or a surround would be nearly white.
            let t = relative(value, scale);
            Some(depth.color(diverging(t.signum() * t.abs().sqrt())))
        };
        for (y, x) in (0..height.div_ceil(2)).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let Some(cell) = buffer.cell_mut((area.x + x as u16, area.y + y as u16)) else { continue };
            match (pixel(x, 2 * y), pixel(x, 2 * y + 1)) {
                (Some(upper), Some(lower)) => cell.set_symbol("\u{2580}").set_fg(upper).set_bg(lower),
                (Some(upper), None) => cell.set_symbol("\u{2580}").set_fg(upper),
                (None, Some(lower)) => cell.set_symbol("\u{2584}").set_fg(lower),
                (None, None) => continue,
            };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_fall_back_to_the_nearest_of_256() {
        assert_eq!(Depth::True.color([1, 2, 3]), Color::Rgb(1, 2, 3));
        assert_eq!(Depth::Indexed.color([255, 0, 0]), Color::Indexed(196));
        assert_eq!(Depth::Indexed.color([0xf7, 0xf7, 0xf7]), Color::Indexed(231));
        assert_eq!(Depth::Indexed.color([128, 128, 128]), Color::Indexed(244));
        let of = |name: &'static str, value: &'static str| {
            Depth::detect(move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(of("COLORTERM", "truecolor"), Depth::True);
        assert_eq!(of("TERM", "xterm-256color"), Depth::Indexed);
    }

    #[test]
    fn pixels_stand_where_the_numbers_say() {
        let tiles = Tiles::new(1, 3, &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0]).unwrap();
        let area = Rect::new(0, 0, 3, 2);
        let mut buffer = Buffer::empty(area);
        assert!(tiles.draw(area, &mut buffer, Depth::True));
        let color = |t: f32| Depth::True.color(diverging(t));
        assert_eq!((buffer[(1, 0)].fg, buffer[(1, 0)].bg), (color(0.0), color(1.0)));
        assert_eq!((buffer[(2, 1)].fg, buffer[(2, 1)].bg), (color(-1.0), Color::Reset));
        assert!(!tiles.draw(Rect::new(0, 0, 2, 9), &mut buffer, Depth::True));
        assert!(Tiles::new(2, 3, &[0.0; 9]).is_none());
        // Of many channels each one's own kernel.
        let many: Vec<f32> = (0..25).map(|i| i as f32).collect();
        assert_eq!(Tiles::new(5, 1, &many).unwrap().values, [0.0, 6.0, 12.0, 18.0, 24.0]);
    }
}
