//! State on a GPU and the tapes that run on it.

use super::{Plan, Source, State, StateId, Tape, Var, lower, plan};
use crate::gpu::{Buffer, Executable, Gpu, Pool, PoolSizes, Ticket};
use crate::{Error, Result};
use std::collections::HashMap;

/// A tape ready to run on a session.
pub struct Compiled {
    executable: Executable,
    input_types: Vec<super::Type>,
    output_types: Vec<super::Type>,
    inputs: Vec<Var>,
}

impl Compiled {
    /// The program on the device.
    pub fn executable(&mut self) -> &mut Executable {
        &mut self.executable
    }

    /// Inputs in the order in which [`Compiled::submit`] takes them.
    pub fn inputs(&self) -> &[Var] {
        &self.inputs
    }

    /// Uploads one step's inputs (row-major bytes, in order) and submits the step.
    ///
    /// # Errors
    /// An input is missing or has another length than its shape's; the device fails.
    pub async fn submit(&mut self, inputs: &[&[u8]]) -> Result<Ticket> {
        self.executable.submit(inputs).await
    }

    fn decode(&self, outputs: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        outputs.iter().zip(&self.output_types).map(|(stored, ty)| ty.decode(stored)).collect()
    }

    /// The oldest finished step not taken yet: row-major outputs, in order, without waiting.
    pub fn try_take(&mut self) -> Result<Option<(Ticket, Vec<Vec<f32>>)>> {
        Ok(self.executable.try_take()?.map(|(ticket, outputs)| (ticket, self.decode(outputs))))
    }

    /// The oldest step not taken yet, waiting for it; `None` when none is in flight.
    pub async fn take(&mut self) -> Result<Option<(Ticket, Vec<Vec<f32>>)>> {
        Ok(self.executable.take().await?.map(|(ticket, outputs)| (ticket, self.decode(outputs))))
    }

    /// Runs one step on the given inputs, row-major, and waits for its outputs.
    ///
    /// # Errors
    /// An input is missing, or has the wrong number of elements.
    pub async fn run(&mut self, values: &HashMap<Var, Vec<f32>>) -> Result<Vec<Vec<f32>>> {
        let mut inputs = Vec::new();
        for (var, ty) in self.inputs.iter().zip(&self.input_types) {
            let given = values.get(var).ok_or_else(|| Error::Usage(format!("input {} {ty} is missing", var.0)))?;
            if given.len() != ty.len() {
                let found = given.len();
                return Err(Error::Usage(format!("input {} needs {} values {ty}, found {found}", var.0, ty.len())));
            }
            inputs.push(match ty.dtype {
                super::DType::F32 => bytemuck::cast_slice(&ty.encode(given)).to_vec(),
                super::DType::U32 => given.iter().flat_map(|v| (*v as i64 as u32).to_le_bytes()).collect::<Vec<u8>>(),
            });
        }
        self.executable.wait_idle().await?;
        self.submit(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>()).await?;
        Ok(self.take().await?.map(|(_, outputs)| outputs).unwrap_or_default())
    }
}

/// Where the bytes of a session are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Parameters, buffers, moments.
    pub state: u64,
    /// Everything between the first and the last operation of a step.
    pub pool: u64,
    /// Parameters of kernels, staging and read-back rings.
    pub rings: u64,
}

impl MemoryUse {
    /// All bytes.
    pub fn total(&self) -> u64 {
        self.state + self.pool + self.rings
    }
}

/// Buffers for the tensors of `state`.
///
/// # Errors
/// A tensor is too large for the adapter.
pub fn state_buffers(gpu: &Gpu, state: &State) -> Result<Vec<Buffer>> {
    state.iter().map(|(_, tensor)| gpu.buffer(&tensor.name, tensor.ty.bytes())).collect()
}

/// State on a GPU.
pub struct Session {
    gpu: Gpu,
    buffers: Vec<Buffer>,
    pool: Pool,
    memory: MemoryUse,
}

/// Bytes that [`Session::compile`] will allocate for the pool of `tapes`, known without a device.
///
/// # Errors
/// As [`lower`].
pub fn planned_pool_bytes(tapes: &[&Tape], profile: crate::gpu::Profile) -> Result<u64> {
    Ok(planned_pool(tapes, profile)?.bytes())
}

/// The pool that [`Session::compile`] will allocate for `tapes`.
///
/// # Errors
/// As [`lower`].
pub fn planned_pool(tapes: &[&Tape], profile: crate::gpu::Profile) -> Result<PoolSizes> {
    let programs = tapes.iter().map(|tape| lower(tape, profile));
    let mut plans: Vec<Plan> = programs.map(|program| Ok(plan(&program?))).collect::<Result<_>>()?;
    Ok(Plan::share(&mut plans))
}

impl Session {
    /// Uploads `state`.
    ///
    /// # Errors
    /// A tensor is too large for the adapter, or there is not enough memory for all; then none was taken.
    pub fn new(gpu: &Gpu, state: &State) -> Result<Self> {
        gpu.check_room(state.bytes())?;
        let session = Self {
            gpu: gpu.clone(),
            buffers: state_buffers(gpu, state)?,
            pool: Pool::default(),
            memory: MemoryUse { state: state.bytes(), ..Default::default() },
        };
        session.upload(state);
        Ok(session)
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Where the bytes are.
    pub fn memory(&self) -> MemoryUse {
        self.memory
    }

    /// Overwrites the device's tensors with the host's.
    pub fn upload(&self, state: &State) {
        for ((_, tensor), buffer) in state.iter().zip(&self.buffers) {
            self.gpu.write(buffer, bytemuck::cast_slice(&tensor.ty.encode(&tensor.values)));
        }
    }

    /// Overwrites the host's tensors with the device's. Waits for the device.
    pub async fn download(&self, state: &mut State) -> Result<()> {
        let ids: Vec<StateId> = state.iter().map(|(id, _)| id).collect();
        self.download_some(state, &ids).await
    }

    /// As [`Session::download`] for some tensors.
    pub async fn download_some(&self, state: &mut State, ids: &[StateId]) -> Result<()> {
        let buffers: Vec<&Buffer> = ids.iter().map(|id| &self.buffers[id.0]).collect();
        let read = self.gpu.read(&buffers).await?;
        for (id, bytes) in ids.iter().zip(read) {
            let tensor = state.get_mut(*id);
            tensor.values = tensor.ty.decode(&bytemuck::pod_collect_to_vec::<u8, f32>(&bytes));
        }
        Ok(())
    }

    /// Plans and builds `tapes`, which share one pool of buffers and so must not be replayed at the same time
    /// (each is one submission, so in order is enough).
    ///
    /// # Errors
    /// As [`lower`]; a buffer is too large for the adapter, or there is not enough memory for all; then none was taken.
    pub fn compile(&mut self, tapes: &[&Tape]) -> Result<Vec<Compiled>> {
        let programs: Vec<_> = tapes.iter().map(|tape| lower(tape, self.gpu.profile())).collect::<Result<_>>()?;
        let mut plans: Vec<Plan> = programs.iter().map(plan).collect();
        let sizes = Plan::share(&mut plans);
        self.gpu.check_pool(&sizes)?;
        self.gpu.check_room(sizes.bytes())?;
        self.pool = Pool::new(&self.gpu, &sizes)?;
        self.memory.pool += sizes.bytes();
        let mut compiled = Vec::with_capacity(tapes.len());
        for ((tape, program), plan) in tapes.iter().zip(&programs).zip(&plans) {
            let executable = Executable::new(&self.gpu, program, &plan.places, &self.pool, &self.buffers)?;
            self.memory.rings += executable.bytes();
            let inputs = tape.inputs();
            compiled.push(Compiled {
                executable,
                input_types: inputs.iter().map(|var| tape.ty(*var).clone()).collect(),
                output_types: tape.outputs().iter().map(|var| tape.ty(*var).clone()).collect(),
                inputs,
            });
        }
        Ok(compiled)
    }
}

/// The state tensors that a tape reads or updates.
pub fn used_state(tape: &Tape) -> Vec<StateId> {
    tape.vars()
        .iter()
        .filter_map(|info| match info.source {
            Source::State(id) => Some(id),
            _ => None,
        })
        .collect()
}
