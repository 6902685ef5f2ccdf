//! The crate's kernels, as a driver is given them.

use mexhat::gpu::{Kernel, Profile, Shader, specialize};
use mexhat::{bench, ops};
use naga::back::spv;
use naga::valid::{Capabilities, ValidationFlags, Validator};

fn shaders() -> impl Iterator<Item = &'static Shader> {
    ops::SHADERS.iter().copied().flatten().chain(mexhat::software::SHADERS).chain(bench::SHADERS).copied()
}

/// The hottest kernels, and a bit for each of their bindings that lies in f16 where maps do.
const HALVED: [(&str, u32); 4] = [
    ("conv/conv.wgsl", 1 << 1 | 1 << 5),
    ("conv/conv_weight_grad.wgsl", 1 << 1 | 1 << 2),
    ("products/matmul.wgsl", 1 << 1 | 1 << 6),
    ("products/gram.wgsl", 1 << 1 | 1 << 2),
];

/// Every variant of every shader, but those for subgroups of eight lanes, which no GPU has; the hottest once more with maps in f16.
pub fn all() -> impl Iterator<Item = Kernel> {
    let variants = |shader: &'static Shader| (0..shader.variants.len()).map(move |i| Kernel::new(shader, i));
    let all = shaders().filter(|shader| !shader.file.contains("_subgroup.")).flat_map(variants);
    all.flat_map(|kernel| {
        let halves = HALVED.iter().find(|(file, _)| *file == kernel.shader.file).map(|(_, halves)| *halves);
        let half = halves.map(|halves| Kernel { halves, ..kernel.clone() });
        std::iter::once(kernel).chain(half)
    })
}

/// Whether only adapters that compute on the CPU get it.
pub fn software(kernel: &Kernel) -> bool {
    kernel.shader.file.starts_with("software/")
}

/// As wgpu would hand it to the driver: no zeros in workgroup memory, no bounds on indices and loops.
pub fn spirv(kernel: &Kernel) -> Result<Vec<u32>, String> {
    let text = specialize(kernel, Profile::GPU);
    let module = naga::front::wgsl::parse_str(&text).map_err(|error| error.emit_to_string(&text))?;
    let capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    let validated = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
    let info = validated.map_err(|error| error.emit_to_string(&text))?;
    let options = spv::Options {
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        ..Default::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into() };
    spv::write_vec(&module, &info, &options, Some(&pipeline)).map_err(|error| error.to_string())
}
