//! From a file in `shaders/` to WGSL text: imports, constants, the adapter's own pass, short loops.
//!
//! * A line `// #import shared/NAME.wgsl` is replaced by that file (once, however often it is asked for).
//! * A line `const NAME: TYPE = VALUE;` takes another value when a kernel names it.
//! * An adapter may have a pass of its own over the text ([`Profile::text`](super::Profile)).
//! * Arrays that lie in storage as 16-bit floats are declared, loaded and stored so (`half.rs`).
//! * A loop over a small constant is written out (`unroll.rs`).

use super::unroll::unroll;
use super::{Kernel, Profile};
use std::collections::BTreeSet;

/// Every file of `shaders/` with its text, as `build.rs` finds them.
pub const SHADERS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shaders.rs"));

fn text(file: &str) -> &'static str {
    // The shader tests prove that every registered file and every import exists.
    SHADERS.iter().find(|(name, _)| *name == file).map_or("", |(_, text)| text)
}

fn append(file: &str, seen: &mut BTreeSet<String>, out: &mut String) {
    for line in text(file).lines() {
        match line.strip_prefix("// #import ") {
            Some(import) => {
                if seen.insert(import.trim().to_owned()) {
                    append(import.trim(), seen, out);
                }
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
}

fn with_constant(line: &str, constants: &[(&'static str, u32)]) -> Option<String> {
    let (name, rest) = line.strip_prefix("const ")?.split_once(':')?;
    let (_, value) = constants.iter().find(|(wanted, _)| *wanted == name)?;
    let ty = rest.split_once('=')?.0.trim();
    Some(format!("const {name}: {ty} = {value}u;"))
}

/// The text of `file` with what it imports.
pub(crate) fn whole(file: &str) -> String {
    let mut text = String::new();
    append(file, &mut BTreeSet::new(), &mut text);
    text
}

/// An adapter's pass over the text of a shader.
#[derive(Clone, Copy)]
pub struct TextPass(pub fn(String) -> String);

impl From<Profile> for TextPass {
    fn from(profile: Profile) -> Self {
        Self(profile.text)
    }
}

/// The WGSL text of `kernel` as an adapter is given it, by its profile.
pub fn specialize(kernel: &Kernel, pass: impl Into<TextPass>) -> String {
    let lines: Vec<String> = whole(kernel.shader.file)
        .lines()
        .map(|line| with_constant(line, kernel.constants).unwrap_or_else(|| line.to_owned()))
        .collect();
    let text = (pass.into().0)(lines.join("\n"));
    #[cfg(reference)]
    let text = super::half::stored(text, kernel.halves);
    unroll(&text)
}

/// What the resources that `text` declares are bound as, in order of their bindings.
pub(super) fn bindings(text: &str) -> Vec<wgpu::BindingType> {
    text.lines().filter_map(binding).collect()
}

fn binding(line: &str) -> Option<wgpu::BindingType> {
    let (_, declared) = line.strip_prefix("@group(0) @binding(")?.split_once(") var")?;
    let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
    let storage = |read_only| buffer(wgpu::BufferBindingType::Storage { read_only });
    let image = |sample_type| wgpu::BindingType::Texture {
        sample_type,
        view_dimension: wgpu::TextureViewDimension::D2,
        multisampled: false,
    };
    Some(match declared {
        text if text.starts_with("<uniform>") => buffer(wgpu::BufferBindingType::Uniform),
        text if text.starts_with("<storage, read>") => storage(true),
        text if text.starts_with("<storage, read_write>") => storage(false),
        text if text.ends_with(": texture_2d<u32>;") => image(wgpu::TextureSampleType::Uint),
        _ => image(wgpu::TextureSampleType::Float { filterable: false }),
    })
}
