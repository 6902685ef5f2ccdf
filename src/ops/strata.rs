//! Covariances of patches that partly lie outside the map, without the products of its zeros.
//!
//! Where small maps are padded, most of a patch can lie outside: four of the nine taps of a 3x3 kernel see a corner. Which ones do is the
//! same for every image, so the rows of one block at one sampled position are a stratum with zeros in the same places. Centred rows
//! have none; but the total covariance is that within strata plus that between them,
//!
//! ```text
//! R Cov = sum over rows x^T x + sum over strata N w^T w,   x = row - mean of its stratum,   w = mean of the stratum - mean
//! ```
//!
//! and rows less their stratum's mean are still zero outside. So a row of strata is `x`, the rows `sqrt(N) w` follow them, and the
//! products pass over what a stratum does not see. For ranges of entries to lie outside together, entries are ordered by tap: entry
//! `part B + c` is entry `c k^2 + part` of the block, whose tap is `(part blocks + block) mod k^2` when blocks are interleaved.
//! Of R d^2 multiply-adds forward and twice as many backward a 2x2 map takes a fifth, an 8x8 map two thirds (kernel 3, padding 1, step 3).

use super::blocks::{BlockLayout, RowGeometry, Sampling};
use super::gram::launch_reduce;
use super::tiles::tile_variant;
use crate::gpu::{Family, Kernel, Profile, Shader, Slot};
use crate::kernel_params;
use crate::tape::{Launch, Type};

kernel_params! {
    struct StrataParams {
        images: u32, strata: u32, positions: u32, blocks: u32, kernel: u32, height: u32, width: u32, channel_stride: u32,
        out_width: u32, step: u32, padding: u32, size4: u32, n: u32, k: u32, da4: u32, db4: u32,
        centered: u32,
        rows: u32, runs_per_split: u32, symmetric: u32,
        alpha: f32, of_rows: u32, of_columns: u32, has_row: u32, row_stride4: u32, to: u32,
    }
}
kernel_params! {
    struct OrderParams { items: u32, d4: u32, p: u32, q: u32, rows: u32, columns: u32, turned: u32 }
}

static ROWS: Shader =
    Shader::with_variants::<StrataParams>("strata_rows.wgsl", 1, 2, &[&[("CONTIGUOUS", 0)], &[("CONTIGUOUS", 1)]]);
static GRAM: Shader =
    Shader::with_variants::<StrataParams>("gram_strata_subgroup.wgsl", 2, 1, &[tile_variant!(8, 1, 8, 1)]);
static PRODUCT: Shader = Shader::with_variants::<StrataParams>(
    "matmul_strata_subgroup.wgsl",
    3,
    1,
    &[tile_variant!(64, 1, 8, 1), tile_variant!(32, 1, 8, 1)],
);
static ORDER: Shader =
    Shader::with_variants::<OrderParams>("strata_order.wgsl", 1, 1, &[&[("BOTH", 0)], &[("BOTH", 1)]]);
pub(super) const SHADERS: &[&Shader] = if Family::IN_SUBGROUPS { &[&ROWS, &GRAM, &PRODUCT, &ORDER] } else { &[] };

/// Entries that a tile of the products spans: a part is whole tiles, and so are a stratum's rows.
const SPAN: usize = 32;

/// Launches count strata along y or z, of which every adapter has as many.
const MOST: usize = 65_535;

/// The rows of one statistic, cut into strata.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strata(pub RowGeometry);

impl Strata {
    /// The strata of a gathering, where there are kernels for them.
    #[inline]
    pub fn of(profile: Option<Profile>, x: &Type, layout: BlockLayout, sampling: Sampling) -> Option<Self> {
        // Known when a page is compiled, which then downloads none of this.
        if Family::IN_SUBGROUPS { Self::in_subgroups(profile, x, layout, sampling) } else { None }
    }

    fn in_subgroups(profile: Option<Profile>, x: &Type, layout: BlockLayout, sampling: Sampling) -> Option<Self> {
        if profile?.family != Family::Subgroup {
            return None;
        }
        let Sampling::Grid { dilation: 1, .. } = sampling else { return None };
        let strata = Self(RowGeometry::new("strata", x.nchw(), layout, sampling).ok()?);
        let whole = strata.size().is_multiple_of(SPAN) && strata.0.n.is_multiple_of(SPAN);
        let few = strata.count() <= MOST;
        (layout.statistics() == 1 && layout.kernel > 1 && whole && few).then_some(strata)
    }

    /// Whether patches do not overlap, as those of a covariance seldom do, and passing over what is not seen is worth it.
    pub fn suit_covariance(&self) -> bool {
        self.0.apart() && self.seen(2) + 1.0 / (self.0.n as f64) < 0.95
    }

    /// Whether each pixel lies in just one patch, so that what is seen of all rows makes up the map.
    pub fn make_up_map(&self) -> bool {
        let ([step, padding], kernel) = (self.step_and_padding(), self.0.layout.kernel);
        let reaches = |size: usize, positions: usize| positions * step >= size + padding;
        step == kernel && reaches(self.0.h, self.0.oh) && reaches(self.0.w, self.0.ow)
    }

    /// Number of strata.
    pub fn count(&self) -> usize {
        self.0.layout.blocks * self.positions()
    }

    /// Sampled positions of a map.
    pub fn positions(&self) -> usize {
        self.0.oh * self.0.ow
    }

    fn parts(&self) -> usize {
        self.0.layout.kernel * self.0.layout.kernel
    }

    /// Entries of a part.
    fn size(&self) -> usize {
        self.0.layout.d / self.parts()
    }

    /// Height and width of the map of positions.
    pub fn map(&self) -> [usize; 2] {
        [self.0.oh, self.0.ow]
    }

    /// Entries of a row.
    pub fn entries(&self) -> usize {
        self.0.layout.d
    }

    /// Type of the rows.
    pub fn rows_type(&self) -> Type {
        Type::vec4(&[1, self.0.rows, self.0.layout.d])
    }

    /// Vectors in a row.
    pub fn d4(&self) -> usize {
        self.0.layout.d / 4
    }

    fn step_and_padding(&self) -> [usize; 2] {
        match self.0.sampling {
            Sampling::Grid { step, padding, .. } => [step, padding],
            Sampling::Pixels { step } => [step, 0],
        }
    }

    /// The share of a patch that lies on the map, to this power, on average over the positions.
    pub fn seen(&self, power: i32) -> f64 {
        let ([step, padding], kernel) = (self.step_and_padding(), self.0.layout.kernel);
        let inside = |position: usize, size: usize| {
            (0..kernel).filter(|tap| (padding..size + padding).contains(&(position * step + tap))).count() as f64
        };
        let average = |size: usize, positions: usize| {
            let sum: f64 = (0..positions).map(|at| (inside(at, size) / kernel as f64).powi(power)).sum();
            sum / positions as f64
        };
        average(self.0.h, self.0.oh) * average(self.0.w, self.0.ow)
    }

    /// Place in the block of entry `i` of a row of strata.
    pub fn entry(&self, i: usize) -> usize {
        i % self.size() * self.parts() + i / self.size()
    }

    /// For every entry of every row of strata its place in the row-major input, if inside the map.
    pub fn sources(&self) -> impl Iterator<Item = Option<usize>> + use<> {
        let Self(g) = *self;
        let (strata, positions) = (*self, self.positions());
        let rows = (0..self.count()).flat_map(move |stratum| (0..g.n).map(move |image| (stratum, image)));
        rows.flat_map(move |(stratum, image)| {
            let (block, sample) = (stratum / positions, image * positions + stratum % positions);
            (0..g.layout.d).map(move |i| g.source(g.layout.feature(block, strata.entry(i)), sample))
        })
    }

    /// What no operation changes.
    fn params(&self) -> StrataParams {
        let Self(g) = self;
        let ([step, padding], d, d4) = (self.step_and_padding(), g.layout.d as u32, self.d4() as u32);
        StrataParams {
            images: g.n as u32,
            strata: self.count() as u32,
            positions: self.positions() as u32,
            blocks: g.layout.blocks as u32,
            kernel: g.layout.kernel as u32,
            height: g.h as u32,
            width: g.w as u32,
            channel_stride: g.layout.channels.next_multiple_of(4) as u32,
            out_width: g.ow as u32,
            step: step as u32,
            padding: padding as u32,
            size4: (self.size() / 4) as u32,
            n: d,
            k: d,
            da4: d4,
            db4: d4,
            ..StrataParams::default()
        }
    }

    /// Appends the gathering of rows, and of their strata's means where they are to be centred.
    pub fn gather(&self, launch: &mut Launch<'_>, centered: bool, x: Slot, [rows, means]: [Slot; 2]) {
        let params = StrataParams { centered: u32::from(centered), ..self.params() };
        let contiguous = usize::from(self.0.layout.blocks == 1);
        launch.flat(Kernel::new(&ROWS, contiguous), &params, &[x], &[rows, means], self.count() * self.d4());
    }

    /// Appends `to`, a matrix of `rows` rows with its entries in another order.
    pub fn order(&self, launch: &mut Launch<'_>, rows: usize, order: Order, [from, to]: [Slot; 2]) {
        let (parts, size) = (self.parts() as u32, self.size() as u32);
        let (p, q) = if order.back { (size, parts) } else { (parts, size) };
        let items = rows * self.d4();
        let params = OrderParams {
            items: items as u32,
            d4: self.d4() as u32,
            p,
            q,
            rows: u32::from(order.rows),
            columns: u32::from(order.columns),
            turned: u32::from(order.turned),
        };
        launch.flat(Kernel::new(&ORDER, usize::from(order.both)), &params, &[from], &[to], items);
    }

    /// Appends `product` of rows a in strata and a matrix b.
    pub fn product(&self, launch: &mut Launch<'_>, product: StrataProduct, [a, b]: [Slot; 2], c: Slot) {
        let (images, d4) = (self.0.n, self.d4() as u32);
        let params = StrataParams {
            alpha: product.alpha,
            of_rows: u32::from(product.of_rows),
            of_columns: u32::from(product.of_columns),
            has_row: u32::from(product.row.is_some()),
            row_stride4: if product.row_each { d4 } else { 0 },
            to: product.to as u32,
            ..self.params()
        };
        let (variant, tile) = if images.is_multiple_of(64) { (0, 64) } else { (1, 32) };
        let columns = self.0.layout.d / SPAN;
        let grid = [images.div_ceil(tile) * columns.div_ceil(2), self.count(), 2].map(|v| v as u32);
        launch.dispatch(Kernel::new(&PRODUCT, variant), &params, &[a, b, product.row.unwrap_or(b)], &[c], grid);
    }

    /// Appends `c = scale a^T b + diagonal I` of rows that `more` rows follow; symmetric where a is b.
    pub fn gram(&self, launch: &mut Launch<'_>, more: usize, [scale, diagonal]: [f32; 2], [a, b]: [Slot; 2], c: Slot) {
        let (strata, n, d) = (self.count(), self.0.n, self.0.layout.d);
        let (rows, runs) = (self.0.rows + more, strata + more.div_ceil(n));
        // Longer sums lose accuracy, as in `gram.rs`.
        let runs_per_split = runs.div_ceil(rows.div_ceil(2048));
        let splits = runs.div_ceil(runs_per_split);
        let partial = launch.scratch("partial", splits * d * d);
        let symmetric = a == b;
        let params = StrataParams {
            rows: rows as u32,
            runs_per_split: runs_per_split as u32,
            symmetric: u32::from(symmetric),
            ..self.params()
        };
        let tiles = (d / SPAN) as u32;
        launch.dispatch(Kernel::new(&GRAM, 0), &params, &[a, b], &[partial], [tiles, tiles, splits as u32]);
        launch_reduce(launch, [1, splits, d, d], (scale, diagonal), symmetric, partial, c);
    }
}

/// From the order of a block to that of strata, or back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Order {
    pub rows: bool,
    pub columns: bool,
    pub back: bool,
    /// Read the transpose.
    pub turned: bool,
    /// Add the transpose.
    pub both: bool,
}

/// Where a product's entries go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Target {
    #[default]
    Rows,
    /// The pixels that patches were gathered from.
    Pixels,
    /// A map with a channel for each feature and the rows of one block as pixels.
    Features,
}

/// `c = alpha a b + row`.
#[derive(Clone, Copy, Debug)]
pub(super) struct StrataProduct {
    pub alpha: f32,
    /// Sum over what is seen of a.
    pub of_rows: bool,
    /// Compute what is seen of c.
    pub of_columns: bool,
    pub row: Option<Slot>,
    /// Each stratum has a row of its own.
    pub row_each: bool,
    pub to: Target,
}

impl Default for StrataProduct {
    fn default() -> Self {
        Self { alpha: 1.0, of_rows: false, of_columns: false, row: None, row_each: false, to: Target::Rows }
    }
}
