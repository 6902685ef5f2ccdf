//! A program with its buffers, pipelines and bind groups, ready to be replayed.

use super::counters::Live;
use super::ring::Ring;
use super::{Buffer, Dispatch, Gpu, Program, Slot, SlotKind};
use crate::{Error, Result};

/// Buffers for everything that does not outlive a step; programs that never run at the same time share one pool.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    buffers: Vec<Buffer>,
}

impl Pool {
    /// Creates buffers of the given sizes in bytes.
    pub fn new(gpu: &Gpu, sizes: &[u64]) -> Result<Self> {
        let buffers = sizes.iter().map(|bytes| gpu.buffer("pool", *bytes)).collect::<Result<_>>()?;
        Ok(Self { buffers })
    }

    /// The buffers, in the order of their sizes in [`Pool::new`].
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(Buffer::bytes).sum()
    }
}

/// Number of a submitted step of one [`Executable`], counted from 0.
pub type Ticket = u64;

struct Launch {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: [u32; 3],
}

/// A program ready to run. Creating it is the slow part; submitting allocates nothing on the device.
pub struct Executable {
    gpu: Gpu,
    launches: Vec<Launch>,
    ops: Vec<&'static str>,
    kernels: Vec<String>,
    /// Buffer, offset in the staging buffer, bytes.
    uploads: Vec<(Buffer, u64, u64)>,
    downloads: Vec<(Buffer, u64, u64)>,
    ring: Ring,
    ring_bytes: u64,
}

fn offsets(buffers: Vec<(Buffer, u64)>) -> (Vec<(Buffer, u64, u64)>, u64) {
    let mut at = 0;
    let placed = buffers
        .into_iter()
        .map(|(buffer, bytes)| {
            let offset = at;
            at += bytes;
            (buffer, offset, bytes)
        })
        .collect();
    (placed, at)
}

impl Executable {
    /// Builds pipelines and bind groups of `program`. `places[slot]` is the pool buffer of every slot that is not state.
    pub fn new(gpu: &Gpu, program: &Program, places: &[usize], pool: &Pool, state: &[Buffer]) -> Result<Self> {
        let buffer = |slot: Slot| match program.slots[slot.0].kind {
            SlotKind::State(index) => &state[index],
            _ => &pool.buffers[places[slot.0]],
        };
        let sized = |slots: &[Slot]| -> Vec<(Buffer, u64)> {
            slots.iter().map(|slot| (buffer(*slot).clone(), program.slots[slot.0].bytes)).collect()
        };
        let (params, starts) = upload_params(gpu, program);
        #[cfg(not(target_arch = "wasm32"))]
        let new = gpu.prepare(program.dispatches.iter().map(|dispatch| &dispatch.kernel));
        let launches: Vec<Launch> = program
            .dispatches
            .iter()
            .zip(starts)
            .map(|(dispatch, start)| launch(gpu, dispatch, &params, start, program, &buffer))
            .collect();
        #[cfg(not(target_arch = "wasm32"))]
        warm(gpu, program, &launches, &new);
        let (uploads, up) = offsets(sized(&program.inputs));
        let (downloads, down) = offsets(sized(&program.outputs));
        gpu.check()?;
        Ok(Self {
            gpu: gpu.clone(),
            launches,
            ops: program.dispatches.iter().map(|d| d.op).collect(),
            kernels: program.dispatches.iter().map(|d| d.kernel.key()).collect(),
            uploads,
            downloads,
            ring: Ring::new(gpu, up, down),
            ring_bytes: (up + down) * 3 + params.size(),
        })
    }

    /// Bytes that belong to this executable alone: parameters and rings.
    pub fn bytes(&self) -> u64 {
        self.ring_bytes
    }

    /// Dispatches in one step.
    pub fn dispatches(&self) -> usize {
        self.launches.len()
    }

    /// The operation of each dispatch.
    pub fn ops(&self) -> &[&'static str] {
        &self.ops
    }

    /// The kernel of each dispatch.
    pub fn kernels(&self) -> &[String] {
        &self.kernels
    }

    pub(super) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// Uploads `inputs` (bytes of each program input, in order), runs one step and asks for its outputs.
    ///
    /// One submission. Waits only when the ring is full, that is when the GPU is several steps behind.
    pub async fn submit(&mut self, inputs: &[&[u8]]) -> Result<Ticket> {
        self.check_inputs(inputs)?;
        self.ring.acquire(&self.gpu).await?;
        let mut encoder = self.gpu.inner.device.create_command_encoder(&Default::default());
        if let Some(staging) = self.ring.stage(&self.gpu, inputs)? {
            for (buffer, offset, bytes) in &self.uploads {
                encoder.copy_buffer_to_buffer(&staging, *offset, &buffer.raw, 0, *bytes);
            }
        }
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for index in 0..self.launches.len() {
                self.encode(&mut pass, index);
            }
        }
        if let Some(readback) = self.ring.readback() {
            for (buffer, offset, bytes) in &self.downloads {
                encoder.copy_buffer_to_buffer(&buffer.raw, 0, &readback, *offset, *bytes);
            }
        }
        let submission = self.gpu.submit(encoder);
        Live::add(&self.gpu.inner.live.dispatches, self.launches.len() as u64);
        self.gpu.check()?;
        Ok(self.ring.submitted(submission))
    }

    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass<'_>, index: usize) {
        let launch = &self.launches[index];
        pass.set_pipeline(&launch.pipeline);
        pass.set_bind_group(0, &launch.bind_group, &[]);
        pass.dispatch_workgroups(launch.grid[0], launch.grid[1], launch.grid[2]);
    }

    fn check_inputs(&self, inputs: &[&[u8]]) -> Result<()> {
        let fits = inputs.len() == self.uploads.len()
            && inputs.iter().zip(&self.uploads).all(|(input, (_, _, bytes))| input.len() as u64 <= *bytes);
        if fits {
            return Ok(());
        }
        let found: Vec<_> = inputs.iter().map(|input| input.len()).collect();
        let expected: Vec<_> = self.uploads.iter().map(|(_, _, bytes)| bytes).collect();
        Err(Error::Usage(format!("inputs of a step: expected {expected:?} bytes, found {found:?}")))
    }

    fn split(&self, bytes: &[u8]) -> Vec<Vec<f32>> {
        self.downloads
            .iter()
            .map(|(_, offset, size)| bytemuck::pod_collect_to_vec(&bytes[*offset as usize..(*offset + *size) as usize]))
            .collect()
    }

    /// The oldest finished step not taken yet: its number and its outputs, without waiting.
    pub fn try_take(&mut self) -> Result<Option<(Ticket, Vec<Vec<f32>>)>> {
        self.ring.poll(&self.gpu)?;
        Ok(self.ring.take().map(|(ticket, bytes)| (ticket, self.split(&bytes))))
    }

    /// The oldest step not taken yet, waiting for it; `None` when none is in flight.
    pub async fn take(&mut self) -> Result<Option<(Ticket, Vec<Vec<f32>>)>> {
        let taken = self.ring.wait(&self.gpu).await?;
        self.gpu.check()?;
        Ok(taken.map(|(ticket, bytes)| (ticket, self.split(&bytes))))
    }

    /// Waits until nothing is in flight, dropping outputs that nobody took.
    pub async fn wait_idle(&mut self) -> Result<()> {
        while self.take().await?.is_some() {}
        Ok(())
    }
}

/// Has the driver compile the kernels called `new` now rather than within the first step.
#[cfg(not(target_arch = "wasm32"))]
fn warm(gpu: &Gpu, program: &Program, launches: &[Launch], new: &[String]) {
    let keys: Vec<String> = program.dispatches.iter().map(|dispatch| dispatch.kernel.key()).collect();
    let first_use = |key: &String| keys.iter().position(|known| known == key).map(|at| &launches[at]);
    let firsts: Vec<_> =
        new.iter().filter_map(first_use).map(|launch| (&launch.pipeline, &launch.bind_group)).collect();
    gpu.warm(&firsts);
}

/// Puts the parameters of all dispatches into one uniform buffer; returns it and the offset of each.
fn upload_params(gpu: &Gpu, program: &Program) -> (wgpu::Buffer, Vec<u64>) {
    let align = u64::from(gpu.inner.device.limits().min_uniform_buffer_offset_alignment);
    let mut bytes = Vec::new();
    let mut starts = Vec::with_capacity(program.dispatches.len());
    for dispatch in &program.dispatches {
        bytes.resize((bytes.len() as u64).next_multiple_of(align) as usize, 0);
        starts.push(bytes.len() as u64);
        bytes.extend_from_slice(&dispatch.params);
    }
    bytes.resize(bytes.len().next_multiple_of(16).max(16), 0);
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let buffer = gpu.raw_buffer("parameters", bytes.len() as u64, usage, false);
    gpu.inner.queue.write_buffer(&buffer, 0, &bytes);
    (buffer, starts)
}

fn launch<'a>(
    gpu: &Gpu,
    dispatch: &Dispatch,
    params: &wgpu::Buffer,
    start: u64,
    program: &Program,
    buffer: &impl Fn(Slot) -> &'a Buffer,
) -> Launch {
    let uniform = wgpu::BufferBinding {
        buffer: params,
        offset: start,
        size: wgpu::BufferSize::new(dispatch.params.len() as u64),
    };
    let mut entries = vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(uniform) }];
    for (i, slot) in dispatch.reads.iter().chain(&dispatch.writes).enumerate() {
        let binding = wgpu::BufferBinding {
            buffer: &buffer(*slot).raw,
            offset: 0,
            size: wgpu::BufferSize::new(program.slots[slot.0].bytes),
        };
        let resource = wgpu::BindingResource::Buffer(binding);
        entries.push(wgpu::BindGroupEntry { binding: i as u32 + 1, resource });
    }
    let layout = gpu.layout(dispatch.kernel.shader.reads, dispatch.kernel.shader.writes);
    Live::add(&gpu.inner.live.bind_groups, 1);
    Launch {
        pipeline: gpu.pipeline(&dispatch.kernel),
        bind_group: gpu.inner.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(dispatch.op),
            layout: &layout,
            entries: &entries,
        }),
        grid: dispatch.grid,
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Executable {
    /// Submits one step and waits for its outputs; every earlier step must have been taken.
    pub fn run_blocking(&mut self, inputs: &[&[u8]]) -> Result<Vec<Vec<f32>>> {
        pollster::block_on(async {
            self.submit(inputs).await?;
            let taken = self.take().await?;
            Ok(taken.map(|(_, outputs)| outputs).unwrap_or_default())
        })
    }
}
