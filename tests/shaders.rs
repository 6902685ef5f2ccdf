//! Every shipped shader variant, without a GPU: parsed, validated, held against WebGPU's default limits and against its
//! Rust description, and written in every language that a driver may ask for.

#[path = "common/skip.rs"]
mod skip;

use mexhat::gpu::{self, Kernel, Shader, specialize};
use mexhat::software::Loads;
use mexhat::{bench, ops, software};
use naga::back::{hlsl, msl, spv, wgsl};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{AddressSpace, GlobalVariable, Module, Scalar, StorageAccess, TypeInner};
use std::collections::BTreeSet;
use std::process::Command;

/// WebGPU's default limits, which every browser grants.
const MOST_STORAGE_BUFFERS: u32 = 8;
const MOST_INVOCATIONS: u32 = 256;
const LARGEST_WORKGROUP: [u32; 3] = [256, 256, 64];
const MOST_WORKGROUP_BYTES: u32 = 16 * 1024;

fn shaders() -> impl Iterator<Item = &'static Shader> {
    ops::SHADERS.iter().copied().flatten().chain(software::SHADERS).chain(bench::SHADERS).copied()
}

/// Every variant, with arrays of f32 alone and with all that can be in f16.
fn kernels() -> impl Iterator<Item = Kernel> {
    let variants = |shader: &'static Shader| (0..shader.variants.len()).map(move |i| Kernel::new(shader, i));
    shaders().flat_map(variants).flat_map(|kernel| {
        let halves = halves(&specialize(&kernel, Loads::Buffers));
        let half = Some(Kernel { halves, ..kernel.clone() }).filter(|_| halves != 0);
        std::iter::once(kernel).chain(half)
    })
}

/// A bit for each binding that may hold a map: all but words and single numbers that are written.
fn halves(text: &str) -> u32 {
    let declared =
        text.lines().filter_map(|line| line.strip_prefix("@group(0) @binding(")?.split_once(") var<storage, "));
    let suits =
        |rest: &str| rest.ends_with(": array<vec4f>;") || rest.starts_with("read>") && rest.ends_with(": array<f32>;");
    declared.filter(|(_, rest)| suits(rest)).filter_map(|(binding, _)| Some(1 << binding.parse::<u32>().ok()?)).sum()
}

/// Kernels that need subgroups, which only some native adapters offer, say so in their file's name.
fn uses_subgroups(kernel: &Kernel) -> bool {
    kernel.shader.file.contains("subgroup")
}

struct Compiled {
    module: Module,
    info: ModuleInfo,
}

fn compile(kernel: &Kernel, loads: Loads) -> Compiled {
    let (key, text) = (kernel.key(), specialize(kernel, loads));
    let module = naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{key}: {}", e.emit_to_string(&text)));
    // `pack2x16float` is WGSL's own, and no `f16` is anywhere.
    let mut capabilities =
        if kernel.halves == 0 { Capabilities::empty() } else { Capabilities::SHADER_FLOAT16_IN_FLOAT32 };
    capabilities.set(Capabilities::SUBGROUP, uses_subgroups(kernel));
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    if uses_subgroups(kernel) {
        validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE);
        validator.subgroup_operations(naga::valid::SubgroupOperationSet::all());
    }
    let info = validator.validate(&module).unwrap_or_else(|e| panic!("{key}: {}", e.emit_to_string(&text)));
    Compiled { module, info }
}

/// Runs `check` on every kernel, loading from buffers and from textures, and reports all that fail, not only the first.
fn check_all(check: impl Fn(&Kernel, &Compiled, Loads) -> Result<(), String>) {
    let mut checked = 0;
    let mut failures = Vec::new();
    for kernel in kernels() {
        for loads in [Loads::Buffers, Loads::Textures] {
            checked += 1;
            if let Err(why) = check(&kernel, &compile(&kernel, loads), loads) {
                failures.push(format!("{} from {loads}: {why}", kernel.key()));
            }
        }
    }
    assert!(checked > 0, "no shader is registered");
    assert!(failures.is_empty(), "{} of {checked} variants:\n{}", failures.len(), failures.join("\n"));
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, found: T) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what}: expected {expected:?}, found {found:?}")) }
}

fn at_most(what: &str, limit: u32, found: u32) -> Result<(), String> {
    if found <= limit { Ok(()) } else { Err(format!("{what}: at most {limit}, found {found}")) }
}

#[test]
fn every_variant_keeps_the_default_limits_of_webgpu() {
    check_all(|kernel, compiled, _| {
        let module = &compiled.module;
        let [entry] = &module.entry_points[..] else {
            return Err(format!("expected one entry point, found {}", module.entry_points.len()));
        };
        expect("entry point", "main", entry.name.as_str())?;
        for (size, limit) in entry.workgroup_size.iter().zip(LARGEST_WORKGROUP) {
            at_most("workgroup size", limit, *size)?;
        }
        at_most("invocations", MOST_INVOCATIONS, entry.workgroup_size.iter().product())?;
        at_most("storage buffers", MOST_STORAGE_BUFFERS, kernel.shader.reads + kernel.shader.writes)?;
        let used = compiled.info.get_entry_point(0);
        let bytes = module
            .global_variables
            .iter()
            .filter(|(handle, var)| var.space == AddressSpace::WorkGroup && !used[*handle].is_empty())
            .map(|(_, var)| module.types[var.ty].inner.size(module.to_ctx()).next_multiple_of(16))
            .sum();
        at_most("workgroup memory", MOST_WORKGROUP_BYTES, bytes)
    });
}

/// The globals of `module` that are bound, in order of their binding.
fn bindings(module: &Module) -> Result<Vec<&GlobalVariable>, String> {
    let mut bound = Vec::new();
    for (_, var) in module.global_variables.iter() {
        if let Some(binding) = var.binding {
            expect("bind group", 0, binding.group)?;
            bound.push((binding.binding, var));
        }
    }
    bound.sort_by_key(|(binding, _)| *binding);
    let numbers: Vec<u32> = bound.iter().map(|(binding, _)| *binding).collect();
    expect("bindings", (0..bound.len() as u32).collect(), numbers)?;
    Ok(bound.into_iter().map(|(_, var)| var).collect())
}

#[test]
fn every_binding_is_what_rust_says() {
    check_all(|kernel, compiled, loads| {
        let bound = bindings(&compiled.module)?;
        let found: Vec<AddressSpace> = bound.iter().map(|var| var.space).collect();
        let storage = |access, count| std::iter::repeat_n(AddressSpace::Storage { access }, count as usize);
        let expected: Vec<AddressSpace> = std::iter::once(AddressSpace::Uniform)
            .chain(match loads {
                Loads::Buffers => storage(StorageAccess::LOAD, kernel.shader.reads),
                Loads::Textures => std::iter::repeat_n(AddressSpace::Handle, kernel.shader.reads as usize),
            })
            .chain(storage(StorageAccess::LOAD | StorageAccess::STORE, kernel.shader.writes))
            .collect();
        expect("uniform, reads, writes", expected, found)
    });
}

#[test]
fn every_parameter_struct_is_the_same_on_both_sides() {
    check_all(|kernel, compiled, _| {
        let module = &compiled.module;
        let bound = bindings(module)?;
        let uniform = bound.first().ok_or("no bindings")?;
        let ty = &module.types[uniform.ty];
        expect("name of the uniform's type", Some("Params"), ty.name.as_deref())?;
        let TypeInner::Struct { members, span } = &ty.inner else { return Err("the uniform is no struct".into()) };
        let found: Vec<(String, String, u32)> = members
            .iter()
            .map(|member| {
                let scalar = match module.types[member.ty].inner {
                    TypeInner::Scalar(Scalar::U32) => "u32".into(),
                    TypeInner::Scalar(Scalar::F32) => "f32".into(),
                    ref other => format!("{other:?}"),
                };
                (member.name.clone().unwrap_or_default(), scalar, member.offset)
            })
            .collect();
        // `#[repr(C)]` puts fields of four bytes one after the other.
        let expected: Vec<(String, String, u32)> = kernel
            .shader
            .params
            .iter()
            .zip((0u32..).step_by(4))
            .map(|((name, ty), offset)| (name.to_string(), ty.to_string(), offset))
            .collect();
        expect("fields", &expected, &found)?;
        expect("size", kernel.shader.params.len() as u32 * 4, *span)
    });
}

fn to_spirv(kernel: &Kernel, compiled: &Compiled) -> Result<Vec<u8>, String> {
    let options =
        spv::Options { lang_version: if uses_subgroups(kernel) { (1, 3) } else { (1, 0) }, ..Default::default() };
    let words = spv::write_vec(&compiled.module, &compiled.info, &options, None).map_err(|e| format!("SPIR-V: {e}"))?;
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

#[test]
fn every_variant_is_written_in_every_language() {
    check_all(|kernel, Compiled { module, info }, _| {
        let subgroups = uses_subgroups(kernel);
        let metal = msl::Options { lang_version: if subgroups { (2, 4) } else { (2, 0) }, ..Default::default() };
        msl::write_string(module, info, &metal, &Default::default()).map_err(|e| format!("MSL: {e}"))?;

        let direct = hlsl::Options {
            shader_model: if subgroups { hlsl::ShaderModel::V6_0 } else { hlsl::ShaderModel::V5_1 },
            ..Default::default()
        };
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &direct, &Default::default())
            .write(module, info, None)
            .map_err(|e| format!("HLSL: {e}"))?;

        let text = wgsl::write_string(module, info, wgsl::WriterFlags::empty()).map_err(|e| format!("WGSL: {e}"))?;
        naga::front::wgsl::parse_str(&text).map_err(|e| format!("WGSL again: {}", e.emit_to_string(&text)))?;
        Ok(())
    });
}

#[test]
fn every_variant_passes_spirv_val() {
    if Command::new("spirv-val").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "spirv-val is missing; install the package spirv-tools");
        return skip::skipped("spirv-val is not installed (package spirv-tools)");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    check_all(|kernel, compiled, _| {
        let path = folder.path().join("kernel.spv");
        std::fs::write(&path, to_spirv(kernel, compiled)?).map_err(|e| e.to_string())?;
        let target = if uses_subgroups(kernel) { "vulkan1.1" } else { "vulkan1.0" };
        let output = Command::new("spirv-val")
            .args(["--target-env", target])
            .arg(&path)
            .output()
            .map_err(|e| format!("spirv-val: {e}"))?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    });
}

/// Only what says so in its name needs more than every browser has.
#[test]
fn no_portable_shader_enables_an_extension() {
    for kernel in kernels().filter(|kernel| !uses_subgroups(kernel)) {
        let text = specialize(&kernel, Loads::Buffers);
        let enables = text.lines().find(|line| line.starts_with("enable ") || line.starts_with("requires "));
        assert_eq!(enables, None, "{}", kernel.key());
    }
}

/// Files that `text` imports.
fn imports(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("// #import ")).map(str::trim)
}

#[test]
fn every_file_is_used() {
    assert!(gpu::SHADERS.len() > 100, "files of shaders/ found: {}", gpu::SHADERS.len());
    let registered: Vec<&str> = shaders().map(|shader| shader.file).collect();
    let imported: BTreeSet<&str> = gpu::SHADERS.iter().flat_map(|(_, text)| imports(text)).collect();
    for (file, _) in gpu::SHADERS {
        let uses = registered.iter().filter(|name| *name == file).count();
        if file.contains("shared/") {
            assert!(imported.contains(file) && uses == 0, "{file} is imported by nobody, or registered as a kernel");
        } else {
            assert_eq!(uses, 1, "{file}: registrations in ops::SHADERS, software::SHADERS and bench::SHADERS");
        }
    }
}

#[test]
fn every_import_resolves() {
    for (file, text) in gpu::SHADERS {
        for line in text.lines().filter(|line| line.contains("#import")) {
            let import = imports(line).next().unwrap_or_else(|| panic!("{file}: not an import: {line:?}"));
            assert!(
                gpu::SHADERS.iter().any(|(name, _)| *name == import),
                "{file} imports {import}, which does not exist"
            );
        }
    }
}

#[test]
fn every_constant_of_a_variant_exists() {
    for shader in shaders() {
        assert!(!shader.variants.is_empty(), "{}: no variants", shader.file);
        // The text as it stands, before any constant is replaced.
        let text = specialize(&Kernel { shader, constants: &[], halves: 0 }, Loads::Buffers);
        for (name, _) in shader.variants.iter().flat_map(|variant| variant.iter()) {
            let start = format!("const {name}: u32 = ");
            let found = text.lines().filter(|line| line.starts_with(&start)).count();
            assert_eq!(found, 1, "{}: lines that start with '{start}'", shader.file);
        }
    }
}

#[test]
fn every_variant_is_another_kernel() {
    let keys: Vec<String> = kernels().map(|kernel| kernel.key()).collect();
    let distinct: BTreeSet<&String> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len(), "two variants have the same constants");
}
