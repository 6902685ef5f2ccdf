//! The deconvolution kernels of photographs, with their numbers (Figures 2, 3, 4 and 10 of the paper).

use serde::Serialize;

use super::eigen::{Spectrum, whitened, whiteness};
use super::patches::{PatchStatistics, patch_statistics};
use super::photos::PhotoSet;
use crate::gpu::Gpu;
use crate::ops;
use crate::tape::{DType, Session, State, Tape};
use crate::viz::central_kernels;
use crate::viz::kernels::CenterSurround;
use crate::{Error, Result};

/// What `mexhat kernels` is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct KernelOptions {
    /// Kernel side, k.
    pub kernel_size: usize,
    /// Newton-Schulz iterations, T.
    pub iterations: usize,
    /// Added to the diagonal of the covariance.
    pub eps: f64,
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self { kernel_size: 5, iterations: 15, eps: 1e-5 }
    }
}

impl KernelOptions {
    /// Largest kernel: its covariance has 1,875 rows.
    pub const LARGEST: usize = 25;

    /// # Errors
    /// A number is out of range.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Usage(what));
        if !(1..=Self::LARGEST).contains(&self.kernel_size) {
            return wrong(format!("`kernel_size`: expected 1 to {}, found {}", Self::LARGEST, self.kernel_size));
        }
        if !(1..=100).contains(&self.iterations) {
            return wrong(format!("`iterations`: expected 1 to 100, found {}", self.iterations));
        }
        if !(self.eps > 0.0 && self.eps <= 1.0) {
            return wrong(format!("`eps`: expected a number above 0 and at most 1, such as 1e-5, found {}", self.eps));
        }
        Ok(())
    }
}

/// Kernels and the numbers that go with them.
#[derive(Clone, Debug)]
pub struct KernelStudy {
    /// What was asked for.
    pub options: KernelOptions,
    /// Mean and covariance of the patches.
    pub statistics: PatchStatistics,
    /// `A = C + eps I` as the GPU was given it, (d,d).
    pub covariance: Vec<f32>,
    /// `D ~ A^(-1/2)`, (d,d).
    pub deconv: Vec<f32>,
    /// Rows of D that belong to the central taps, (3,3,k,k).
    pub kernels: Vec<f32>,
    /// Each colour's own kernel, measured; none for k below 3.
    pub centers: Option<[CenterSurround; 3]>,
    /// Eigenvalues of A.
    pub before: Spectrum,
    /// Eigenvalues of D A D.
    pub after: Spectrum,
    /// Distance of D A D from the identity; see [`whiteness`].
    pub whiteness: f64,
}

impl KernelStudy {
    /// Computes the kernels of all photographs together: covariance and Newton-Schulz on the GPU.
    ///
    /// # Errors
    /// An option is out of range; a photograph cannot be read, is too small, or all of them are one flat colour.
    pub async fn run(
        gpu: &Gpu,
        photos: &PhotoSet,
        options: KernelOptions,
        progress: impl FnMut(u64, u64),
    ) -> Result<Self> {
        options.check()?;
        let k = options.kernel_size;
        let statistics = patch_statistics(gpu, photos, k, progress).await?;
        let d = statistics.d();
        if (0..d).all(|i| statistics.covariance[i * d + i] < 1e-12) {
            let what = "expected an image with something to see, found a single flat colour, which has no covariance";
            return Err(Error::input(photos.place(0), what));
        }
        let covariance: Vec<f32> = statistics.regularised(options.eps).iter().map(|v| *v as f32).collect();
        let deconv = inverse_root(gpu, &covariance, d, options.iterations).await?;
        if !deconv.iter().all(|v| v.is_finite()) {
            return Err(Error::Run(format!(
                "Newton-Schulz diverged after {} iterations with eps {}: use fewer iterations or a larger eps",
                options.iterations, options.eps
            )));
        }
        let kernels = central_kernels(&deconv, 3, k)?;
        let own = |c: usize| CenterSurround::of(&kernels[c * 4 * k * k..][..k * k], k);
        let centers = match [own(0), own(1), own(2)] {
            [Some(r), Some(g), Some(b)] => Some([r, g, b]),
            _ => None,
        };
        let exact: Vec<f64> = covariance.iter().map(|v| f64::from(*v)).collect();
        let white = whitened(&exact, &deconv, d);
        Ok(Self {
            options,
            centers,
            before: Spectrum::of(&exact, d),
            after: Spectrum::of(&white, d),
            whiteness: whiteness(&white, d),
            statistics,
            covariance,
            deconv,
            kernels,
        })
    }
}

/// `D ~ A^(-1/2)` of one (d,d) matrix on the GPU, by so many Newton-Schulz iterations.
///
/// # Errors
/// The device failed.
pub async fn inverse_root(gpu: &Gpu, a: &[f32], d: usize, iterations: usize) -> Result<Vec<f32>> {
    let mut tape = Tape::new();
    let input = tape.input("covariance", &[1, d, d], DType::F32);
    let packed = ops::to_vec4(&mut tape, input)?;
    let deconv = ops::newton_schulz(&mut tape, packed, iterations)?;
    tape.output(deconv);
    let outputs = run_once(gpu, &tape, &[a]).await?;
    Ok(outputs.into_iter().next().unwrap_or_default())
}

/// Runs a tape once on the given inputs (row-major, in order).
pub(super) async fn run_once(gpu: &Gpu, tape: &Tape, inputs: &[&[f32]]) -> Result<Vec<Vec<f32>>> {
    let mut compiled = Session::new(gpu, &State::new())?.compile(&[tape])?;
    let Some(compiled) = compiled.first_mut() else { return Ok(Vec::new()) };
    compiled.submit(&inputs.iter().map(|v| bytemuck::cast_slice(v)).collect::<Vec<_>>()).await?;
    Ok(compiled.take().await?.map(|(_, outputs)| outputs).unwrap_or_default())
}
