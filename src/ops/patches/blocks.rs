//! How a layer's features are cut into blocks, and where its statistics are sampled (method, sections 2, 3).

use crate::named::named;
use crate::{Error, Result};

named! {
    /// Which features share a covariance.
    ///
    /// ```
    /// use mexhat::nn::{BlockMode, Conv, Network, Whitening};
    /// let shape = |mode| {
    ///     let whitening = Whitening { mode, block: 2, ..Default::default() };
    ///     let (mut net, mut state) = (Network::new([6, 8, 8]).whitening(whitening), mexhat::nn::State::new());
    ///     net.conv(Conv::new(4, 1));
    ///     net.build(&mut state)?;
    ///     let deconv = state.find("conv1.running_deconv").expect("a deconvolution");
    ///     Ok::<_, mexhat::Error>(state.get(deconv).ty.shape.clone())
    /// };
    /// assert_eq!(shape(BlockMode::Paper)?, [3, 2, 2]); // one D for each block of two channels
    /// assert_eq!(shape(BlockMode::Reference)?, [1, 2, 2]); // one D for all of them
    /// assert_eq!("paper".parse::<BlockMode>()?, BlockMode::Paper);
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    pub enum BlockMode: "mode" {
        /// One mean, covariance and D per contiguous block of channels.
        Paper = "paper",
        /// What the authors' code computes: interleaved blocks, pooled into one mean, covariance and D.
        Reference = "reference",
    }
}

/// Channels per block for a requested block size (method, section 3): the request if it divides, else the greatest
/// common divisor.
pub fn block_size(channels: usize, block: usize) -> usize {
    if block > channels {
        return channels;
    }
    let (mut a, mut b) = (block, channels);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The cut of one layer: `entry i of block j` for `j < blocks`, `i < d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLayout {
    /// Input channels.
    pub channels: usize,
    /// Kernel side.
    pub kernel: usize,
    /// Convolution groups.
    pub groups: usize,
    /// Number of blocks, `nb`.
    pub blocks: usize,
    /// Features of a block, `d = B k k`.
    pub d: usize,
    /// One statistic shared by all blocks.
    pub pooled: bool,
    /// Entry i of block j is feature `i blocks + j` instead of `j d + i`.
    pub interleaved: bool,
}

impl BlockLayout {
    /// The cut of a convolution's features.
    ///
    /// # Errors
    /// `block` is 0 or the groups do not divide the channels.
    pub fn conv(mode: BlockMode, channels: usize, kernel: usize, groups: usize, block: usize) -> Result<Self> {
        if block == 0 || groups == 0 || !channels.is_multiple_of(groups) {
            let what = format!(
                "expected a block of at least 1 and groups that divide {channels} channels, found block {block} and {groups} groups"
            );
            return Err(Error::shape("deconvolution", what));
        }
        let reference = mode == BlockMode::Reference;
        let per_group = channels / groups;
        let size = if groups > 1 && reference { per_group } else { block_size(per_group, block) };
        let shared = reference && groups == 1;
        Ok(Self {
            channels,
            kernel,
            groups,
            blocks: channels / size,
            d: size * kernel * kernel,
            pooled: shared,
            // A single block is the same either way, and contiguous entries are found with fewer divisions.
            interleaved: shared && channels > size,
        })
    }

    /// The cut of a linear layer's features: contiguous in both modes.
    ///
    /// # Errors
    /// `block` is 0.
    pub fn linear(mode: BlockMode, features: usize, block: usize) -> Result<Self> {
        let layout = Self::conv(BlockMode::Paper, features, 1, 1, block)?;
        Ok(Self { pooled: mode == BlockMode::Reference, ..layout })
    }

    /// Number of statistics, `S`.
    pub fn statistics(&self) -> usize {
        if self.pooled { 1 } else { self.blocks }
    }

    /// Flat features, `F`.
    pub fn features(&self) -> usize {
        self.blocks * self.d
    }

    /// Flat feature of entry `i` of block `j`.
    pub fn feature(&self, j: usize, i: usize) -> usize {
        if self.interleaved { i * self.blocks + j } else { j * self.d + i }
    }
}

/// Which patches enter the statistics (method, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// A grid of patches of the layer's kernel, `step` apart.
    Grid {
        /// Step between patches, `S_q`.
        step: usize,
        /// Zeros around the map.
        padding: usize,
        /// Step between taps.
        dilation: usize,
    },
    /// Every `step`-th pixel of the list (n, h, w).
    Pixels {
        /// Step in the list, `S_q^2`.
        step: usize,
    },
}

/// Sizes of one gathering of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowGeometry {
    pub layout: BlockLayout,
    pub sampling: Sampling,
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub oh: usize,
    pub ow: usize,
    /// Sampled patches, `M`.
    pub samples: usize,
    /// Rows of one statistic, `R`.
    pub rows: usize,
}

impl RowGeometry {
    /// Sizes for an input of shape (N,C,H,W), or what does not fit.
    pub fn new(op: &'static str, [n, c, h, w]: [usize; 4], layout: BlockLayout, sampling: Sampling) -> Result<Self> {
        if c != layout.channels {
            return Err(Error::shape(op, format!("the layer has {} input channels, the input {c}", layout.channels)));
        }
        let (oh, ow, samples) = match sampling {
            Sampling::Pixels { step } if step > 0 && layout.kernel == 1 => (h, w, (n * h * w).div_ceil(step)),
            Sampling::Grid { step, padding, dilation } if step > 0 && dilation > 0 => {
                let reach = dilation * (layout.kernel - 1) + 1;
                if h + 2 * padding < reach || w + 2 * padding < reach {
                    let what = format!("a patch of {reach} does not fit into {h}x{w} with padding {padding}");
                    return Err(Error::shape(op, what));
                }
                let out = |size: usize| (size + 2 * padding - reach) / step + 1;
                (out(h), out(w), n * out(h) * out(w))
            }
            _ => {
                return Err(Error::shape(op, format!("cannot sample a {0}x{0} kernel by {sampling:?}", layout.kernel)));
            }
        };
        let rows = if layout.pooled { samples * layout.blocks } else { samples };
        Ok(Self { layout, sampling, n, h, w, oh, ow, samples, rows })
    }

    /// Whether no two patches have a pixel in common.
    pub fn disjoint(&self) -> bool {
        matches!(self.sampling, Sampling::Grid { step, dilation: 1, .. } if step >= self.layout.kernel)
    }

    /// For every entry of every row, (s, r, i) in order, its place in the row-major input, if inside the map.
    pub fn sources(&self) -> Vec<Option<usize>> {
        let layout = self.layout;
        let mut sources = Vec::with_capacity(layout.statistics() * self.rows * layout.d);
        for s in 0..layout.statistics() {
            for r in 0..self.rows {
                let (j, m) = if layout.pooled { (r / self.samples, r % self.samples) } else { (s, r) };
                sources.extend((0..layout.d).map(|i| self.source(layout.feature(j, i), m)));
            }
        }
        sources
    }

    /// The place in the row-major input of a flat feature of sample `m`, if inside the map.
    pub fn source(&self, feature: usize, m: usize) -> Option<usize> {
        let (k, area) = (self.layout.kernel, self.h * self.w);
        let (channel, tap) = (feature / (k * k), feature % (k * k));
        match self.sampling {
            Sampling::Pixels { step } => {
                let pixel = m * step;
                Some((pixel / area * self.layout.channels + channel) * area + pixel % area)
            }
            Sampling::Grid { step, padding, dilation } => {
                let (n, i, j) = (m / (self.oh * self.ow), m / self.ow % self.oh, m % self.ow);
                let at = |position: usize, tap: usize, size: usize| {
                    let t = (position * step + tap * dilation).checked_sub(padding)?;
                    (t < size).then_some(t)
                };
                let (y, x) = (at(i, tap / k, self.h)?, at(j, tap % k, self.w)?);
                Some(((n * self.layout.channels + channel) * self.h + y) * self.w + x)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_the_rule_of_the_authors() {
        for (channels, block, size) in [(96, 64, 32), (1096, 64, 8), (160, 64, 32), (3, 64, 3), (128, 64, 64)] {
            assert_eq!(block_size(channels, block), size, "{channels} by {block}");
        }
    }

    #[test]
    fn every_feature_is_in_one_block() -> Result<()> {
        for mode in [BlockMode::Paper, BlockMode::Reference] {
            for (channels, kernel, groups, block) in [(8, 3, 1, 4), (12, 1, 3, 2), (6, 5, 1, 64), (16, 3, 4, 2)] {
                let layout = BlockLayout::conv(mode, channels, kernel, groups, block)?;
                let mut seen = vec![0; channels * kernel * kernel];
                (0..layout.blocks).for_each(|j| (0..layout.d).for_each(|i| seen[layout.feature(j, i)] += 1));
                assert!(seen.iter().all(|n| *n == 1), "{layout:?}");
            }
        }
        Ok(())
    }
}
