//! What would be published: packed without a warning, with all that the build reads, and small.

use crate::Result;
use crate::command::{cargo, command, output, shown, target_dir};
use std::collections::HashSet;

/// The registry takes 10 MB; half of it keeps large files from slipping in.
const LARGEST: u64 = 5_000_000;

/// Folders that the build reads, so that no file of theirs may be left out.
const BUILT_FROM: [&str; 2] = ["src", "shaders"];

/// Packs the library's crate and looks at the result.
///
/// # Errors
/// A warning of `cargo package`, a file of [`BUILT_FROM`] that is missing, or a crate above [`LARGEST`].
pub fn check() -> Result {
    // Uncommitted changes are packed too: a change is tried before it is committed.
    let mut pack = cargo("package --package mexhat --no-verify --allow-dirty");
    let name = shown(&pack);
    let packed = pack.output().map_err(|error| format!("cannot start `{name}`: {error}"))?;
    let said = String::from_utf8_lossy(&packed.stderr);
    if !packed.status.success() || said.contains("warning:") {
        return Err(format!("`{name}` is to pass without a warning:\n{said}"));
    }
    let list = output(cargo("package --package mexhat --list --allow-dirty")).ok_or("cargo cannot list the package")?;
    let listed: HashSet<&str> = list.lines().collect();
    // Outside a checkout there is nothing to compare with.
    let tracked = output(command("git", &[&["ls-files"], &BUILT_FROM[..]].concat())).unwrap_or_default();
    if let Some(missing) = tracked.lines().find(|file| !listed.contains(file)) {
        return Err(format!("the package lacks {missing}; see `exclude` in Cargo.toml"));
    }
    let version = env!("CARGO_PKG_VERSION");
    let file = target_dir().join(format!("package/mexhat-{version}.crate"));
    let size = std::fs::metadata(&file).map_err(|error| format!("{}: {error}", file.display()))?.len();
    println!("{} files, {:.1} MB", listed.len(), size as f64 / 1e6);
    if size > LARGEST {
        return Err(format!("the package has {size} bytes, expected at most {LARGEST}; see `exclude` in Cargo.toml"));
    }
    Ok(())
}
