//! What random changes make of an image.

use super::Augment;
use crate::ops::VIEW;
use crate::rng::Rng;
use std::ops::Range;

/// What the network sees of an image.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View {
    /// Offset of the window from the image, down and right; beyond the image is black.
    pub down: isize,
    pub right: isize,
    pub flip: bool,
    /// The part that is stretched over the image.
    pub part: Option<Part>,
    /// Middle of a blank square, down and right, and its side.
    pub blank: Option<([usize; 2], usize)>,
}

/// A rectangle of an image, which may reach beyond it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Part {
    pub top: isize,
    pub left: isize,
    pub height: usize,
    pub width: usize,
}

impl Part {
    /// As PyTorch's `RandomResizedCrop` chooses it: area, then the ratio of the sides, until they fit, at most ten
    /// times; then the middle.
    fn random([height, width]: [usize; 2], rng: &mut Rng) -> Self {
        let ratios = [3.0 / 4.0, 4.0 / 3.0f32];
        for _ in 0..10 {
            let area = (height * width) as f32 * rng.range(0.08, 1.0);
            let ratio = rng.range(ratios[0].ln(), ratios[1].ln()).exp();
            let (h, w) = ((area / ratio).sqrt().round() as usize, (area * ratio).sqrt().round() as usize);
            if (1..=height).contains(&h) && (1..=width).contains(&w) {
                let [top, left] = [rng.below(height - h + 1), rng.below(width - w + 1)].map(|at| at as isize);
                return Self { top, left, height: h, width: w };
            }
        }
        let h = height.min((width as f32 / ratios[0]).round() as usize);
        let w = width.min((height as f32 * ratios[1]).round() as usize);
        let [top, left] = [(height - h) / 2, (width - w) / 2].map(|at| at as isize);
        Self { top, left, height: h, width: w }
    }

    /// What is seen of an image that is resized to 0.5 to 2 times, both sides alike, and brought back to its size: cut
    /// at a random place where it is larger, put there where it is smaller (torchvision's `RandomResize` and
    /// `RandomCrop`).
    fn resized([height, width]: [usize; 2], rng: &mut Rng) -> Self {
        let scale = rng.range(0.5, 2.0);
        let part = [height, width].map(|side| ((side as f32 / scale).round() as usize).max(1));
        let mut start = |side: usize, part: usize| {
            let at = rng.below(side.abs_diff(part) + 1) as isize;
            if part > side { -at } else { at }
        };
        let (top, left) = (start(height, part[0]), start(width, part[1]));
        Self { top, left, height: part[0], width: part[1] }
    }

    /// Around place `i` of the `size` that `part` pixels from `start` on are stretched over: two pixels, and the share
    /// of the second; nothing beyond the image. A pixel's value is in its middle (PyTorch's `align_corners=False`).
    fn around(i: usize, size: usize, start: isize, part: usize) -> Option<([usize; 2], f32)> {
        let at = (i as f32 + 0.5) * part as f32 / size as f32 - 0.5;
        // The image within the part; in whole numbers, which do not round.
        let (begin, end) = (-start, (size as isize - start).min(part as isize));
        if !(begin..end).contains(&(((2 * i + 1) * part / (2 * size)) as isize)) {
            return None;
        }
        let at = at.clamp(begin.max(0) as f32, (end - 1) as f32);
        let first = at.floor() as isize;
        let pixels = [first, (first + 1).min(end - 1)].map(|pixel| (start + pixel) as usize);
        Some((pixels, at - first as f32))
    }

    /// The pixel of an image of (height, width) that is nearest to (y, x) of this part stretched over it, where it is
    /// in the image.
    pub fn nearest(&self, [height, width]: [usize; 2], [y, x]: [usize; 2]) -> Option<[usize; 2]> {
        // Half-way, in whole numbers: floor((i + 1/2) part / whole).
        let at = |i: usize, size: usize, start: isize, part: usize| {
            start.checked_add_unsigned((2 * i + 1) * part / (2 * size)).filter(|at| (0..size as isize).contains(at))
        };
        let (y, x) = (at(y, height, self.top, self.height)?, at(x, width, self.left, self.width)?);
        Some([y as usize, x as usize])
    }

    /// The value at (y, x) of this part stretched to (height, width), bilinear, of a plane of that size, where it is in
    /// the image.
    pub fn sample(&self, [height, width]: [usize; 2], [y, x]: [usize; 2], value: impl Fn(usize) -> f32) -> Option<f32> {
        let ([above, below], down) = Self::around(y, height, self.top, self.height)?;
        let ([left, right], across) = Self::around(x, width, self.left, self.width)?;
        let row = |y: usize| value(y * width + left) * (1.0 - across) + value(y * width + right) * across;
        Some(row(above) * (1.0 - down) + row(below) * down)
    }
}

impl View {
    /// A view as `augment` allows, of an image of this shape.
    pub fn random(augment: &Augment, [_, height, width]: [usize; 3], mut rng: Rng) -> Self {
        let pad = augment.pad;
        let mut offset = || rng.below(2 * pad + 1) as isize - pad as isize;
        let (down, right) = (offset(), offset());
        let flip = augment.flip && rng.below(2) == 1;
        let blank = (augment.cutout > 0).then(|| ([rng.below(height), rng.below(width)], augment.cutout));
        let part = if augment.resized_crop {
            Some(Part::random([height, width], &mut rng))
        } else {
            augment.random_resize.then(|| Part::resized([height, width], &mut rng))
        };
        Self { down, right, flip, part, blank }
    }

    /// Columns of row `y` that are blank.
    pub fn blank(&self, y: usize, width: usize) -> Range<usize> {
        match self.blank_rectangle() {
            Some([rows, columns]) if rows.contains(&y) => columns.start..columns.end.min(width),
            _ => 0..0,
        }
    }

    /// Rows and columns that are blank, as far as there are any.
    fn blank_rectangle(&self) -> Option<[Range<usize>; 2]> {
        let (middle, side) = self.blank?;
        // Of an even side, the middle is the first pixel of the second half.
        Some(middle.map(|middle| middle.saturating_sub(side / 2)..middle + side.div_ceil(2)))
    }

    /// As [`image_batch`](crate::ops::image_batch) takes it.
    pub fn numbers(&self) -> [i32; VIEW] {
        let Part { top, left, height, width } = self.part.unwrap_or_default();
        let [rows, columns] = self.blank_rectangle().unwrap_or_default();
        let part = [top as i32, left as i32, height as i32, width as i32];
        let blank = [rows.start, columns.start, rows.end, columns.end].map(|side| side as i32);
        let mut numbers = [0; VIEW];
        numbers[..3].copy_from_slice(&[self.down as i32, self.right as i32, i32::from(self.flip)]);
        numbers[4..8].copy_from_slice(&part);
        numbers[8..].copy_from_slice(&blank);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_all_sizes_and_lie_within() {
        let mut seen = [usize::MAX, 0];
        for i in 0..2000 {
            let side = [40, 30];
            let Part { top, left, height, width } = Part::random(side, &mut Rng::new(0).fork(i));
            let ends =
                [top, left].map(|at| at.unsigned_abs()).into_iter().zip([height, width]).map(|(at, size)| at + size);
            assert!(
                top >= 0 && left >= 0 && ends.zip(side).all(|(end, side)| end <= side) && height * width > 0,
                "{i}"
            );
            let area = height * width;
            assert!(
                (80..=1200).contains(&area) && (0.7..1.45).contains(&(width as f32 / height as f32)),
                "{height} x {width}"
            );
            seen = [seen[0].min(area), seen[1].max(area)];
        }
        assert!(seen[0] < 110 && seen[1] > 1000, "{seen:?}");
        // No part of these fits but the middle.
        assert_eq!(Part::random([1, 40], &mut Rng::new(0)), Part { top: 0, left: 19, height: 1, width: 1 });
    }

    #[test]
    fn a_whole_image_stays_and_a_part_is_stretched() {
        let plane: Vec<f32> = (0..16).map(|v| v as f32).collect();
        let show = |part: Part| -> Vec<f32> {
            (0..16).map(|i| part.sample([4, 4], [i / 4, i % 4], |at| plane[at]).unwrap_or(-1.0)).collect()
        };
        assert_eq!(show(Part { top: 0, left: 0, height: 4, width: 4 }), plane);
        // As torch.nn.functional.interpolate([[5, 6], [9, 10]], size=(4, 4), mode="bilinear") has it.
        let rows = [5.0, 6.0, 8.0, 9.0];
        let wanted: Vec<f32> = rows.iter().flat_map(|row| [0.0, 0.25, 0.75, 1.0].map(|x| row + x)).collect();
        let part = Part { top: 1, left: 1, height: 2, width: 2 };
        assert_eq!(show(part), wanted);
        let nearest: Vec<[usize; 2]> = (0..4).flat_map(|i| part.nearest([4, 4], [i, i])).collect();
        assert_eq!(nearest, [[1, 1], [1, 1], [2, 2], [2, 2]]);
        // Half as large and a pixel from the corner: means of 2x2 pixels, and nothing around.
        let part = Part { top: -2, left: -2, height: 8, width: 8 };
        let [a, b, c, d] = [2.5, 4.5, 10.5, 12.5];
        let n = -1.0;
        assert_eq!(show(part), [n, n, n, n, n, a, b, n, n, c, d, n, n, n, n, n]);
        let nearest: Vec<_> = (0..4).map(|i| part.nearest([4, 4], [i, i])).collect();
        assert_eq!(nearest, [None, Some([1, 1]), Some([3, 3]), None]);
    }

    #[test]
    fn images_are_resized_from_half_to_twice_their_size_and_stay_whole_or_full() {
        let mut seen = [f32::MAX, 0.0];
        for i in 0..2000 {
            let Part { top, left, height, width } = Part::resized([40, 30], &mut Rng::new(0).fork(i));
            for (start, part, side) in [(top, height, 40), (left, width, 30)] {
                let (end, side) = (start + part as isize, side as isize);
                assert!((start >= 0 && end <= side) || (start <= 0 && end >= side), "{start} to {end} of {side}");
            }
            let scale = 40.0 / height as f32;
            assert!((scale - 30.0 / width as f32).abs() < 0.1, "{height} x {width}");
            seen = [seen[0].min(scale), seen[1].max(scale)];
        }
        assert!(seen[0] < 0.51 && seen[1] > 1.95 && seen[1] <= 2.0, "{seen:?}");
    }

    #[test]
    fn every_offset_and_both_sides_occur() {
        let augment = Augment { pad: 1, flip: true, ..Augment::NONE };
        let mut seen = std::collections::BTreeSet::new();
        for i in 0..400 {
            let view = View::random(&augment, [1, 2, 3], Rng::new(0).fork(i));
            seen.insert((view.down, view.right, view.flip));
        }
        assert_eq!(seen.len(), 18);
        assert!(seen.iter().all(|(d, r, _)| d.abs() <= 1 && r.abs() <= 1));
    }
}
