//! A device with its queue, its profile, its pipelines and its counters.

use super::{
    AdapterSummary, Counters, Kernel, Params, Profile, Shader, adapter, counters::Live, failure::Failures, shader,
};
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A storage buffer on the device.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub(super) raw: wgpu::Buffer,
    bytes: u64,
}

impl Buffer {
    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its first `bytes`.
    pub fn first(&self, bytes: u64) -> Self {
        Self { raw: self.raw.clone(), bytes }
    }
}

/// A device, its queue and what has been built on it. Cheap to clone.
///
/// ```
/// use mexhat::Gpu;
/// let gpu = Gpu::open(None)?; // or a part of a name that `mexhat devices` lists: Gpu::open(Some("radeon"))
/// println!("{gpu:?}");
/// let same = gpu.clone(); // for a second network on the same device
/// assert_eq!(same.adapter().name, gpu.adapter().name);
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone)]
pub struct Gpu {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub summary: AdapterSummary,
    pub profile: Profile,
    pub checked: bool,
    pub live: Live,
    pub pipelines: Mutex<HashMap<String, wgpu::ComputePipeline>>,
    layouts: Mutex<HashMap<&'static str, wgpu::BindGroupLayout>>,
    pub failures: Failures,
    /// Those that train along.
    pub processes: std::sync::OnceLock<Arc<dyn super::Processes>>,
    pub f16: bool,
    #[cfg(not(target_arch = "wasm32"))]
    pub info: wgpu::AdapterInfo,
    /// Where compiled kernels were asked to be kept.
    pub kept: KernelCache,
    #[cfg(not(target_arch = "wasm32"))]
    pub cache: Option<super::cache::Cache>,
    #[cfg(not(target_arch = "wasm32"))]
    pub progress: Mutex<Option<Progress>>,
}

/// Where compiled kernels are kept, where the backend hands them out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KernelCache {
    /// Under `mexhat` in the platform's folder for caches.
    #[default]
    User,
    /// Nowhere.
    Off,
    /// In this folder.
    Folder(std::path::PathBuf),
}

/// Called with the number of kernels that are ready and the number of all new ones.
#[cfg(not(target_arch = "wasm32"))]
pub(super) type Progress = Box<dyn Fn(usize, usize) + Send + Sync>;

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({}, {})", self.inner.summary.name, self.inner.summary.backend)
    }
}

/// Limits above the WebGPU defaults that bigger networks profit from; asked for as `min(need, adapter)`.
fn limits(adapter: &wgpu::Limits) -> wgpu::Limits {
    let floor = wgpu::Limits::default();
    wgpu::Limits {
        max_storage_buffer_binding_size: adapter.max_storage_buffer_binding_size.min(2 << 30),
        max_buffer_size: adapter.max_buffer_size.min(4 << 30),
        max_storage_buffers_per_shader_stage: floor
            .max_storage_buffers_per_shader_stage
            .min(adapter.max_storage_buffers_per_shader_stage),
        max_texture_dimension_2d: adapter.max_texture_dimension_2d.min(16384),
        max_compute_invocations_per_workgroup: floor
            .max_compute_invocations_per_workgroup
            .min(adapter.max_compute_invocations_per_workgroup),
        ..floor.or_worse_values_from(adapter)
    }
}

/// What a driver that compiles kernels for the CPU must find free: without it, its compiler may end the program, where
/// no one can catch it. On two cores, under `ulimit -v`, LeNet's kernels ended it with 220 MiB left, and were compiled
/// with 235: most of that is what the allocator sets aside for threads.
const COMPILER_BYTES: u64 = 256 << 20;

/// The kernels are written for WebGPU's guaranteed limits; an adapter below them is named rather than crashed on.
fn check_limits(summary: &AdapterSummary, limits: &wgpu::Limits) -> Result<()> {
    let floor = wgpu::Limits::default();
    let needs = [
        (
            "max_storage_buffers_per_shader_stage",
            u64::from(floor.max_storage_buffers_per_shader_stage),
            u64::from(limits.max_storage_buffers_per_shader_stage),
        ),
        (
            "max_compute_invocations_per_workgroup",
            u64::from(floor.max_compute_invocations_per_workgroup),
            u64::from(limits.max_compute_invocations_per_workgroup),
        ),
        (
            "max_compute_workgroup_storage_size",
            u64::from(floor.max_compute_workgroup_storage_size),
            u64::from(limits.max_compute_workgroup_storage_size),
        ),
    ];
    for (limit, need, offer) in needs {
        if offer < need {
            return Err(Error::Limit {
                adapter: summary.name.clone(),
                limit,
                need,
                offer,
                cure: "choose another adapter with `device`".into(),
            });
        }
    }
    Ok(())
}

impl Gpu {
    /// Opens `adapter` to be served by `profile`.
    ///
    /// # Errors
    /// Limits below WebGPU's, or the adapter refuses.
    pub(crate) async fn on(
        (summary, adapter): (AdapterSummary, wgpu::Adapter),
        profile: Profile,
        cache: KernelCache,
        checked: bool,
    ) -> Result<Self> {
        check_limits(&summary, &adapter.limits())?;
        let features = adapter.features() & adapter::wanted_features();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("mexhat"),
            required_features: features,
            required_limits: limits(&adapter.limits()),
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|e| Error::NoAdapter(format!("the adapter '{}' refused to open a device: {e}", summary.name)))?;
        let failures = Failures::default();
        failures.watch(&device);
        let gpu = Self {
            inner: Arc::new(Inner {
                #[cfg(not(target_arch = "wasm32"))]
                cache: super::cache::Cache::open(&device, &adapter.get_info(), cache.clone()),
                kept: cache,
                f16: adapter.features().contains(wgpu::Features::SHADER_F16),
                #[cfg(not(target_arch = "wasm32"))]
                info: adapter.get_info(),
                #[cfg(not(target_arch = "wasm32"))]
                progress: Mutex::default(),
                processes: std::sync::OnceLock::new(),
                device,
                queue,
                summary,
                profile,
                checked,
                live: Live::default(),
                pipelines: Mutex::default(),
                layouts: Mutex::default(),
                failures,
            }),
        };
        if gpu.adapter().is_software() {
            gpu.check_room(COMPILER_BYTES)?;
        }
        Ok(gpu)
    }

    /// The adapter this device belongs to.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.inner.summary
    }

    /// What kernel choice depends on.
    pub fn profile(&self) -> Profile {
        if let Some(processes) = self.processes() {
            return Profile { processes: processes.count(), ..self.inner.profile };
        }
        self.inner.profile
    }

    /// What has been created and submitted so far.
    pub fn counters(&self) -> Counters {
        self.inner.live.snapshot()
    }

    /// Drops the device as a driver reset would; later work fails with [`Error::DeviceLost`].
    pub fn destroy(&self) {
        self.inner.device.destroy();
    }

    /// An empty (zeroed) storage buffer.
    ///
    /// # Errors
    /// [`Error::Limit`] beyond the largest binding of the adapter.
    pub fn buffer(&self, label: &str, bytes: u64) -> Result<Buffer> {
        self.check_buffer(label, bytes)?;
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let raw = self.raw_buffer(label, bytes, usage, false);
        self.check()?;
        Ok(Buffer { raw, bytes })
    }

    pub(super) fn raw_buffer(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages, mapped: bool) -> wgpu::Buffer {
        self.inner.live.buffer(bytes);
        self.inner.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage,
            mapped_at_creation: mapped,
        })
    }

    pub(super) fn raw_texture(
        &self,
        [width, height]: [u32; 2],
        format: wgpu::TextureFormat,
        bytes: u64,
    ) -> wgpu::Texture {
        self.inner.live.buffer(bytes);
        self.inner.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("image"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        })
    }

    /// Writes `data` to the start of `buffer` before the next submission.
    pub fn write(&self, buffer: &Buffer, data: &[u8]) {
        self.inner.queue.write_buffer(&buffer.raw, 0, data);
    }

    /// Reads whole buffers back, in order, waiting for the GPU. Not for the steady state. It takes memory for 16 MiB of
    /// copies at a time, or for one buffer that is larger.
    pub async fn read(&self, buffers: &[&Buffer]) -> Result<Vec<Vec<u8>>> {
        const MOST: u64 = 16 << 20;
        let (mut out, mut rest) = (Vec::with_capacity(buffers.len()), buffers);
        while !rest.is_empty() {
            let mut bytes = 0;
            let fitting = rest.iter().take_while(|buffer| {
                bytes += buffer.bytes();
                bytes <= MOST
            });
            let (now, later) = rest.split_at(fitting.count().max(1));
            self.read_at_once(now, &mut out).await?;
            rest = later;
        }
        self.check()?;
        Ok(out)
    }

    async fn read_at_once(&self, buffers: &[&Buffer], out: &mut Vec<Vec<u8>>) -> Result<()> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let mut encoder = self.inner.device.create_command_encoder(&Default::default());
        let copies: Vec<_> = buffers
            .iter()
            .map(|buffer| {
                let copy = self.raw_buffer("read-back", buffer.bytes(), usage, false);
                encoder.copy_buffer_to_buffer(&buffer.raw, 0, &copy, 0, buffer.bytes());
                copy
            })
            .collect();
        let submission = self.submit(encoder);
        let pending: Vec<_> = copies.iter().map(|copy| super::ring::map(copy, wgpu::MapMode::Read)).collect();
        self.wait(submission);
        for (copy, mapped) in copies.iter().zip(pending) {
            super::ring::mapped(mapped, self).await?;
            let view = copy.slice(..).get_mapped_range().map_err(|e| Error::Gpu(e.to_string()))?;
            out.push(view.to_vec());
        }
        Ok(())
    }

    pub(super) fn submit(&self, encoder: wgpu::CommandEncoder) -> wgpu::SubmissionIndex {
        Live::add(&self.inner.live.submissions, 1);
        self.inner.queue.submit([encoder.finish()])
    }

    /// Blocks until `submission` is done where blocking exists; in a browser the callbacks come by themselves.
    pub(super) fn wait(&self, submission: wgpu::SubmissionIndex) {
        Live::add(&self.inner.live.waits, 1);
        self.ask(wgpu::PollType::Wait { submission_index: Some(submission), timeout: None });
    }

    /// Runs every callback that is due, waiting for work in flight where that is possible.
    pub(super) fn poll_all(&self) {
        self.ask(wgpu::PollType::wait_indefinitely());
    }

    /// Runs the callbacks of finished work without waiting.
    pub(super) fn poll(&self) {
        self.ask(wgpu::PollType::Poll);
    }

    /// A browser waits for nothing and reports a loss by its callback.
    #[cfg(target_arch = "wasm32")]
    fn ask(&self, poll: wgpu::PollType) {
        if let Err(e) = self.inner.device.poll(poll) {
            log::debug!("poll: {e}");
        }
    }

    pub(super) fn layout(&self, shader: &Shader) -> wgpu::BindGroupLayout {
        let mut layouts = self.inner.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        layouts.entry(shader.file).or_insert_with(|| self.create_layout(shader)).clone()
    }

    fn create_layout(&self, shader: &Shader) -> wgpu::BindGroupLayout {
        let types = shader::bindings(&(self.inner.profile.text)(shader::whole(shader.file)));
        let entry = |(binding, ty)| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        };
        let entries: Vec<_> = (0..).zip(types).map(entry).collect();
        self.inner.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
    }

    pub(super) fn pipeline(&self, kernel: &Kernel) -> wgpu::ComputePipeline {
        let mut pipelines = self.inner.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        pipelines.entry(kernel.key()).or_insert_with(|| self.create_pipeline(kernel)).clone()
    }

    /// Creates the pipeline of `kernel` and drops it, for checks.
    ///
    /// # Errors
    /// What the driver has against it.
    pub async fn try_pipeline(&self, kernel: &Kernel) -> Result<()> {
        let scope = self.inner.device.push_error_scope(wgpu::ErrorFilter::Validation);
        drop(self.create_pipeline(kernel));
        scope.pop().await.map_or(Ok(()), |error| Err(Error::Gpu(error.to_string())))
    }

    pub(super) fn create_pipeline(&self, kernel: &Kernel) -> wgpu::ComputePipeline {
        Live::add(&self.inner.live.pipelines, 1);
        let key = kernel.key();
        let module = self.module(&key, &shader::specialize(kernel, self.inner.profile));
        let layout = self.layout(kernel.shader);
        let pipeline_layout = self.inner.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        self.inner.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&key),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            // Every kernel writes its workgroup memory before it reads it.
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: self.pipeline_cache(),
        })
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn pipeline_cache(&self) -> Option<&wgpu::PipelineCache> {
        self.inner.cache.as_ref().map(super::cache::Cache::raw)
    }

    /// A browser keeps what it compiles by itself.
    #[cfg(target_arch = "wasm32")]
    fn pipeline_cache(&self) -> Option<&wgpu::PipelineCache> {
        None
    }

    #[allow(unsafe_code)]
    fn module(&self, key: &str, text: &str) -> wgpu::ShaderModule {
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(key), source: wgpu::ShaderSource::Wgsl(text.into()) };
        let checks = if self.inner.checked {
            wgpu::ShaderRuntimeChecks::default()
        } else {
            wgpu::ShaderRuntimeChecks::unchecked()
        };
        // SAFETY: the shaders are this crate's own; each checks its indices against the sizes in `Params`,
        // loops over bounded counts, and the reference tests run every variant with checks on.
        unsafe { self.inner.device.create_shader_module_trusted(descriptor, checks) }
    }
}

/// Bytes of a parameter struct, padded to the 16 bytes that a uniform binding needs.
pub(crate) fn params_bytes<P: Params>(params: &P) -> Vec<u8> {
    let mut bytes = bytemuck::bytes_of(params).to_vec();
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    bytes
}
