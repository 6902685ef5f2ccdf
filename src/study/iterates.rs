//! `D` after each Newton-Schulz step, coupled and uncoupled, and how far each is from an inverse root.

use super::eigen::{whitened, whiteness};
use super::kernels::run_once;
use crate::Result;
use crate::gpu::Gpu;
use crate::ops;
use crate::tape::{DType, Tape};

/// `D` after each of `iterations` steps of a covariance (d,d), by the coupled or the uncoupled iteration (method,
/// section 5).
///
/// # Errors
/// The device failed.
pub async fn iterates(gpu: &Gpu, a: &[f32], d: usize, iterations: usize, coupled: bool) -> Result<Vec<Vec<f32>>> {
    let mut tape = Tape::new();
    let input = tape.input("covariance", &[1, d, d], DType::F32);
    let packed = ops::to_vec4(&mut tape, input)?;
    let vars = if coupled {
        ops::newton_schulz_all(&mut tape, packed, iterations)?.z
    } else {
        ops::newton_schulz_uncoupled(&mut tape, packed, iterations)?
    };
    vars.into_iter().for_each(|var| tape.output(var));
    let mut outputs = run_once(gpu, &tape, &[a]).await?;
    if coupled {
        // The iterates are before the division by the root of the norm.
        let scale = start_scale(a);
        outputs.iter_mut().flatten().for_each(|v| *v *= scale);
    }
    Ok(outputs)
}

/// What D is before the first step, times the identity: `1 / sqrt(||A||_F)`.
pub fn start_scale(a: &[f32]) -> f32 {
    let norm = a.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    (1.0 / norm.sqrt()) as f32
}

/// `||D A D - I||_F` in `f64` from the D of each iteration.
pub fn residuals(a: &[f64], deconvs: &[Vec<f32>], d: usize) -> Vec<f64> {
    deconvs.iter().map(|deconv| whiteness(&whitened(a, deconv, d), d) * (d as f64).sqrt()).collect()
}
