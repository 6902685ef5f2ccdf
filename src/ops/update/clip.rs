//! Gradients clipped by their norm over all parameters.

use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::tape::{Array, Launch, Layout, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct PartsParams { len: u32, vectors_per_group: u32 }
}
kernel_params! {
    struct TotalParams { parts: u32, has_before: u32 }
}
kernel_params! {
    struct ClipParams { vectors: u32, max_norm: f32 }
}

static PARTS: Shader = Shader::new::<PartsParams>("update/squared_norm.wgsl", 1, 1);
static TOTAL: Shader = Shader::new::<TotalParams>("update/squared_norm_total.wgsl", 2, 1);
static CLIP: Shader = Shader::new::<ClipParams>("update/clip.wgsl", 2, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&PARTS, &TOTAL, &CLIP];

/// Vectors of four that a workgroup squares, and the most workgroups.
const VECTORS: usize = 512;
const MOST_GROUPS: usize = 256;

/// Each of `gradients` times `min(1, max_norm / (|g| + 1e-6))`, where `|g|` is the norm of all of them together, as
/// `torch.nn.utils.clip_grad_norm_`. Two reads and one write per element; for updates, without a gradient of its own.
///
/// # Errors
/// `max_norm` is not a positive number.
pub fn clip_grad_norm(tape: &mut Tape, gradients: &[Var], max_norm: f32) -> Result<Vec<Var>> {
    if !(max_norm > 0.0 && max_norm.is_finite()) {
        return Err(Error::shape("clip_grad_norm", format!("expected a norm above 0, found {max_norm}")));
    }
    let Some(total) = squared_norm(tape, gradients)? else { return Ok(Vec::new()) };
    gradients.iter().map(|gradient| tape.apply1(Clip { max_norm }, &[*gradient, total])).collect()
}

/// The squared norm of all `gradients` together, [1]; `None` where there are none.
pub(super) fn squared_norm(tape: &mut Tape, gradients: &[Var]) -> Result<Option<Var>> {
    let mut total: Option<Var> = None;
    for gradient in gradients {
        let inputs: Vec<Var> = std::iter::once(*gradient).chain(total).collect();
        total = Some(tape.apply1(SquaredNorm, &inputs)?);
    }
    Ok(total)
}

/// `sum x^2`, added to a second input where there is one.
#[derive(Debug)]
struct SquaredNorm;

impl Op for SquaredNorm {
    fn name(&self) -> &'static str {
        "squared_norm"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        if inputs[0].layout != Layout::Plain {
            return Err(Error::shape(self.name(), format!("expected a parameter's gradient, found {}", inputs[0])));
        }
        Ok(vec![Type::plain(&[1])])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (len, reads, total) = (launch.inputs[0].stored(), launch.reads.clone(), launch.writes[0]);
        let vectors = len.div_ceil(4);
        let groups = vectors.div_ceil(VECTORS).clamp(1, MOST_GROUPS);
        let parts = launch.scratch("parts", groups.next_multiple_of(4));
        let params = PartsParams { len: len as u32, vectors_per_group: vectors.div_ceil(groups) as u32 };
        launch.dispatch(Kernel::new(&PARTS, 0), &params, &reads[..1], &[parts], [groups as u32, 1, 1]);
        let params = TotalParams { parts: groups as u32, has_before: u32::from(reads.len() > 1) };
        let before = reads.get(1).copied().unwrap_or(parts);
        launch.dispatch(Kernel::new(&TOTAL, 0), &params, &[parts, before], &[total], [1, 1, 1]);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let before = inputs.get(1).map_or(0.0, |before| before.data[0]);
        let sum = inputs[0].data.iter().map(|v| v * v).sum::<f64>();
        vec![Array { shape: vec![1], data: vec![before + sum] }]
    }
}

/// `x min(1, max_norm / (sqrt(total) + 1e-6))`.
#[derive(Debug)]
struct Clip {
    max_norm: f32,
}

impl Op for Clip {
    fn name(&self) -> &'static str {
        "clip_grad_norm"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![inputs[0].clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let vectors = launch.inputs[0].stored().div_ceil(4);
        let params = ClipParams { vectors: vectors as u32, max_norm: self.max_norm };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&CLIP, 0), &params, &reads, &writes, vectors);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let factor = (f64::from(self.max_norm) / (inputs[1].data[0].sqrt() + 1e-6)).min(1.0);
        vec![inputs[0].map(|v| v * factor)]
    }
}
