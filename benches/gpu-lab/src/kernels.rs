//! The crate's kernels, as a driver is given them.

use mexhat::gpu::{Kernel, Profile, Shader, specialize};
use mexhat::{bench, ops};
use naga::back::spv;
use naga::valid::{Capabilities, ValidationFlags, Validator};

fn shaders() -> impl Iterator<Item = &'static Shader> {
    ops::SHADERS.iter().copied().flatten().chain(mexhat::software::SHADERS).chain(bench::SHADERS).copied()
}

/// Every variant of every shader, but those for subgroups of eight lanes, which no GPU has.
pub fn all() -> impl Iterator<Item = Kernel> {
    let variants = |shader: &'static Shader| (0..shader.variants.len()).map(move |i| Kernel::new(shader, i));
    shaders().filter(|shader| !shader.file.contains("_subgroup.")).flat_map(variants)
}

/// Whether only adapters that compute on the CPU get it.
pub fn software(kernel: &Kernel) -> bool {
    kernel.shader.file.starts_with("software/")
}

/// As wgpu would hand it to the driver: no zeros in workgroup memory, no bounds on indices and loops.
pub fn spirv(kernel: &Kernel) -> Result<Vec<u32>, String> {
    let text = specialize(kernel, Profile::GPU);
    let module = naga::front::wgsl::parse_str(&text).map_err(|error| error.emit_to_string(&text))?;
    let validated = Validator::new(ValidationFlags::all(), Capabilities::empty()).validate(&module);
    let info = validated.map_err(|error| error.emit_to_string(&text))?;
    let options = spv::Options {
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        ..Default::default()
    };
    let pipeline = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into() };
    spv::write_vec(&module, &info, &options, Some(&pipeline)).map_err(|error| error.to_string())
}
