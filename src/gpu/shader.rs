//! From a file in `shaders/` to WGSL text: imports, then constants, then loads, then short loops. Nothing else happens to a shader.
//!
//! * A line `// #import shared/NAME.wgsl` is replaced by that file (once, however often it is asked for).
//! * A line `const NAME: TYPE = VALUE;` takes another value when a kernel names it.
//! * Where textures are loaded from, read-only inputs become textures (`loads.rs`).
//! * A loop over a small constant is written out (`unroll.rs`).

use super::loads::from_textures;
use super::unroll::unroll;
use super::{Kernel, Loads};
use std::collections::BTreeSet;

macro_rules! shaders {
    ($($file:literal),* $(,)?) => {
        /// Every file of `shaders/` with its text.
        pub const SHADERS: &[(&str, &str)] = &[$(($file, include_str!(concat!("../../shaders/", $file)))),*];
    };
}

include!("shader_list.rs");

fn text(file: &str) -> &'static str {
    // The shader tests prove that every registered file and every import is listed.
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
pub(super) fn whole(file: &str) -> String {
    let mut text = String::new();
    append(file, &mut BTreeSet::new(), &mut text);
    text
}

/// The WGSL text of `kernel`, whose inputs are loaded as `loads` says.
pub fn specialize(kernel: &Kernel, loads: Loads) -> String {
    let lines: Vec<String> = whole(kernel.shader.file)
        .lines()
        .map(|line| with_constant(line, kernel.constants).unwrap_or_else(|| line.to_owned()))
        .collect();
    let text = lines.join("\n");
    unroll(&match loads {
        Loads::Buffers => text,
        Loads::Textures => from_textures(&text),
    })
}
