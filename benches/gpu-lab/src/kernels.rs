//! The crate's kernels, as a driver is given them.

use mexhat::gpu::{Kernel, Profile, Shader, specialize};
use mexhat::{bench, ops};
use naga::back::spv;
use naga::valid::{Capabilities, ValidationFlags, Validator};

fn shaders() -> impl Iterator<Item = &'static Shader> {
    ops::SHADERS.iter().copied().flatten().chain(mexhat::software::SHADERS).chain(bench::SHADERS).copied()
}

/// What classifiers of images run in `--precision f16`, each with a bit for every binding that lies in f16 in the
/// launch that has most of them.
const HALVED: [(&str, u32); 23] = [
    ("conv/conv.wgsl", 1 << 1 | 1 << 4 | 1 << 5),
    ("conv/conv_depthwise.wgsl", 1 << 1 | 1 << 4),
    ("conv/conv_depthwise_weight_grad.wgsl", 1 << 1 | 1 << 2),
    ("conv/conv_grouped.wgsl", 1 << 1 | 1 << 4),
    ("conv/conv_grouped_weight_grad.wgsl", 1 << 1 | 1 << 2),
    ("conv/conv_weight_grad.wgsl", 1 << 1 | 1 << 2),
    ("norm/batch_norm.wgsl", 1 << 1 | 1 << 6),
    ("norm/batch_norm_grad.wgsl", 1 << 1 | 1 << 2 | 1 << 4),
    ("norm/batch_norm_moments.wgsl", 1 << 1),
    ("norm/batch_norm_sums.wgsl", 1 << 1 | 1 << 2),
    ("norm/column_sum.wgsl", 1 << 1 | 1 << 2),
    ("norm/column_total.wgsl", 1 << 1),
    ("patches/col2im_blocks.wgsl", 1 << 2 | 1 << 3 | 1 << 4),
    ("patches/im2col_blocks.wgsl", 1 << 1),
    ("pointwise/add.wgsl", 1 << 1 | 1 << 2 | 1 << 3),
    ("pointwise/relayout.wgsl", 1 << 2),
    ("pointwise/unary_grad.wgsl", 1 << 1 | 1 << 2 | 1 << 3),
    ("pool/average_pool_grad.wgsl", 1 << 2),
    ("pool/max_pool.wgsl", 1 << 1 | 1 << 2),
    ("pool/max_pool_grad.wgsl", 1 << 1 | 1 << 3),
    ("products/gram.wgsl", 1 << 1 | 1 << 2),
    ("products/matmul.wgsl", 1 << 1 | 1 << 3 | 1 << 5 | 1 << 6),
    ("products/transpose.wgsl", 1 << 1),
];

/// Every variant of every shader, but those for subgroups of eight lanes, which no GPU has; those of models in f16 once
/// more so.
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
