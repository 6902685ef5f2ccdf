//! A photograph convolved with deconvolution kernels, on the GPU in tiles.

use super::tiles::{self, Runner, Tile};
use crate::gpu::Gpu;
use crate::ops::{self, ConvOptions};
use crate::tape::{DType, Tape};
use crate::viz::{Photo, RgbPlanes};
use crate::{Error, Result};

/// Convolves photographs, less a mean colour, with kernels (3,3,k,k): output colour, input colour, row, column.
///
/// Beyond the border the nearest pixel is repeated, so that the border itself is no edge.
pub struct Deconvolver {
    runner: Runner,
    kernels: Vec<f32>,
    k: usize,
    color: [f64; 3],
}

impl Deconvolver {
    /// For kernels of side `k` and the mean colour that is taken off beforehand.
    ///
    /// # Errors
    /// The kernels are not 9 k k numbers.
    pub fn new(gpu: &Gpu, kernels: &[f32], k: usize, color: [f64; 3]) -> Result<Self> {
        if k == 0 || kernels.len() != 9 * k * k {
            let what = format!("expected kernels [3, 3, {k}, {k}], found {} numbers", kernels.len());
            return Err(Error::shape("deconvolver", what));
        }
        Ok(Self { runner: Runner::new(gpu), kernels: kernels.to_vec(), k, color })
    }

    /// The photograph, deconvolved: signed values around 0. 12 bytes a pixel; on the GPU 27 k k multiply-adds a pixel.
    pub async fn apply(&mut self, photo: &Photo) -> Result<RgbPlanes> {
        let (k, color, kernels) = (self.k, self.color, &self.kernels);
        let (width, height) = (photo.width(), photo.height());
        let mut data = vec![0.0f32; 3 * width * height];
        let tiles = tiles::cut(width, height, 3 * k * k);
        let inputs = |tile: &Tile| vec![extended(photo, tile, k, color), kernels.clone()];
        let place = |tile: &Tile, out: &[f32]| {
            for (i, line) in out.chunks(tile.width).enumerate() {
                let (c, row) = (i / tile.height, i % tile.height);
                data[(c * height + tile.y + row) * width + tile.x..][..tile.width].copy_from_slice(line);
            }
        };
        self.runner.run(&tiles, |size| tape(size, k), inputs, place).await?;
        Ok(RgbPlanes { width, height, data })
    }
}

fn tape([width, height]: [usize; 2], k: usize) -> Result<Tape> {
    let mut tape = Tape::new();
    let image = tape.input("tile", &[1, 3, height + k - 1, width + k - 1], DType::F32);
    let kernels = tape.input("kernels", &[3, 3, k, k], DType::F32);
    let image = ops::to_vec4(&mut tape, image)?;
    let out = ops::conv2d(&mut tape, image, kernels, ops::Epilogue::default(), ConvOptions::default())?;
    let out = ops::to_plain(&mut tape, out)?;
    tape.output(out);
    Ok(tape)
}

/// The pixels under a tile less the mean colour, with what its kernels reach around it.
fn extended(photo: &Photo, tile: &Tile, k: usize, color: [f64; 3]) -> Vec<f32> {
    let (before, width, height) = (k / 2, tile.width + k - 1, tile.height + k - 1);
    let (left, top) = (tile.x.saturating_sub(before), tile.y.saturating_sub(before));
    let inside =
        photo.tile(left, top, tile.x + tile.width + k - 1 - before - left, tile.y + tile.height + k - 1 - before - top);
    let mut out = Vec::with_capacity(3 * width * height);
    for (c, mean) in color.into_iter().enumerate() {
        for row in 0..height {
            let y = (tile.y + row).saturating_sub(before + top).min(inside.height - 1);
            let line = &inside.data[(c * inside.height + y) * inside.width..][..inside.width];
            out.extend((0..width).map(|column| {
                let x = (tile.x + column).saturating_sub(before + left).min(inside.width - 1);
                (f64::from(line[x]) - mean) as f32
            }));
        }
    }
    out
}
