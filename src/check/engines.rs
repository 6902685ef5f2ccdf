//! A tape on the GPU, under any profile the adapter can run, and through the references.

use crate::gpu::{Executable, Gpu, Pool, Profile};
use crate::tape::{Array, DType, Layout, State, Tape, Type, Values, Var, interpret, lower, plan, state_buffers};
use crate::{Error, Result, software};
use std::collections::{BTreeSet, HashMap};

/// The ways in which kernels may be chosen on the adapter of `gpu`: its own, and those of lesser and other adapters.
pub fn profiles_of(gpu: &Gpu) -> Vec<Profile> {
    software::profiles(gpu.adapter(), gpu.profile())
}

/// Runs one step and returns the tape's outputs, row-major, and the kernels that ran.
///
/// Every buffer of the pool starts full of NaN, as if another step had left garbage there, so an element that is read
/// before it is written shows.
///
/// # Errors
/// What the engine reports, and an output whose padding is not zero.
pub async fn run(
    gpu: &Gpu,
    tape: &Tape,
    state: &State,
    values: &HashMap<Var, Array>,
    profile: Profile,
) -> Result<(Vec<Vec<f64>>, BTreeSet<String>)> {
    let program = lower(tape, profile)?;
    let plan = plan(&program);
    let pool = Pool::new(gpu, &plan.sizes)?;
    for buffer in pool.buffers() {
        gpu.write(buffer, &f32::NAN.to_le_bytes().repeat(buffer.bytes() as usize / 4));
    }
    let tensors = state_buffers(gpu, state)?;
    for ((_, tensor), buffer) in state.iter().zip(&tensors) {
        gpu.write(buffer, bytemuck::cast_slice(&tensor.ty.encode(&tensor.values)));
    }
    let mut executable = Executable::new(gpu, &program, &plan.places, &pool, &tensors)?;
    let inputs: Vec<Vec<u8>> = tape.inputs().iter().map(|var| bytes(&values[var], tape.ty(*var).dtype)).collect();
    executable.submit(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>()).await?;
    let stored = executable.take().await?.map(|(_, stored)| stored).unwrap_or_default();
    if stored.len() != tape.outputs().len() {
        return Err(Error::Run(format!("{} outputs expected, found {}", tape.outputs().len(), stored.len())));
    }
    let mut outputs = Vec::new();
    for (stored, var) in stored.iter().zip(tape.outputs()) {
        let ty = tape.ty(*var);
        let values = ty.decode(stored);
        if !padding_is_zero(ty, &values, stored) {
            return Err(Error::Run(format!("the padding of output {ty} is not zero")));
        }
        outputs.push(values.into_iter().map(f64::from).collect());
    }
    Ok((outputs, executable.kernels().iter().cloned().collect()))
}

/// Vectors of four end in zeros, and so do row-major buffers of one dimension, which kernels read as vectors. What lies
/// behind the last vector, of 16-bit floats, nobody reads.
fn padding_is_zero(ty: &Type, values: &[f32], stored: &[f32]) -> bool {
    if ty.layout == Layout::Plain && ty.shape.len() != 1 {
        return true;
    }
    let same = |(a, b): (&f32, &f32)| a == b || a.is_nan() && b.is_nan();
    let mut expected = ty.encode(values);
    if ty.layout == Layout::Plain {
        expected.resize(stored.len(), 0.0);
    }
    expected.iter().zip(stored).all(same)
}

fn bytes(value: &Array, dtype: DType) -> Vec<u8> {
    let word = |v: &f64| match dtype {
        DType::F32 => (*v as f32).to_le_bytes(),
        DType::U32 => (*v as i64 as u32).to_le_bytes(),
    };
    value.data.iter().flat_map(word).collect()
}

/// The tape's outputs through the references.
pub fn on_cpu(tape: &Tape, state: &State, values: &HashMap<Var, Array>) -> Vec<Vec<f64>> {
    let mut run = Values::default();
    for (var, value) in values {
        run.set(*var, value.clone());
    }
    interpret(tape, state, &mut run);
    tape.outputs().iter().map(|var| run.get(tape, *var).data).collect()
}
