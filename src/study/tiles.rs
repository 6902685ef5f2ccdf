//! A picture's work on the GPU in tiles of bounded size, one compiled tape per size of tile.

use std::collections::VecDeque;

use crate::gpu::Gpu;
use crate::order::ordered;
use crate::tape::{Compiled, Session, State, Tape};
use crate::{Error, Result};

/// A rectangle of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

/// Patch rows of a tile may take this many bytes: they are written once and read once, and smaller tiles stay in cache.
const MOST_BYTES: usize = 16 << 20;
/// Widest tile; beyond it columns are cut too.
const WIDEST: usize = 4096;

/// Cuts `width` x `height` outputs, each with a patch of `d` numbers, into tiles of nearly equal size: at most four
/// sizes.
pub(super) fn cut(width: usize, height: usize, d: usize) -> Vec<Tile> {
    let columns = pieces(width, WIDEST);
    let widest = columns.iter().map(|c| c.1).max().unwrap_or(1);
    let most = MOST_BYTES / (widest * d.next_multiple_of(4) * 4).max(1);
    let rows = pieces(height, most.max(1));
    let tiles: Vec<Tile> = columns
        .iter()
        .flat_map(|&(x, width)| rows.iter().map(move |&(y, height)| Tile { x, y, width, height }))
        .collect();
    let key = |i: usize| (tiles[i].width, tiles[i].height, tiles[i].y, tiles[i].x);
    ordered(0..tiles.len(), &|a, b| key(a).cmp(&key(b))).into_iter().map(|i| tiles[i]).collect()
}

/// (start, length) of the fewest pieces of at most `most`, their lengths at most one apart.
fn pieces(total: usize, most: usize) -> Vec<(usize, usize)> {
    let count = total.div_ceil(most);
    (0..count).map(|i| (i * total / count, (i + 1) * total / count - i * total / count)).collect()
}

/// Compiled tapes by tile size; the last few sizes are kept, for pictures of one size after another.
pub(super) struct Runner {
    gpu: Gpu,
    ready: VecDeque<([usize; 2], Compiled)>,
}

impl Runner {
    pub fn new(gpu: &Gpu) -> Self {
        Self { gpu: gpu.clone(), ready: VecDeque::new() }
    }

    /// Runs every tile: `tape` records the work on a tile of (width, height), `inputs` are the numbers of its inputs in
    /// order, and `done` is given its first output. Tiles of one size must be neighbours, as [`cut`] returns them.
    pub async fn run(
        &mut self,
        tiles: &[Tile],
        tape: impl Fn([usize; 2]) -> Result<Tape>,
        mut inputs: impl FnMut(&Tile) -> Vec<Vec<f32>>,
        mut done: impl FnMut(&Tile, &[f32]),
    ) -> Result<()> {
        for group in tiles.chunk_by(|a, b| (a.width, a.height) == (b.width, b.height)) {
            let size = [group[0].width, group[0].height];
            let compiled = self.compiled(size, &tape)?;
            let mut flight = VecDeque::new();
            for tile in group {
                let values = inputs(tile);
                let bytes: Vec<&[u8]> = values.iter().map(|v| bytemuck::cast_slice(v)).collect();
                compiled.submit(&bytes).await?;
                flight.push_back(tile);
                while let Some((_, outputs)) = compiled.try_take()? {
                    deliver(&mut flight, &outputs, &mut done)?;
                }
            }
            while let Some((_, outputs)) = compiled.take().await? {
                deliver(&mut flight, &outputs, &mut done)?;
            }
        }
        Ok(())
    }

    fn compiled(&mut self, size: [usize; 2], tape: impl Fn([usize; 2]) -> Result<Tape>) -> Result<&mut Compiled> {
        if let Some(at) = self.ready.iter().position(|(known, _)| *known == size) {
            return Ok(&mut self.ready[at].1);
        }
        self.ready.truncate(1);
        let compiled = Session::new(&self.gpu, &State::new())?.compile(&[&tape(size)?])?.pop();
        let compiled = compiled.ok_or_else(|| Error::Run("a tape compiled to nothing".into()))?;
        self.ready.push_front((size, compiled));
        Ok(&mut self.ready[0].1)
    }
}

fn deliver(flight: &mut VecDeque<&Tile>, outputs: &[Vec<f32>], done: &mut impl FnMut(&Tile, &[f32])) -> Result<()> {
    match (flight.pop_front(), outputs.first()) {
        (Some(tile), Some(output)) => {
            done(tile, output);
            Ok(())
        }
        _ => Err(Error::Run("the device returned a tile that was not asked for".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_each_output_once() {
        for (width, height, d) in [(1, 1, 27), (477, 317, 75), (5000, 700, 75), (9001, 3, 1875), (3, 9000, 363)] {
            let mut seen = vec![0u8; width * height];
            let tiles = cut(width, height, d);
            for tile in &tiles {
                for y in tile.y..tile.y + tile.height {
                    seen[y * width + tile.x..][..tile.width].iter_mut().for_each(|v| *v += 1);
                }
            }
            assert!(seen.iter().all(|v| *v == 1), "{width} x {height}");
            let sizes = tiles.chunk_by(|a, b| (a.width, a.height) == (b.width, b.height)).count();
            assert!(sizes <= 4, "{width} x {height}: {sizes} sizes");
        }
    }
}
