//! A tape on the GPU, under any profile the adapter can run, and through the twins.

use mexhat::Result;
use mexhat::gpu::{Executable, Gpu, Pool, Profile, SlotKind};
use mexhat::tape::{Array, DType, State, Tape, Values, Var, interpret, lower, plan};
use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

/// One device for all tests of a program, so that each pipeline is compiled once.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| {
        let choice = std::env::var("MEXHAT_DEVICE").ok();
        Gpu::open_blocking(choice.as_deref()).unwrap_or_else(|e| panic!("{e}"))
    })
}

/// The ways in which kernels may be chosen on this adapter: its own, and those of lesser and other adapters.
pub fn profiles() -> Vec<Profile> {
    let own = gpu().profile();
    let mut profiles = vec![own];
    for software in [true, false] {
        for subgroup in [0, own.subgroup] {
            let profile = Profile { software, subgroup };
            if !profiles.contains(&profile) {
                profiles.push(profile);
            }
        }
    }
    profiles
}

/// Runs one step and returns the tape's outputs, row-major, and the kernels that ran.
pub fn on_gpu(
    tape: &Tape,
    state: &State,
    values: &HashMap<Var, Array>,
    profile: Profile,
) -> Result<(Vec<Vec<f64>>, BTreeSet<String>)> {
    let gpu = gpu();
    let program = lower(tape, profile);
    let plan = plan(&program);
    let pool = Pool::new(gpu, &plan.sizes)?;
    let mut tensors = Vec::new();
    for (_, tensor) in state.iter() {
        let buffer = gpu.buffer(&tensor.name, tensor.ty.bytes())?;
        gpu.write(&buffer, bytemuck::cast_slice(&tensor.ty.encode(&tensor.values)));
        tensors.push(buffer);
    }
    let mut executable = Executable::new(gpu, &program, &plan.places, &pool, &tensors)?;
    let inputs: Vec<Vec<u8>> = tape.inputs().iter().map(|var| bytes(&values[var], tape.ty(*var).dtype)).collect();
    let stored = executable.run_blocking(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    let outputs = stored
        .iter()
        .zip(tape.outputs())
        .map(|(stored, var)| tape.ty(*var).decode(stored).into_iter().map(f64::from).collect())
        .collect();
    Ok((outputs, executable.kernels().iter().cloned().collect()))
}

fn bytes(value: &Array, dtype: DType) -> Vec<u8> {
    let word = |v: &f64| match dtype {
        DType::F32 => (*v as f32).to_le_bytes(),
        DType::U32 => (*v as i64 as u32).to_le_bytes(),
    };
    value.data.iter().flat_map(word).collect()
}

/// The tape's outputs through the twins.
pub fn on_cpu(tape: &Tape, state: &State, values: &HashMap<Var, Array>) -> Vec<Vec<f64>> {
    let mut run = Values::default();
    for (var, value) in values {
        run.set(*var, value.clone());
    }
    interpret(tape, state, &mut run);
    tape.outputs().iter().map(|var| run.get(tape, *var).data).collect()
}

/// Kernels that a tape would run under `profile`; needs no device.
pub fn kernels(tape: &Tape, profile: Profile) -> BTreeSet<String> {
    let program = lower(tape, profile);
    debug_assert!(program.slots.iter().all(|slot| slot.bytes > 0 || slot.kind == SlotKind::Input));
    program.dispatches.iter().map(|dispatch| dispatch.kernel.key()).collect()
}
