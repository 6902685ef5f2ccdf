//! A program with its buffers, pipelines and bind groups, ready to be replayed.

use super::counters::Live;
#[cfg(not(target_arch = "wasm32"))]
use super::exchange::Exchanges;
use super::image::{self, Copy};
use super::ring::Ring;
use super::{Buffer, Dispatch, Gpu, Program, Slot, SlotInfo, SlotKind, Storage};
use crate::{Error, Result};

/// What a [`Pool`] consists of.
#[derive(Clone, Debug, Default)]
pub struct PoolSizes {
    /// What each place is, and its bytes.
    pub places: Vec<(Storage, u64)>,
}

impl PoolSizes {
    /// A place for every slot of `program`, whatever its lifetime.
    pub fn of_slots(program: &Program) -> Self {
        Self { places: program.slots.iter().map(|slot| (slot.storage, slot.bytes)).collect() }
    }

    /// Bytes of everything.
    pub fn bytes(&self) -> u64 {
        self.places.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// What a place of a pool holds.
#[derive(Clone, Debug)]
enum Resource {
    Buffer(Buffer),
    Image(wgpu::Texture),
}

/// Buffers and images for everything that does not outlive a step; programs that never run at the same time share one
/// pool.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    resources: Vec<Resource>,
}

impl Pool {
    /// Creates what `sizes` says.
    ///
    /// # Errors
    /// Something is too large for the adapter.
    pub fn new(gpu: &Gpu, sizes: &PoolSizes) -> Result<Self> {
        let create = |(storage, bytes): &(Storage, u64)| match storage {
            Storage::Buffer => Ok(Resource::Buffer(gpu.buffer(super::room::POOL, *bytes)?)),
            Storage::Image(layout) => Ok(Resource::Image(image::create(gpu, *layout, *bytes)?)),
        };
        Ok(Self { resources: sizes.places.iter().map(create).collect::<Result<_>>()? })
    }

    /// The buffer at `place`, if there is one.
    pub fn buffer(&self, place: usize) -> Option<&Buffer> {
        match self.resources.get(place)? {
            Resource::Buffer(buffer) => Some(buffer),
            Resource::Image(_) => None,
        }
    }

    /// The buffers, in the order of their places.
    pub fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        (0..self.resources.len()).filter_map(|place| self.buffer(place))
    }
}

/// Number of a submitted step of one [`Executable`], counted from 0.
pub type Ticket = u64;

struct Launch {
    /// What is copied to images before it.
    copies: Vec<Copy>,
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
    uploads: Vec<Upload>,
    /// Buffer, offset in the read-back buffer, bytes.
    downloads: Vec<(Buffer, u64, u64)>,
    /// Which of them are of 16-bit floats.
    halves: Vec<bool>,
    ring: Ring,
    ring_bytes: u64,
    #[cfg(not(target_arch = "wasm32"))]
    exchanges: Exchanges,
}

/// An input of every step.
struct Upload {
    label: String,
    buffer: Buffer,
    /// Where it begins in the staging buffer.
    offset: u64,
    /// Bytes that the host gives.
    content: u64,
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
    /// Builds pipelines and bind groups of `program`. `places[slot]` is the place in the pool of every slot that is not
    /// state.
    pub fn new(gpu: &Gpu, program: &Program, places: &[usize], pool: &Pool, state: &[Buffer]) -> Result<Self> {
        let resource = |slot: Slot| {
            let SlotInfo { kind, bytes, .. } = &program.slots[slot.0];
            match kind {
                SlotKind::State(index) => Resource::Buffer(state[*index].first(*bytes)),
                _ => match &pool.resources[places[slot.0]] {
                    Resource::Buffer(buffer) => Resource::Buffer(buffer.first(*bytes)),
                    Resource::Image(texture) => Resource::Image(texture.clone()),
                },
            }
        };
        let sized = |slots: &[Slot]| {
            let buffers = slots.iter().filter_map(|slot| match resource(*slot) {
                Resource::Buffer(buffer) => Some((buffer, program.slots[slot.0].bytes)),
                Resource::Image(_) => None,
            });
            buffers.collect::<Vec<_>>()
        };
        let (params, starts) = upload_params(gpu, program);
        #[cfg(not(target_arch = "wasm32"))]
        let new = gpu.prepare(program.dispatches.iter().map(|dispatch| &dispatch.kernel));
        let bound = Bound { gpu, program, params: &params, resource };
        let launches: Vec<Launch> =
            program.dispatches.iter().zip(starts).map(|(dispatch, start)| bound.launch(dispatch, start)).collect();
        #[cfg(not(target_arch = "wasm32"))]
        warm(gpu, program, &launches, &new);
        #[cfg(not(target_arch = "wasm32"))]
        let exchanges = Exchanges::new(gpu, program, |slot| match resource(slot) {
            Resource::Buffer(buffer) => Some(buffer),
            Resource::Image(_) => None,
        });
        let (placed, up) = offsets(sized(&program.inputs));
        let uploads = program.inputs.iter().zip(placed).map(|(slot, (buffer, offset, _))| {
            let info = &program.slots[slot.0];
            Upload { label: info.label.clone(), buffer, offset, content: info.content }
        });
        let (downloads, down) = offsets(sized(&program.outputs));
        let ring = Ring::new(gpu, up, down);
        gpu.check()?;
        Ok(Self {
            gpu: gpu.clone(),
            launches,
            ops: program.dispatches.iter().map(|d| d.op).collect(),
            kernels: program.dispatches.iter().map(|d| d.kernel.key()).collect(),
            uploads: uploads.collect(),
            downloads,
            halves: program.outputs.iter().map(|slot| program.slots[slot.0].half).collect(),
            ring,
            ring_bytes: (up + down) * 3 + params.size(),
            #[cfg(not(target_arch = "wasm32"))]
            exchanges,
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
    /// One submission, and one more for each time that several processes average. Waits only for them and when the ring
    /// is full, that is when the GPU is several steps behind.
    ///
    /// # Errors
    /// An input is missing or has another length than its buffer's content; the device fails.
    pub async fn submit(&mut self, inputs: &[&[u8]]) -> Result<Ticket> {
        self.check_inputs(inputs)?;
        self.ring.acquire(&self.gpu).await?;
        let mut encoder = self.gpu.inner.device.create_command_encoder(&Default::default());
        let placed = self.uploads.iter().map(|upload| upload.offset as usize).zip(inputs.iter().copied());
        if let Some(staging) = self.ring.stage(&self.gpu, placed)? {
            for Upload { buffer, offset, .. } in &self.uploads {
                encoder.copy_buffer_to_buffer(&staging, *offset, &buffer.raw, 0, buffer.bytes());
            }
        }
        // A page has no other processes, and would download what waits for them.
        #[cfg(target_arch = "wasm32")]
        let from = 0;
        #[cfg(not(target_arch = "wasm32"))]
        let from = match self.average(&mut encoder).await {
            Ok(from) => from,
            Err(error) => {
                self.ring.failed();
                return Err(error);
            }
        };
        encode_all(&self.launches[from..], &mut encoder);
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

    /// Runs all launches up to the last cut, behind which nothing is averaged; returns how many.
    #[cfg(not(target_arch = "wasm32"))]
    async fn average(&mut self, encoder: &mut wgpu::CommandEncoder) -> Result<usize> {
        let (mut from, mut index, mut left) = (0, 0, None);
        while let Some(end) = self.exchanges.end(index) {
            encode_all(&self.launches[from..end], encoder);
            let next = self.gpu.inner.device.create_command_encoder(&Default::default());
            left = self.exchanges.run(&self.gpu, std::mem::replace(encoder, next), index, left).await?;
            (from, index) = (end, index + 1);
        }
        Ok(from)
    }

    /// Appends the copies before dispatch `index`; whether there are any.
    pub(super) fn encode_copies(&self, encoder: &mut wgpu::CommandEncoder, index: usize) -> bool {
        let copies = &self.launches[index].copies;
        copies.iter().for_each(|copy| copy.encode(encoder));
        !copies.is_empty()
    }

    pub(super) fn encode(&self, pass: &mut wgpu::ComputePass<'_>, index: usize) {
        self.launches[index].encode(pass);
    }

    fn check_inputs(&self, inputs: &[&[u8]]) -> Result<()> {
        if inputs.len() != self.uploads.len() {
            let labels: Vec<_> = self.uploads.iter().map(|upload| upload.label.as_str()).collect();
            let what = format!("a step takes the inputs {labels:?}, found {} of them", inputs.len());
            return Err(Error::Usage(what));
        }
        for (upload, input) in self.uploads.iter().zip(inputs) {
            if input.len() as u64 != upload.content {
                return Err(Error::Usage(format!(
                    "the input '{}' of a step: expected {} bytes, found {}; give every element of its shape",
                    upload.label,
                    upload.content,
                    input.len()
                )));
            }
        }
        Ok(())
    }

    fn split(&self, bytes: &[u8]) -> Vec<Vec<f32>> {
        let read = |((_, offset, size), half): (&(Buffer, u64, u64), &bool)| {
            let bytes = &bytes[*offset as usize..(*offset + *size) as usize];
            #[cfg(reference)]
            if *half {
                return bytes.as_chunks::<2>().0.iter().map(|pair| super::half::to_f32(*pair)).collect();
            }
            let _ = half;
            bytemuck::pod_collect_to_vec(bytes)
        };
        self.downloads.iter().zip(&self.halves).map(read).collect()
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

/// A pass lasts until something has to be copied, which no pass can do.
fn encode_all(mut launches: &[Launch], encoder: &mut wgpu::CommandEncoder) {
    while let Some((first, others)) = launches.split_first() {
        first.copies.iter().for_each(|copy| copy.encode(encoder));
        let length = 1 + others.iter().take_while(|launch| launch.copies.is_empty()).count();
        let mut pass = encoder.begin_compute_pass(&Default::default());
        launches[..length].iter().for_each(|launch| launch.encode(&mut pass));
        launches = &launches[length..];
    }
}

/// Has the driver compile the kernels called `new` now rather than within the first step.
#[cfg(not(target_arch = "wasm32"))]
fn warm(gpu: &Gpu, program: &Program, launches: &[Launch], new: &[String]) {
    let keys: Vec<String> = program.dispatches.iter().map(|dispatch| dispatch.kernel.key()).collect();
    let first_use = |key: &String| keys.iter().position(|known| known == key);
    let firsts: Vec<_> = new
        .iter()
        .filter_map(first_use)
        .map(|at| (keys[at].as_str(), &launches[at].pipeline, &launches[at].bind_group))
        .collect();
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

/// What the launches of a program are bound to.
struct Bound<'a, F> {
    gpu: &'a Gpu,
    program: &'a Program,
    params: &'a wgpu::Buffer,
    resource: F,
}

/// As it is bound.
enum Part {
    Buffer(Buffer),
    View(wgpu::TextureView),
}

impl<F: Fn(Slot) -> Resource> Bound<'_, F> {
    fn launch(&self, dispatch: &Dispatch, start: u64) -> Launch {
        let uniform = wgpu::BufferBinding {
            buffer: self.params,
            offset: start,
            size: wgpu::BufferSize::new(dispatch.params.len() as u64),
        };
        let part = |slot: &Slot| match (self.resource)(*slot) {
            Resource::Buffer(buffer) => Part::Buffer(buffer),
            Resource::Image(texture) => Part::View(texture.create_view(&Default::default())),
        };
        let parts: Vec<Part> = dispatch.reads.iter().chain(&dispatch.writes).map(part).collect();
        let bound = parts.iter().map(|part| match part {
            Part::Buffer(buffer) => binding(buffer),
            Part::View(view) => wgpu::BindingResource::TextureView(view),
        });
        let resources = std::iter::once(wgpu::BindingResource::Buffer(uniform)).chain(bound);
        let entries: Vec<_> =
            (0..).zip(resources).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        Live::add(&self.gpu.inner.live.bind_groups, 1);
        Launch {
            copies: dispatch.copies.iter().filter_map(|copy| self.copy(*copy)).collect(),
            pipeline: self.gpu.pipeline(&dispatch.kernel),
            bind_group: self.gpu.inner.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(dispatch.op),
                layout: &self.gpu.layout(dispatch.kernel.shader),
                entries: &entries,
            }),
            grid: dispatch.grid,
        }
    }

    fn copy(&self, (from, to): (Slot, Slot)) -> Option<Copy> {
        match ((self.resource)(from), (self.resource)(to), self.program.slots[to.0].storage) {
            (Resource::Buffer(from), Resource::Image(to), Storage::Image(layout)) => Some(Copy { from, to, layout }),
            _ => None,
        }
    }
}

fn binding(buffer: &Buffer) -> wgpu::BindingResource<'_> {
    let size = wgpu::BufferSize::new(buffer.bytes());
    wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &buffer.raw, offset: 0, size })
}

impl Launch {
    fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(self.grid[0], self.grid[1], self.grid[2]);
    }
}
