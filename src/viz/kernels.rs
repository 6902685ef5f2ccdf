//! Kernel sheets: what the deconvolution of a first layer does to an image, and what a layer has learned.

use image::RgbImage;

use super::canvas::{Align, COLOR_BAR_WIDTH, Canvas, FAINT, INK, LINE, Size, short};
use super::colormap::{self, diverging};
use crate::error::{Error, Result};

const MARGIN: u32 = 24;
const GAP: u32 = 16;
/// Distance between the two groups of columns.
const WIDE: u32 = 32;
/// Beyond this many input channels only each channel's own kernel is drawn: the others would be specks.
const FULL_ROWS: usize = 4;

/// The kernels that a deconvolution matrix applies to an image: for every channel c the row of D that belongs to c's
/// central tap.
///
/// `deconv` is D, shape (d, d) with d = channels k k in the order (c, kh, kw). Returns shape (channels, channels, k,
/// k): output channel, input channel, row, column. For even k the central tap is the one right and below of the middle.
pub fn central_kernels(deconv: &[f32], channels: usize, k: usize) -> Result<Vec<f32>> {
    let d = channels * k * k;
    if d == 0 || deconv.len() != d * d {
        return Err(Error::shape(
            "central_kernels",
            format!(
                "a deconvolution of {channels} channels and {k} x {k} taps is a {d} x {d} matrix of {} numbers, but {} \
                 were given; pass the D of one block together with that block's channel count and kernel side",
                d * d,
                deconv.len()
            ),
        ));
    }
    let tap = (k / 2) * k + k / 2;
    Ok((0..channels).flat_map(|c| deconv[(c * k * k + tap) * d..][..d].iter().copied()).collect())
}

/// How much a kernel is a centre with an opposite surround.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CenterSurround {
    /// The central tap.
    pub center: f32,
    /// Mean of the ring of 8 around it.
    pub ring_mean: f32,
    /// Largest magnitude in that ring.
    pub ring_max: f32,
}

impl CenterSurround {
    /// Measures one k x k kernel, k at least 3; `None` for smaller ones, which have no surround.
    pub fn of(kernel: &[f32], k: usize) -> Option<Self> {
        if k < 3 || kernel.len() != k * k {
            return None;
        }
        let (mid, mut sum, mut ring_max) = (k / 2, 0.0, 0.0f32);
        for (row, column) in (mid - 1..=mid + 1).flat_map(|r| (mid - 1..=mid + 1).map(move |c| (r, c))) {
            if (row, column) != (mid, mid) {
                sum += kernel[row * k + column];
                ring_max = ring_max.max(kernel[row * k + column].abs());
            }
        }
        Some(Self { center: kernel[mid * k + mid], ring_mean: sum / 8.0, ring_max })
    }

    /// Centre over the largest ring tap, in magnitude.
    pub fn ratio(&self) -> f32 {
        self.center.abs() / self.ring_max
    }
}

/// The sheet `kernels.png`: one row per channel, a tile per input channel, a composite and a profile.
///
/// All tiles share one symmetric scale, so rows compare. Their colour follows the square root of the magnitude (the
/// colour bar's numbers say so): a surround is about a tenth of its centre, and would be nearly white otherwise. The
/// profile, the middle row of the channel's own kernel, is linear, as high as its own peak.
#[derive(Clone, Debug)]
pub struct KernelSheet<'a> {
    /// Shape (channels, channels, k, k): output channel, input channel, row, column; as [`central_kernels`] returns.
    pub kernels: &'a [f32],
    /// Number of channels; 3 are taken for red, green, blue.
    pub channels: usize,
    /// Kernel side.
    pub k: usize,
    /// Headline.
    pub title: &'a str,
    /// One more line under it, such as the data and the iterations; may be empty.
    pub note: &'a str,
    /// The symmetric scale; `None` takes the largest magnitude. Give one to keep it fixed over the frames of a run.
    pub scale: Option<f32>,
}

impl KernelSheet<'_> {
    /// Draws the sheet.
    pub fn draw(&self) -> Result<RgbImage> {
        let Self { channels, k, .. } = *self;
        let need = channels * channels * k * k;
        if need == 0 || self.kernels.len() != need {
            return Err(Error::shape(
                "kernel sheet",
                format!(
                    "{channels} channels with {k} x {k} taps need {need} numbers, shape ({channels}, {channels}, {k}, {k}), \
                     but {} were given; pass what central_kernels returns",
                    self.kernels.len()
                ),
            ));
        }
        let scale = self.scale.unwrap_or_else(|| colormap::symmetric_scale(self.kernels));
        Ok(if channels <= FULL_ROWS { self.rows(scale) } else { self.own_only(scale) })
    }

    fn tile(&self, output: usize, input: usize) -> &[f32] {
        let area = self.k * self.k;
        &self.kernels[(output * self.channels + input) * area..][..area]
    }

    fn rows(&self, scale: f32) -> RgbImage {
        let Self { channels, k, .. } = *self;
        let cell = (150 / k as u32).max(2);
        let side = cell * k as u32;
        let color = channels == 3;
        let profile = 220;
        let left = MARGIN + Size::Medium.width("channel 0") + GAP;
        let composite_x = left + channels as u32 * (side + GAP) - GAP + WIDE;
        let profile_x = composite_x + if color { side + WIDE } else { 0 };
        let bar_x = profile_x + profile + WIDE;
        let head = header_height(self.note);
        let top = head + 26;
        let row_height = side + 34;
        let rows_end = top + channels as u32 * row_height;
        let mut canvas = Canvas::new(bar_x + COLOR_BAR_WIDTH + MARGIN, rows_end + 14);
        header(&mut canvas, self.title, self.note);

        let small = |canvas: &mut Canvas, x, y, text: &str| canvas.text(x, y, text, Size::Small, Align::Middle, FAINT);
        for input in 0..channels {
            let x = left + input as u32 * (side + GAP) + side / 2;
            small(&mut canvas, x, head, &format!("from {}", channel_name(input, channels)));
        }
        if color {
            small(&mut canvas, composite_x + side / 2, head, "composite");
        }
        small(&mut canvas, profile_x + profile / 2, head, "profile of own kernel");

        for output in 0..channels {
            let y = top + output as u32 * row_height;
            let name = channel_name(output, channels);
            canvas.text(left - GAP, y + side / 2 - 10, &name, Size::Medium, Align::Right, INK);
            for input in 0..channels {
                let x = left + input as u32 * (side + GAP);
                let tile = self.tile(output, input);
                canvas.cells(x, y, k, k, cell, |r, c| diverging(root(tile[r * k + c], scale)));
                canvas.frame(x, y, side, side, if input == output { INK } else { LINE });
            }
            if color {
                let mixed = colormap::symmetric_scale(&self.kernels[output * 3 * k * k..][..3 * k * k]);
                canvas.cells(composite_x, y, k, k, cell, |r, c| {
                    std::array::from_fn(|i| colormap::signed_grey(root(self.tile(output, i)[r * k + c], mixed)))
                });
                canvas.frame(composite_x, y, side, side, LINE);
            }
            let own = self.tile(output, output);
            draw_profile(&mut canvas, profile_x, y, profile, side, &own[(k / 2) * k..][..k], scale);
            if let Some(measure) = CenterSurround::of(own, k) {
                let text = format!("centre {}  ring {}", short(measure.center), short(measure.ring_mean));
                small(&mut canvas, profile_x + profile / 2, y + side + 5, &text);
            }
        }
        let bar = rows_end - 34 - top;
        root_bar(&mut canvas, bar_x, top, bar.min(320), scale);
        canvas.into_image()
    }

    fn own_only(&self, scale: f32) -> RgbImage {
        let own: Vec<f32> = (0..self.channels).flat_map(|c| self.tile(c, c).iter().copied()).collect();
        let grid = TileGrid { values: &own, count: self.channels, k: self.k, planes: 1, scale, shape: root };
        let note = format!("each channel's own kernel, channel 0 first{}{}", sep(self.note), self.note);
        let (width, height) = grid.size();
        let head = header_height(&note);
        let full = (MARGIN * 2 + width + WIDE + COLOR_BAR_WIDTH).max(header_width(self.title, &note));
        let mut canvas = Canvas::new(full, head + height.max(height.clamp(120, 320) + 40) + MARGIN);
        header(&mut canvas, self.title, &note);
        grid.draw(&mut canvas, MARGIN, head);
        root_bar(&mut canvas, MARGIN + width + WIDE, head, height.clamp(120, 320), scale);
        canvas.into_image()
    }
}

fn sep(note: &str) -> &'static str {
    if note.is_empty() { "" } else { "; " }
}

/// The learned weights beside the weights in effect, W and W' = W D, as tiles: the two panels have a scale each.
///
/// `weights` and `effective` have shape (outputs, inputs, k, k). With 3 inputs a tile is a colour picture with mid-grey
/// for zero; otherwise a signed tile for each input of an output, the inputs of an output side by side (at most the
/// first 16). At most the first 64 outputs are drawn; the caption says so. A layer without deconvolution has no weights
/// in effect: with an empty `effective` the left panel stands alone.
pub fn weight_sheet(
    weights: &[f32],
    effective: &[f32],
    outputs: usize,
    inputs: usize,
    k: usize,
    title: &str,
) -> Result<RgbImage> {
    let need = outputs * inputs * k * k;
    for (name, values) in [("weights", weights), ("effective weights", effective)] {
        let absent = name != "weights" && values.is_empty();
        if need == 0 || values.len() != need && !absent {
            return Err(Error::shape(
                "weight sheet",
                format!(
                    "{name} of shape ({outputs}, {inputs}, {k}, {k}) are {need} numbers, but {} were given; \
                     check the shape that goes with this layer",
                    values.len()
                ),
            ));
        }
    }
    let planes = if inputs == 3 { 3 } else { 1 };
    let (shown_out, shown_in) = (outputs.min(64), if planes == 3 { 3 } else { inputs.min(16) });
    let pick = |values: &[f32]| -> Vec<f32> {
        let area = k * k;
        (0..shown_out).flat_map(|o| values[o * inputs * area..][..shown_in * area].iter().copied()).collect()
    };
    let before = pick(weights);
    let after = if effective.is_empty() { Vec::new() } else { pick(effective) };
    let count = shown_out * shown_in / planes;
    let per_row = (shown_in > 1 && planes == 1).then_some(shown_in);
    let mut note = format!("{outputs} kernels of {inputs} x {k} x {k}");
    if per_row.is_some() {
        note += ", a row for each output";
    }
    if (shown_out, shown_in) != (outputs, inputs) {
        note += &format!("; the first {shown_out} outputs and {shown_in} inputs are shown");
    }
    let panel = |values| TileGrid {
        values,
        count,
        k,
        planes,
        scale: colormap::symmetric_scale(values),
        shape: colormap::relative,
    };
    let mut panels = vec![(panel(&before), "weights W")];
    if !after.is_empty() {
        panels.push((panel(&after), "in effect W' = W D"));
    }

    let (width, height) = panels[0].0.size_in(per_row);
    let column = (width + GAP + COLOR_BAR_WIDTH).max(Size::Medium.width("in effect W' = W D"));
    let head = header_height(&note);
    let top = head + 30;
    let full = (MARGIN * 2 + panels.len() as u32 * (column + WIDE) - WIDE).max(header_width(title, &note));
    let mut canvas = Canvas::new(full, top + height.max(110) + MARGIN);
    header(&mut canvas, title, &note);
    for (i, (grid, name)) in (0u32..).zip(&panels) {
        let x = MARGIN + i * (column + WIDE);
        canvas.text(x, head, name, Size::Medium, Align::Left, INK);
        grid.draw_in(&mut canvas, x, top, per_row);
        let paint = |t: f32| if planes == 3 { [colormap::signed_grey(t); 3] } else { diverging(t) };
        canvas.color_bar(x + width + GAP, top, height.clamp(100, 240), grid.scale, paint);
    }
    Ok(canvas.into_image())
}

/// `count` tiles of `planes` x k x k numbers each, in a nearly square grid.
struct TileGrid<'a> {
    values: &'a [f32],
    count: usize,
    k: usize,
    planes: usize,
    scale: f32,
    /// From a value and the scale to -1..=1.
    shape: fn(f32, f32) -> f32,
}

impl TileGrid<'_> {
    const GAP: u32 = 6;

    fn cell(&self) -> u32 {
        let goal = match self.count {
            0..=16 => 80,
            17..=64 => 56,
            65..=256 => 32,
            _ => 20,
        };
        (goal / self.k as u32).max(1)
    }

    fn layout(&self, per_row: Option<usize>) -> (usize, usize) {
        // Nearly square, a little wider where that fills the last row.
        let square = (self.count as f32).sqrt().ceil() as usize;
        let full = (square..=square + square / 2).find(|c| self.count.is_multiple_of((*c).max(1)));
        let columns = per_row.or(full).unwrap_or(square).max(1);
        (columns, self.count.div_ceil(columns))
    }

    fn size(&self) -> (u32, u32) {
        self.size_in(None)
    }

    fn size_in(&self, per_row: Option<usize>) -> (u32, u32) {
        let (columns, rows) = self.layout(per_row);
        let pitch = self.cell() * self.k as u32 + Self::GAP;
        (columns as u32 * pitch - Self::GAP, rows as u32 * pitch - Self::GAP)
    }

    fn draw(&self, canvas: &mut Canvas, x: u32, y: u32) {
        self.draw_in(canvas, x, y, None);
    }

    fn draw_in(&self, canvas: &mut Canvas, x: u32, y: u32, per_row: Option<usize>) {
        let (columns, _) = self.layout(per_row);
        let (k, area, cell) = (self.k, self.k * self.k, self.cell());
        let pitch = cell * k as u32 + Self::GAP;
        for i in 0..self.count {
            let tile = &self.values[i * self.planes * area..][..self.planes * area];
            let (left, top) = (x + (i % columns) as u32 * pitch, y + (i / columns) as u32 * pitch);
            canvas.cells(left, top, k, k, cell, |r, c| {
                let at = |plane: usize| tile[plane * area + r * k + c];
                if self.planes == 3 {
                    std::array::from_fn(|p| colormap::signed_grey((self.shape)(at(p), self.scale)))
                } else {
                    diverging((self.shape)(at(0), self.scale))
                }
            });
            canvas.frame(left, top, cell * k as u32, cell * k as u32, LINE);
        }
    }
}

/// Bars of one kernel row around a zero line: the Mexican hat, when it is one.
fn draw_profile(canvas: &mut Canvas, x: u32, y: u32, width: u32, height: u32, row: &[f32], scale: f32) {
    let peak = row.iter().fold(0.0f32, |m, &v| m.max(v));
    let dip = row.iter().fold(0.0f32, |m, &v| m.max(-v));
    let span = (peak + dip).max(f32::MIN_POSITIVE);
    let zero = (peak / span * (height - 1) as f32).round() as u32;
    let step = width / row.len() as u32;
    for (i, &value) in (0u32..).zip(row) {
        let length = (value.abs() / span * (height - 1) as f32).round() as u32;
        let top = if value >= 0.0 { zero - length.min(zero) } else { zero };
        let left = x + i * step + step / 8;
        canvas.fill(left, y + top, step - step / 4, length, diverging(root(value, scale)));
        canvas.frame(left, y + top, step - step / 4, length, FAINT);
    }
    canvas.fill(x, y + zero, step * row.len() as u32, 1, INK);
}

/// Signed square root of `value / scale`.
fn root(value: f32, scale: f32) -> f32 {
    let part = colormap::relative(value, scale);
    part.abs().sqrt().copysign(part)
}

/// The colour bar of [`root`]: evenly spaced colours, hence unevenly spaced numbers.
fn root_bar(canvas: &mut Canvas, x: u32, y: u32, height: u32, scale: f32) {
    let marks = [1.0f32, 0.5, 0.1, 0.0, -0.1, -0.5, -1.0].map(|part| (root(part, 1.0), part * scale));
    canvas.color_bar_with(x, y, height, &marks, diverging);
    canvas.text(x - 2, y + height + 8, "square-root", Size::Small, Align::Left, FAINT);
    canvas.text(x - 2, y + height + 24, "colours", Size::Small, Align::Left, FAINT);
}

fn channel_name(channel: usize, channels: usize) -> String {
    match (channels, channel) {
        (1, _) => "grey".into(),
        (3, 0) => "red".into(),
        (3, 1) => "green".into(),
        (3, 2) => "blue".into(),
        _ => format!("channel {channel}"),
    }
}

pub(super) fn header_height(note: &str) -> u32 {
    MARGIN + 32 + if note.is_empty() { 8 } else { 30 }
}

pub(super) fn header_width(title: &str, note: &str) -> u32 {
    2 * MARGIN + Size::Title.width(title).max(Size::Small.width(note))
}

pub(super) fn header(canvas: &mut Canvas, title: &str, note: &str) {
    canvas.text(MARGIN, MARGIN - 4, title, Size::Title, Align::Left, INK);
    canvas.text(MARGIN, MARGIN + 26, note, Size::Small, Align::Left, FAINT);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viz::colormap::{NEUTRAL, Rgb};

    /// A centre of 8 with a ring of -1 in each own channel, nothing elsewhere.
    fn hats(channels: usize, k: usize) -> Vec<f32> {
        let mut all = vec![0.0; channels * channels * k * k];
        for c in 0..channels {
            let tile = &mut all[(c * channels + c) * k * k..][..k * k];
            for (r, s) in (k / 2 - 1..=k / 2 + 1).flat_map(|r| (k / 2 - 1..=k / 2 + 1).map(move |s| (r, s))) {
                tile[r * k + s] = if (r, s) == (k / 2, k / 2) { 8.0 } else { -1.0 };
            }
        }
        all
    }

    #[test]
    fn central_rows_are_picked_from_the_matrix() {
        let (channels, k) = (2, 3);
        let d = channels * k * k;
        let matrix: Vec<f32> = (0..d * d).map(|i| i as f32).collect();
        let kernels = central_kernels(&matrix, channels, k).unwrap();
        assert_eq!(kernels.len(), channels * d);
        assert_eq!(kernels[0], (4 * d) as f32);
        assert_eq!(kernels[d], ((9 + 4) * d) as f32);
        assert!(central_kernels(&matrix, 3, 3).unwrap_err().to_string().contains("27 x 27"));
    }

    #[test]
    fn center_surround_is_measured() {
        let hat = CenterSurround::of(&hats(1, 5), 5).unwrap();
        assert_eq!((hat.center, hat.ring_mean, hat.ring_max), (8.0, -1.0, 1.0));
        assert_eq!(hat.ratio(), 8.0);
        assert_eq!(CenterSurround::of(&[1.0], 1), None);
    }

    #[test]
    fn the_sheet_shows_zero_neutral_and_both_signs_on_one_scale() {
        for channels in [1, 3, 8] {
            let kernels = hats(channels, 5);
            let sheet = KernelSheet { kernels: &kernels, channels, k: 5, title: "t", note: "", scale: None };
            let image = sheet.draw().unwrap();
            let count = |c: Rgb| image.pixels().filter(|p| p.0 == c).count();
            assert!(count(NEUTRAL) > 100, "no neutral cells for {channels} channels");
            assert!(count(diverging(1.0)) > 100 && count(diverging(root(-1.0, 8.0))) > 100);
            let fixed = KernelSheet { scale: Some(16.0), ..sheet }.draw().unwrap();
            assert!(fixed.pixels().filter(|p| p.0 == diverging(root(8.0, 16.0))).count() > 100);
            assert_eq!(fixed.dimensions(), image.dimensions());
        }
    }

    #[test]
    fn all_sizes_and_empty_values_draw() {
        for k in [1, 2, 3, 7, 11, 31] {
            let kernels = vec![0.0; 9 * k * k];
            let sheet = KernelSheet { kernels: &kernels, channels: 3, k, title: "zero", note: "n", scale: None };
            assert!(sheet.draw().unwrap().width() > 300);
        }
        let wrong = KernelSheet { kernels: &[0.0; 5], channels: 3, k: 3, title: "", note: "", scale: None };
        assert!(wrong.draw().unwrap_err().to_string().contains("81"));
    }

    #[test]
    fn weights_draw_in_colour_and_signed() {
        for (outputs, inputs, k) in [(16, 3, 5), (6, 1, 5), (100, 40, 3), (1, 3, 1)] {
            let weights: Vec<f32> = (0..outputs * inputs * k * k).map(|i| (i as f32).sin()).collect();
            let image = weight_sheet(&weights, &weights, outputs, inputs, k, "layer").unwrap();
            assert!(image.width() > 200 && image.height() > 100 && image.width() < 2600);
        }
        assert!(weight_sheet(&[0.0; 4], &[0.0; 4], 1, 1, 3, "x").is_err());
    }
}
