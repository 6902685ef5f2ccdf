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

#[cfg(not(target_arch = "wasm32"))]
macro_rules! shaders {
    ($($file:literal),* $(,)?) => {
        /// Every file of `shaders/` with its text.
        pub const SHADERS: &[(&str, &str)] = &[$(($file, include_str!(concat!("../../shaders/", $file)))),*];
    };
}

/// In a browser every byte is downloaded, so remarks and indentation stay behind, and so do kernels that no page uses.
#[cfg(target_arch = "wasm32")]
macro_rules! shaders {
    ($($file:literal),* $(,)?) => {
        /// Every file of `shaders/` with its bare text, or neither.
        pub const SHADERS: &[(&str, &str)] = &[$((if bare::of_native_programs($file) { "" } else { $file }, {
            const TEXT: &str =
                if bare::of_native_programs($file) { "" } else { include_str!(concat!("../../shaders/", $file)) };
            const BARE: [u8; bare::length(TEXT)] = bare::text(TEXT);
            match str::from_utf8(&BARE) {
                Ok(text) => text,
                // Whole lines of UTF-8 are UTF-8.
                Err(_) => panic!("a shader is not UTF-8"),
            }
        })),*];
    };
}

#[cfg(any(test, target_arch = "wasm32"))]
mod bare {
    //! Shader text without remarks, indentation and empty lines, at compile time. Imports are remarks that stay.

    const fn starts_with(bytes: &[u8], at: usize, wanted: &[u8]) -> bool {
        let mut i = 0;
        while i < wanted.len() {
            if at + i >= bytes.len() || bytes[at + i] != wanted[i] {
                return false;
            }
            i += 1;
        }
        true
    }

    /// Parts of names of files that no page uses.
    const NATIVE: [&[u8]; 4] = [b"subgroup", b"small", b"peak", b"schulz_sum"];

    /// Whether no page uses `file`: browsers do not hand subgroups to wgpu yet, Chromium's software adapter does not get along with
    /// small matrices in one launch (`newton_schulz_small.rs`), no page has room for the steps of large ones (`newton_schulz_fitted.rs`), and none measures an adapter's peak.
    pub const fn of_native_programs(file: &str) -> bool {
        let (file, mut at) = (file.as_bytes(), 0);
        while at < file.len() {
            let mut i = 0;
            while i < NATIVE.len() {
                if starts_with(file, at, NATIVE[i]) {
                    return true;
                }
                i += 1;
            }
            at += 1;
        }
        false
    }

    /// Copies what stays of `from` to `to` as far as there is room; returns how much stays.
    const fn copy(from: &[u8], to: &mut [u8]) -> usize {
        let (mut at, mut len) = (0, 0);
        while at < from.len() {
            while at < from.len() && from[at] == b' ' {
                at += 1;
            }
            let begin = at;
            let import = starts_with(from, at, b"// #import ");
            while at < from.len() && from[at] != b'\n' && (import || !starts_with(from, at, b"//")) {
                at += 1;
            }
            let mut end = at;
            while end > begin && from[end - 1] == b' ' {
                end -= 1;
            }
            while at < from.len() && from[at] != b'\n' {
                at += 1;
            }
            at += 1;
            let mut i = begin;
            while begin < end && i <= end {
                if len < to.len() {
                    to[len] = if i < end { from[i] } else { b'\n' };
                }
                len += 1;
                i += 1;
            }
        }
        len
    }

    /// Bytes of [`text`].
    pub const fn length(text: &str) -> usize {
        copy(text.as_bytes(), &mut [])
    }

    /// The bare text.
    pub const fn text<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        copy(text.as_bytes(), &mut bytes);
        bytes
    }
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

#[cfg(test)]
mod tests {
    use super::{SHADERS, bare};

    #[test]
    fn bare_text_is_the_text_without_remarks() {
        const SMALL: &str = "// About.\n// #import shared/a.wgsl\n\nfn f() { // why\n    g(1 / 2);   \n}";
        const BARE: [u8; bare::length(SMALL)] = bare::text(SMALL);
        assert_eq!(str::from_utf8(&BARE), Ok("// #import shared/a.wgsl\nfn f() {\ng(1 / 2);\n}\n"));
        for (file, text) in SHADERS {
            let line = |line: &str| {
                let line = line.trim();
                let code =
                    if line.starts_with("// #import ") { line } else { line.split("//").next().unwrap_or_default() };
                code.trim_end().len() + usize::from(!code.is_empty())
            };
            assert_eq!(bare::length(text), text.lines().map(line).sum::<usize>(), "{file}");
        }
    }

    #[test]
    fn pages_leave_out_what_they_cannot_use() {
        for file in [
            "products/matmul_subgroup.wgsl",
            "newton_schulz/shared/small_blocks.wgsl",
            "newton_schulz/newton_schulz_small.wgsl",
            "bench/peak_fma.wgsl",
        ] {
            assert!(SHADERS.iter().any(|(known, _)| *known == file) && bare::of_native_programs(file), "{file}");
        }
        assert!(!bare::of_native_programs("products/matmul_shared.wgsl"));
    }
}
