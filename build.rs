//! Finds what is listed nowhere by hand: the files of `shaders/` with their text, and the kernels that operations bring
//! along.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for folder in ["shaders", "src/ops"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    let wasm = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32");
    // The page does not download what operations are held against; the checks in a browser do.
    println!("cargo:rustc-check-cfg=cfg(reference)");
    if !wasm || env::var_os("CARGO_FEATURE_REFERENCE").is_some() {
        println!("cargo:rustc-cfg=reference");
    }
    // Nor networks whose names it never says.
    println!("cargo:rustc-check-cfg=cfg(zoo)");
    if !wasm || env::var_os("CARGO_FEATURE_ZOO").is_some() {
        println!("cargo:rustc-cfg=zoo");
    }
    let ops = root.join("src/ops");
    // Operations that no page has, with the kernels that they name.
    let (mut native, mut kernels) = (Vec::new(), Vec::new());
    for path in files(&ops, "rs")? {
        let text = fs::read_to_string(&path)?;
        if wasm && text.contains("#![cfg(not(target_arch = \"wasm32\"))]") {
            native.push(below(&path.with_extension(""), &ops));
            kernels.extend(text.split('"').filter(|word| word.ends_with(".wgsl")).map(str::to_owned));
        }
    }
    let mut texts = String::from("&[\n");
    for path in files(&root.join("shaders"), "wgsl")? {
        let name = below(&path, &root.join("shaders"));
        if kernels.contains(&name) {
            continue;
        }
        if wasm {
            let _ = writeln!(texts, "    ({name:?}, {:?}),", short(&fs::read_to_string(&path)?));
        } else {
            let _ = writeln!(texts, "    ({name:?}, include_str!({path:?})),");
        }
    }
    fs::write(out.join("shaders.rs"), texts + "]\n")?;
    let mut lists = String::from("&[\n");
    for path in files(&ops, "rs")? {
        let name = below(&path.with_extension(""), &ops);
        if fs::read_to_string(&path)?.contains("const SHADERS: &[&Shader]") && !native.contains(&name) {
            let _ = writeln!(lists, "    {}::SHADERS,", name.replace('/', "::"));
        }
    }
    fs::write(out.join("kernels.rs"), lists + "]\n")
}

/// A shader without comments and indentation, which a page would download for nothing. What is imported stands in a
/// comment, and stays; and a constant inside a function keeps its place, since only those of modules take other values.
fn short(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once("//") {
        Some((code, _)) if !line.starts_with("// #import ") => code.trim_end(),
        _ => line,
    });
    let lines = lines.map(|line| if line.trim_start().starts_with("const ") { line } else { line.trim_start() });
    lines.filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect()
}

/// Files below `folder` with this ending, in order of their names.
fn files(folder: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, ending)?);
        } else if path.extension().is_some_and(|end| end == ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// `path` below `folder`, with slashes on every system.
fn below(path: &Path, folder: &Path) -> String {
    let parts = path.strip_prefix(folder).unwrap_or(path).components();
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
