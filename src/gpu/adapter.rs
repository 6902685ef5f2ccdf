//! Listing and choosing adapters.

use crate::named::named;
use crate::{Error, Result};
use serde::Serialize;

named! {
    /// What an adapter is, from the one to be taken first to the last.
    #[derive(PartialOrd, Ord)]
    pub enum AdapterKind: "kind of adapter" {
        /// A card with memory of its own.
        Discrete = "discrete",
        /// A GPU that shares the processor's memory.
        Integrated = "integrated",
        /// A share of a GPU of the host.
        Virtual = "virtual",
        /// The driver does not say.
        Other = "other",
        /// It computes on the processor.
        Software = "software",
    }
}

/// One adapter as `mexhat devices` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct AdapterSummary {
    /// Position in the list; `--device` accepts it.
    pub index: usize,
    /// Name as the driver gives it.
    pub name: String,
    /// `vulkan`, `metal`, `dx12` or `browser-webgpu`.
    pub backend: String,
    /// What it is.
    pub kind: AdapterKind,
    /// Driver name and version.
    pub driver: String,
    /// Largest storage buffer binding in bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// Invocations in a workgroup.
    pub max_workgroup_invocations: u32,
    /// Workgroup memory in bytes.
    pub max_workgroup_bytes: u32,
    /// Smallest and largest subgroup; zeros when subgroups are not offered.
    pub subgroup: (u32, u32),
    /// Features that mexhat uses when they are there.
    pub features: Vec<String>,
    /// Chosen when no device is named.
    pub default: bool,
}

impl AdapterSummary {
    /// True for an adapter that computes on the CPU.
    pub fn is_software(&self) -> bool {
        self.kind == AdapterKind::Software
    }
}

pub(super) fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends =
        wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12 | wgpu::Backends::BROWSER_WEBGPU;
    opened(descriptor)
}

#[cfg(not(target_arch = "wasm32"))]
fn opened(descriptor: wgpu::InstanceDescriptor) -> wgpu::Instance {
    wgpu::Instance::new(descriptor)
}

/// wgpu takes `navigator.gpu` of windows and workers alone. Node.js is neither, may have been given one, and is called
/// a worker meanwhile; no longer, since others ask for that name, too.
#[cfg(target_arch = "wasm32")]
fn opened(descriptor: wgpu::InstanceDescriptor) -> wgpu::Instance {
    use js_sys::Reflect;
    let (global, worker) = (js_sys::global(), "WorkerGlobalScope".into());
    let known = |name: &str| Reflect::has(&global, &name.into()).unwrap_or(true);
    if known("Window") || known("WorkerGlobalScope") {
        return wgpu::Instance::new(descriptor);
    }
    // A global object takes any property, and gives back what it took.
    let _ = Reflect::set(&global, &worker, &true.into());
    let instance = wgpu::Instance::new(descriptor);
    let _ = Reflect::delete_property(&global, &worker);
    instance
}

/// Features that are used where they are offered and never needed.
pub(super) fn wanted_features() -> wgpu::Features {
    wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::PIPELINE_CACHE
}

fn kind(device_type: wgpu::DeviceType) -> AdapterKind {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
        wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
        wgpu::DeviceType::Cpu => AdapterKind::Software,
        wgpu::DeviceType::Other => AdapterKind::Other,
    }
}

/// Names of adapters that compute on the CPU; browsers do not always say so otherwise.
const SOFTWARE: [&str; 4] = ["swiftshader", "llvmpipe", "lavapipe", "basic render"];

fn backend(backend: wgpu::Backend) -> &'static str {
    match backend {
        wgpu::Backend::Vulkan => "vulkan",
        wgpu::Backend::Metal => "metal",
        wgpu::Backend::Dx12 => "dx12",
        wgpu::Backend::Gl => "gl",
        wgpu::Backend::BrowserWebGpu => "browser-webgpu",
        wgpu::Backend::Noop => "noop",
    }
}

fn summary(index: usize, adapter: &wgpu::Adapter) -> AdapterSummary {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    let name = info.name.to_ascii_lowercase();
    let software = SOFTWARE.iter().any(|known| name.contains(known));
    let subgroups = features.contains(wgpu::Features::SUBGROUP);
    AdapterSummary {
        index,
        name: if info.name.is_empty() { "browser adapter".into() } else { info.name },
        backend: backend(info.backend).into(),
        kind: if software { AdapterKind::Software } else { kind(info.device_type) },
        driver: [info.driver, info.driver_info].join(" ").trim().to_owned(),
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        max_workgroup_invocations: limits.max_compute_invocations_per_workgroup,
        max_workgroup_bytes: limits.max_compute_workgroup_storage_size,
        subgroup: if subgroups { (info.subgroup_min_size, info.subgroup_max_size) } else { (0, 0) },
        features: (features & wanted_features()).iter_names().map(|(name, _)| name.to_ascii_lowercase()).collect(),
        default: false,
    }
}

async fn enumerate(instance: &wgpu::Instance) -> Vec<wgpu::Adapter> {
    let listed = instance.enumerate_adapters(wgpu::Backends::all()).await;
    if !listed.is_empty() {
        return listed;
    }
    // A browser does not enumerate; it hands out one adapter on request.
    let options =
        wgpu::RequestAdapterOptions { power_preference: wgpu::PowerPreference::HighPerformance, ..Default::default() };
    instance.request_adapter(&options).await.into_iter().collect()
}

async fn list() -> Vec<(AdapterSummary, wgpu::Adapter)> {
    let found = enumerate(&instance()).await;
    let mut listed: Vec<_> =
        found.into_iter().enumerate().map(|(i, adapter)| (summary(i, &adapter), adapter)).collect();
    // Ties keep the driver's order.
    if let Some((best, _)) = listed.iter_mut().min_by_key(|(summary, _)| summary.kind) {
        best.default = true;
    }
    listed
}

/// The adapter that `known` described, after it went away.
pub(super) async fn again(known: &AdapterSummary) -> Option<(AdapterSummary, wgpu::Adapter)> {
    let mut listed = list().await;
    listed.retain(|(found, _)| (&found.name, &found.backend) == (&known.name, &known.backend));
    // Of two cards of one kind the one in the same place.
    let at = listed.iter().position(|(found, _)| found.index == known.index).unwrap_or(0);
    (at < listed.len()).then(|| listed.swap_remove(at))
}

/// All adapters of this machine; the default is marked.
pub async fn adapters() -> Vec<AdapterSummary> {
    list().await.into_iter().map(|(summary, _)| summary).collect()
}

/// The adapter that `choice` names: an index, or a part of a name or backend in any case; `None` takes the default.
pub(crate) async fn choose(choice: Option<&str>) -> Result<(AdapterSummary, wgpu::Adapter)> {
    let listed = list().await;
    if listed.is_empty() {
        return Err(Error::NoAdapter(no_adapter_help()));
    }
    let names = listed
        .iter()
        .map(|(s, _)| format!("{}: {} ({}, {})", s.index, s.name, s.backend, s.kind))
        .collect::<Vec<_>>()
        .join("; ");
    let matches = |summary: &AdapterSummary| match choice {
        None => summary.default,
        Some(text) => match text.parse::<usize>() {
            Ok(index) => summary.index == index,
            Err(_) => {
                let text = text.to_ascii_lowercase();
                summary.name.to_ascii_lowercase().contains(&text) || summary.backend.contains(&text)
            }
        },
    };
    listed.into_iter().find(|(summary, _)| matches(summary)).ok_or_else(|| {
        Error::Usage(format!(
            "no device matches '{}'; expected an index or a part of a name or backend of: {names}",
            choice.unwrap_or_default()
        ))
    })
}

/// What to install or enable on this system when there is no adapter.
pub fn no_adapter_help() -> String {
    let cure = if cfg!(target_arch = "wasm32") {
        "this browser offers no WebGPU adapter; use a current Chrome, Edge, Firefox or Safari, and check that hardware acceleration is on"
    } else if cfg!(target_os = "linux") {
        "install a Vulkan driver: the vendor's own, or a software one with `apt-get install mesa-vulkan-drivers` \
         (Debian, Ubuntu), `dnf install mesa-vulkan-drivers` (Fedora), `pacman -S vulkan-swrast` (Arch)"
    } else if cfg!(target_os = "windows") {
        "update the graphics driver; Windows 10 or later brings DirectX 12 and a software adapter (WARP)"
    } else {
        "this system offers neither Metal, Vulkan nor DirectX 12; update the system or its graphics driver"
    };
    format!("no GPU adapter was found: {cure}. `mexhat devices` lists what is there")
}
