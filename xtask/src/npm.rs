//! `cargo xtask npm`: the npm package, built, packed and looked at.

use crate::Result;
use crate::command::{command, heading, output, root, run, succeeds, target_dir};
use crate::debian::{self, Consent};
use crate::{wasm, web};
use std::fs;
use std::path::{Path, PathBuf};

/// What is in the package, and nothing else.
const FILES: [&str; 9] = [
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "example.html",
    "mexhat.d.ts",
    "mexhat.js",
    "mexhat_npm.js",
    "mexhat_npm_bg.wasm",
    "package.json",
];

/// Bytes of the packed package at most. Nearly all of it is the wasm.
const LARGEST: u64 = 465_000;

/// Builds the package and packs it; returns the tarball that would be published.
///
/// # Errors
/// What could not be built, or what is wrong with the package.
pub fn pack(consent: Consent) -> Result<PathBuf> {
    ensure_npm(consent)?;
    let toolchain = wasm::ensure_toolchain(consent)?;
    heading("npm package");
    let folder = target_dir().join("npm");
    let package = folder.join("package");
    web::empty(&folder)?;
    web::copy(&root().join("web/npm/package"), &package)?;
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        let copied = fs::copy(root().join(licence), package.join(licence));
        copied.map_err(|error| format!("cannot copy {licence}: {error}"))?;
    }
    web::bundle(&toolchain, &["mexhat-npm"], &package)?;
    check_version(&package.join("package.json"))?;
    let mut npm = command("npm", &["pack", "--silent", "--pack-destination", ".."]);
    npm.current_dir(&package);
    run(npm)?;
    let tarball = folder.join(format!("mexhat-{}.tgz", env!("CARGO_PKG_VERSION")));
    check(&tarball)?;
    Ok(tarball)
}

fn ensure_npm(consent: Consent) -> Result {
    if succeeds(command("npm", &["--version"])) {
        return Ok(());
    }
    if debian::is_here() {
        return debian::install("Packing the npm package", &["nodejs", "npm"], consent);
    }
    Err("packing the npm package needs npm; install Node.js, which brings it along".into())
}

/// The package has the version of the crate that it is made of.
fn check_version(file: &Path) -> Result {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let version = env!("CARGO_PKG_VERSION");
    if text.contains(&format!("\"version\": \"{version}\"")) {
        return Ok(());
    }
    Err(format!("web/npm/package/package.json has another version than {version} of Cargo.toml; write that"))
}

/// Lists what was packed, which must be [`FILES`].
fn check(tarball: &Path) -> Result {
    let mut tar = command("tar", &["-tzf"]);
    tar.arg(tarball);
    let list = output(tar).ok_or_else(|| format!("{} cannot be listed", tarball.display()))?;
    let mut found: Vec<&str> = list.lines().filter_map(|path| path.strip_prefix("package/")).collect();
    found.sort_unstable();
    let size = fs::metadata(tarball).map_err(|error| format!("{}: {error}", tarball.display()))?.len();
    println!("{}, {:.1} KB:", tarball.display(), size as f64 / 1024.0);
    found.iter().for_each(|file| println!("    {file}"));
    if found != FILES {
        return Err(format!(
            "the package holds {found:?}; expected {FILES:?}: see `files` in web/npm/package/package.json"
        ));
    }
    if size > LARGEST {
        return Err(format!("the package has {size} bytes, expected at most {LARGEST}"));
    }
    Ok(())
}
