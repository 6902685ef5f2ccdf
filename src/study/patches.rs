//! Mean and covariance of all patches of photographs, streamed through the GPU.
//!
//! Two passes. The first adds up the samples on the host, exactly enough to know every entry's mean to `f64`. The
//! second gives tiles less the mean colour to the GPU, which gathers their patches and returns sums of products over
//! the tile; these are added in `f64`, and what separates each entry's own mean from the mean colour is taken off at
//! the end:
//!
//! `C = 1/R sum (x - m)(x - m)^T - (mu - m)(mu - m)^T`, with `mu - m` near 0, so that nothing cancels.

use super::photos::PhotoSet;
use super::tiles::{self, Runner, Tile};
use crate::gpu::Gpu;
use crate::ops::{self, BlockLayout, Sampling};
use crate::tape::{DType, Tape};
use crate::viz::Photo;
use crate::{Error, Result};

/// Mean and covariance of k x k RGB patches; entries in the order (c, kh, kw).
#[derive(Clone, Debug, PartialEq)]
pub struct PatchStatistics {
    /// Kernel side, k.
    pub k: usize,
    /// Number of patches.
    pub patches: u64,
    /// Mean of each entry, (d) with d = 3 k k.
    pub mean: Vec<f64>,
    /// Covariance without regularisation, divided by the number of patches, (d,d).
    pub covariance: Vec<f64>,
    /// Mean of each colour over all pixels.
    pub color: [f64; 3],
}

impl PatchStatistics {
    /// Entries of a patch, d.
    pub fn d(&self) -> usize {
        3 * self.k * self.k
    }

    /// `C + eps I`.
    pub fn regularised(&self, eps: f64) -> Vec<f64> {
        let (d, mut a) = (self.d(), self.covariance.clone());
        (0..d).for_each(|i| a[i * d + i] += eps);
        a
    }
}

/// Mean and covariance of every `k` x `k` patch (stride 1, inside the image) of all photographs together.
///
/// Each photograph is decoded once or twice; on the GPU P d^2 multiply-adds for P patches, in tiles of 16 MB.
/// `progress` is told how many of the photographs' patches are done, and of how many.
///
/// # Errors
/// A photograph cannot be read or is smaller than a patch; there is no photograph.
pub async fn patch_statistics(
    gpu: &Gpu,
    photos: &PhotoSet,
    k: usize,
    mut progress: impl FnMut(u64, u64),
) -> Result<PatchStatistics> {
    if photos.is_empty() || k == 0 {
        return Err(Error::Usage(format!(
            "expected at least one photograph and a kernel size of at least 1, found {} and {k}",
            photos.len()
        )));
    }
    let mut sums = Sums::new(k);
    for index in 0..photos.len() {
        sums.add(&*photos.load(index, k)?);
    }
    let color = sums.color();
    let mean = sums.mean();
    let d = 3 * k * k;
    let mut total = vec![0.0; d * d];
    let mut runner = Runner::new(gpu);
    let mut finished = 0;
    for index in 0..photos.len() {
        let photo = photos.load(index, k)?;
        let tiles = tiles::cut(photo.width() - k + 1, photo.height() - k + 1, d);
        let input = |tile: &Tile| vec![centred(&photo, tile, k, color)];
        let add = |tile: &Tile, gram: &[f32]| {
            total.iter_mut().zip(gram).for_each(|(sum, v)| *sum += f64::from(*v));
            finished += (tile.width * tile.height) as u64;
            progress(finished, sums.patches);
        };
        runner.run(&tiles, |size| gram_tape(size, k), input, add).await?;
    }
    let shift: Vec<f64> = mean.iter().enumerate().map(|(i, v)| v - color[i / (k * k)]).collect();
    let covariance: Vec<f64> =
        (0..d * d).map(|i| total[i] / sums.patches as f64 - shift[i / d] * shift[i % d]).collect();
    if !covariance.iter().all(|v| v.is_finite()) {
        return Err(Error::Run("the covariance on this adapter is not finite; try another one with `device`".into()));
    }
    Ok(PatchStatistics { k, patches: sums.patches, mean, covariance, color })
}

/// Sum of products of all patches of a tile: (3, h + k - 1, w + k - 1) to (d, d).
fn gram_tape([width, height]: [usize; 2], k: usize) -> Result<Tape> {
    let d = 3 * k * k;
    let layout = BlockLayout { channels: 3, kernel: k, groups: 1, blocks: 1, d, pooled: false, interleaved: false };
    let sampling =
        if k == 1 { Sampling::Pixels { step: 1 } } else { Sampling::Grid { step: 1, padding: 0, dilation: 1 } };
    let mut tape = Tape::new();
    let image = tape.input("tile", &[1, 3, height + k - 1, width + k - 1], DType::F32);
    let image = ops::to_vec4(&mut tape, image)?;
    let rows = ops::im2col_blocks(&mut tape, image, layout, sampling)?;
    let gram = ops::gram(&mut tape, rows, rows)?;
    tape.output(gram);
    Ok(tape)
}

/// The pixels under a tile's patches less the mean colour, planes one after another.
fn centred(photo: &Photo, tile: &Tile, k: usize, color: [f64; 3]) -> Vec<f32> {
    let mut planes = photo.tile(tile.x, tile.y, tile.width + k - 1, tile.height + k - 1).data;
    let area = planes.len() / 3;
    for (plane, mean) in planes.chunks_mut(area).zip(color) {
        plane.iter_mut().for_each(|v| *v = (f64::from(*v) - mean) as f32);
    }
    planes
}

/// Sums of each patch entry over all patches, and of each colour over all pixels.
struct Sums {
    k: usize,
    entries: Vec<f64>,
    patches: u64,
    color: [f64; 3],
    pixels: u64,
}

impl Sums {
    fn new(k: usize) -> Self {
        Self { k, entries: vec![0.0; 3 * k * k], patches: 0, color: [0.0; 3], pixels: 0 }
    }

    /// Adds a photograph: entry (u, v) runs over the rectangle whose corner is (u, v) and which has the size of the
    /// grid of patches.
    fn add(&mut self, photo: &Photo) {
        const LINES: usize = 64;
        let (k, width, height) = (self.k, photo.width(), photo.height());
        let (out_width, out_height) = (width - k + 1, height - k + 1);
        for top in (0..height).step_by(LINES) {
            let lines = photo.tile(0, top, width, LINES);
            for c in 0..3 {
                for row in 0..lines.height {
                    let line = &lines.data[(c * lines.height + row) * width..][..width];
                    let sum = |part: &[f32]| part.iter().map(|v| f64::from(*v)).sum::<f64>();
                    let y = top + row;
                    let mut window = sum(&line[..out_width]);
                    self.color[c] += window + sum(&line[out_width..]);
                    for v in 0..k {
                        if v > 0 {
                            window += f64::from(line[v + out_width - 1]) - f64::from(line[v - 1]);
                        }
                        for u in (y + 1).saturating_sub(out_height)..k.min(y + 1) {
                            self.entries[(c * k + u) * k + v] += window;
                        }
                    }
                }
            }
        }
        self.patches += (out_width * out_height) as u64;
        self.pixels += (width * height) as u64;
    }

    fn mean(&self) -> Vec<f64> {
        self.entries.iter().map(|v| v / self.patches as f64).collect()
    }

    fn color(&self) -> [f64; 3] {
        self.color.map(|v| v / self.pixels as f64)
    }
}
