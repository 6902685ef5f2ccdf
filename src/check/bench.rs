//! Sizes of a case, and a tape under construction with random values for its leaves.

use crate::Result;
use crate::ops::{self, BlockLayout, BlockMode, ConvOptions, Sampling};
use crate::rng::Rng;
use crate::tape::{Array, DType, Layout, State, Tape, Type, Var};
use std::collections::HashMap;

/// Sizes from which every line of the table builds its operation; shrinking goes towards 1.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Batch.
    pub n: usize,
    /// Input channels, features or columns.
    pub c: usize,
    /// Output channels.
    pub o: usize,
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
    /// Kernel or window.
    pub k: usize,
    /// Of the kernel or window.
    pub stride: usize,
    /// Of the kernel or window.
    pub padding: usize,
    /// Of the kernel.
    pub dilation: usize,
    /// Of channels.
    pub groups: usize,
    /// For whatever else an operation can be asked: a small number.
    pub choice: usize,
    /// Of the values.
    pub seed: u64,
}

/// What a report says:
/// `batch 2, channels 3 to 5, map 5 x 4, kernel 3 (stride 1, padding 1, dilation 1, groups 1), choice 0, seed 1`.
impl std::fmt::Display for Sizes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { n, c, o, h, w, k, stride, padding, dilation, groups, choice, seed } = self;
        write!(f, "batch {n}, channels {c} to {o}, map {h} x {w}, kernel {k} (stride {stride}, padding {padding}, ")?;
        write!(f, "dilation {dilation}, groups {groups}), choice {choice}, seed {seed}")
    }
}

impl Sizes {
    /// A small odd case, to be varied by hand.
    pub const SMALL: Self =
        Self { n: 2, c: 3, o: 5, h: 5, w: 4, k: 3, stride: 1, padding: 1, dilation: 1, groups: 1, choice: 0, seed: 1 };

    /// Height and width, enlarged where `reach` would not fit into the padded map.
    fn fitting(&self, reach: usize) -> [usize; 2] {
        [self.h, self.w].map(|size| size.max(reach.saturating_sub(2 * self.padding)).max(1))
    }

    /// Odd sizes up to a few vectors of four.
    pub fn random(rng: &mut Rng) -> Self {
        let mut between = |low: usize, high: usize| low + rng.below(high + 1 - low);
        Self {
            n: between(1, 5),
            c: between(1, 13),
            o: between(1, 13),
            h: between(1, 11),
            w: between(1, 11),
            k: between(1, 4),
            stride: between(1, 3),
            padding: between(0, 2),
            dilation: between(1, 2),
            groups: between(1, 3),
            choice: between(0, 11),
            seed: between(0, 999) as u64,
        }
    }

    /// (N,C,H,W).
    pub fn map(&self) -> [usize; 4] {
        [self.n, self.c, self.h, self.w]
    }

    /// (N,C,H,W) with at least room for a kernel of side `k`.
    pub fn map_for_kernel(&self, channels: usize, dilation: usize) -> [usize; 4] {
        let [h, w] = self.fitting(dilation * (self.k - 1) + 1);
        [self.n, channels, h, w]
    }

    /// Padding that a window of side `k` may have: at most half of it.
    pub fn window_padding(&self) -> usize {
        self.padding.min(self.k / 2)
    }

    /// (N,C,H,W) with at least room for a window of side `k`.
    pub fn map_for_window(&self) -> [usize; 4] {
        let [h, w] = [self.h, self.w].map(|size| size.max(self.k - 2 * self.window_padding()).max(1));
        [self.n, self.c, h, w]
    }

    /// Of a convolution in so many groups.
    pub fn conv_options(&self, groups: usize) -> ConvOptions {
        ConvOptions {
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups,
            ..ConvOptions::default()
        }
    }

    fn mode(&self) -> BlockMode {
        if self.choice.is_multiple_of(2) { BlockMode::Paper } else { BlockMode::Reference }
    }

    /// Cut and sampling of a deconvolution layer over `map_for_kernel(c groups)`; kernels of one pixel sample pixels.
    pub fn layout(&self, groups: usize) -> Result<(BlockLayout, Sampling)> {
        let block = [1, 2, 3, 4, 64][self.choice % 5];
        let layout = BlockLayout::conv(self.mode(), self.c * groups, self.k, groups, block)?;
        let sampling = if self.k == 1 {
            Sampling::Pixels { step: self.stride * self.stride }
        } else {
            Sampling::Grid { step: self.stride, padding: self.padding, dilation: self.dilation }
        };
        Ok((layout, sampling))
    }
}

/// Two values that belong together, such as a leaf and its gradient.
pub type Pairs = Vec<(Var, Var)>;

/// A tape being built from leaves with random values.
pub struct Bench {
    /// What is recorded.
    pub tape: Tape,
    /// Its state tensors.
    pub state: State,
    /// Values of the inputs.
    pub values: HashMap<Var, Array>,
    /// Inputs with a gradient.
    pub leaves: Vec<Var>,
    /// Values that are compared beside the operation's outputs, and not differentiated.
    pub observed: Vec<Var>,
    rng: Rng,
}

impl Bench {
    /// Nothing recorded yet; values are drawn from `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            tape: Tape::new(),
            state: State::new(),
            values: HashMap::new(),
            leaves: Vec::new(),
            observed: Vec::new(),
            rng: Rng::new(seed),
        }
    }

    /// Values of both signs with absolute values in [0.1, 1), so that none is near the kink at 0; exact in f32.
    pub fn random(&mut self, shape: &[usize]) -> Array {
        let mut draw = || {
            let size = self.rng.range(0.1, 1.0);
            f64::from(if self.rng.next_u32() & 1 == 0 { size } else { -size })
        };
        let data = (0..shape.iter().product()).map(|_| draw()).collect();
        Array { shape: shape.to_vec(), data }
    }

    /// A row-major value from the host, without a gradient.
    pub fn given(&mut self, value: Array) -> Var {
        let var = self.tape.input("given", &value.shape, DType::F32);
        self.values.insert(var, value);
        var
    }

    /// A row-major leaf with this value.
    pub fn leaf_of(&mut self, value: Array) -> Var {
        let var = self.tape.leaf("leaf", &value.shape);
        self.values.insert(var, value);
        self.leaves.push(var);
        var
    }

    /// A row-major random leaf: a parameter.
    pub fn leaf(&mut self, shape: &[usize]) -> Var {
        let value = self.random(shape);
        self.leaf_of(value)
    }

    /// A random leaf in vectors of four: an activation or a matrix.
    pub fn activation(&mut self, shape: &[usize]) -> Result<Var> {
        self.scaled(shape, 1.0)
    }

    /// [`Bench::activation`] with values up to `scale`.
    pub fn scaled(&mut self, shape: &[usize], scale: f64) -> Result<Var> {
        let value = self.random(shape).map(|v| f64::from((v * scale) as f32));
        let leaf = self.leaf_of(value);
        ops::to_vec4(&mut self.tape, leaf)
    }

    /// [`Bench::activation`] with values in [low, high).
    pub fn between(&mut self, shape: &[usize], low: f32, high: f32) -> Result<Var> {
        let data = (0..shape.iter().product()).map(|_| f64::from(self.rng.range(low, high))).collect();
        let leaf = self.leaf_of(Array { shape: shape.to_vec(), data });
        ops::to_vec4(&mut self.tape, leaf)
    }

    /// Integers below `classes`.
    pub fn labels(&mut self, shape: &[usize], classes: usize) -> Var {
        let data = (0..shape.iter().product()).map(|_| self.rng.below(classes) as f64).collect();
        let var = self.tape.input("labels", shape, DType::U32);
        self.values.insert(var, Array { shape: shape.to_vec(), data });
        var
    }

    /// Images of (C, H, W) in words of random bytes, and random views of them: moved, or a part, mirrored, partly
    /// blank.
    pub fn seen(&mut self, n: usize, shape @ [_, height, width]: [usize; 3]) -> [Var; 2] {
        let rng = &mut self.rng;
        let words = ops::image_words(shape);
        let bytes = (0..n * words).map(|_| (rng.below(1 << 16) << 16 | rng.below(1 << 16)) as f64).collect();
        let mut views = Vec::new();
        for _ in 0..n {
            // Up to beyond the image; a part in every second view; a blank that may lie across the edge.
            let mut moved = |side: usize| rng.below(2 * side + 3) as i32 - side as i32 - 1;
            let moved = [moved(height), moved(width), rng.below(2) as i32, 0];
            // Within the image, or beyond it on both sides.
            let mut side = |side: usize, beyond: bool| {
                let start = rng.below(side);
                let (around, long) = (start as i32, side - start);
                if beyond { (-around, side + around as usize + rng.below(side)) } else { (around, 1 + rng.below(long)) }
            };
            let beyond = views.len() / ops::VIEW % 3 == 2;
            let [(top, high), (left, wide)] = [side(height, beyond), side(width, beyond)];
            let part = if rng.below(2) == 0 { [0; 4] } else { [top, left, high as i32, wide as i32] };
            let corner = [rng.below(height + 1) as i32, rng.below(width + 1) as i32];
            let blank = [corner[0] - 1, corner[1] - 1, corner[0] + 1, corner[1] + 2];
            views.extend([moved, part, blank].as_flattened().iter().map(|v| f64::from(*v as u32)));
        }
        [(words, bytes), (ops::VIEW, views)].map(|(each, data)| {
            let var = self.tape.input("seen", &[n, each], DType::U32);
            self.values.insert(var, Array { shape: vec![n, each], data });
            var
        })
    }

    /// `s` well-conditioned symmetric positive definite matrices (s,d,d), as products of random leaves: whatever
    /// moves the leaves keeps them symmetric.
    pub fn positive_definite(&mut self, s: usize, d: usize) -> Result<Var> {
        let rows = self.activation(&[s, 2 * d + 3, d])?;
        ops::gram(&mut self.tape, rows, rows)
    }

    /// A state tensor with random values in [0, 1), such as a running variance or a moment.
    pub fn state(&mut self, shape: &[usize]) -> Var {
        let values = (0..shape.iter().product()).map(|_| self.rng.uniform()).collect();
        self.state_of(shape, values)
    }

    /// A row-major state tensor with these values.
    pub fn state_of(&mut self, shape: &[usize], values: Vec<f32>) -> Var {
        let name = format!("state{}", self.state.len());
        let id = self.state.buffer(&name, Type::plain(shape), values);
        self.tape.state(&self.state, id)
    }

    /// Appends the gradients of `sum(output seed)` with a random seed for every output that has a gradient; returns
    /// (output, seed) pairs and (leaf, gradient) pairs.
    pub fn backward(&mut self, outputs: &[Var]) -> Result<(Pairs, Pairs)> {
        let mut seeds = Pairs::new();
        for output in outputs {
            if !self.tape.needs_grad(*output) {
                continue;
            }
            let ty = self.tape.ty(*output).clone();
            let value = self.random(&ty.shape);
            let mut seed = self.given(value);
            if ty.layout == Layout::Vec4 {
                seed = ops::to_vec4(&mut self.tape, seed)?;
            }
            seeds.push((*output, seed));
        }
        let gradients = self.tape.backward_from(&seeds)?;
        let by_leaf = self.leaves.iter().filter_map(|leaf| gradients.get(*leaf).map(|grad| (*leaf, grad))).collect();
        Ok((seeds, by_leaf))
    }

    /// Gives the step-dependent scalars their values, if any operation asked for them.
    pub fn finish(&mut self) {
        if let Some(var) = self.tape.scalars_input() {
            let data = vec![
                0.1,
                3.0,
                1.0 - 0.9f64.powi(3),
                1.0 - 0.999f64.powi(3),
                12345.0,
                54321.0,
                0.3,
                1.0,
                0.1,
                0.0,
                0.0,
                0.0,
            ];
            let data = data.into_iter().map(|v| f64::from(v as f32)).collect();
            self.values.insert(var, Array { shape: vec![crate::tape::SCALARS], data });
        }
    }
}
