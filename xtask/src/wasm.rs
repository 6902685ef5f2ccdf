//! Building the library for the browser, whichever toolchain can.

use crate::Result;
use crate::command::{cargo, command, output, run, succeeds, target_dir};
use crate::debian::{self, Consent};
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";
/// With what the page's parts have in common and by their profile, so that they find it compiled.
const BUILD: &str = "build --profile web --package mexhat-web-common --target wasm32-unknown-unknown";

/// Debian's up-to-date Rust with the sources of the standard library, which has no wasm32 target of its own.
const DEBIAN_RUST: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld"];

/// A way to build for the browser.
pub enum Toolchain {
    /// The toolchain in use has the target.
    Own,
    /// Debian's toolchain, which builds the standard library as well.
    Debian,
}

fn sysroot() -> Option<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    output(command(rustc, &["--print", "sysroot"])).map(|path| path.trim().into())
}

fn has_target() -> bool {
    sysroot().is_some_and(|sysroot| sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir())
}

/// Finds or installs a toolchain for the browser.
///
/// # Errors
/// Neither rustup nor Debian's packages give one.
pub fn ensure_toolchain(consent: Consent) -> Result<Toolchain> {
    if has_target() || succeeds(command("rustup", &["target", "add", TARGET])) && has_target() {
        return Ok(Toolchain::Own);
    }
    println!("the toolchain has no target {TARGET}, and rustup cannot add it");
    if !debian::is_here() {
        return Err(format!("the Rust target {TARGET} is missing; `rustup target add {TARGET}` installs it"));
    }
    let sources = Path::new("/usr/lib/rustlib/src/rust/library").is_dir();
    if !(sources && succeeds(command("/usr/bin/cargo", &["--version"])) && succeeds(command("wasm-ld", &["--version"])))
    {
        debian::install("The build for browsers", &DEBIAN_RUST, consent)?;
    }
    Ok(Toolchain::Debian)
}

/// Builds the library for the browser.
///
/// # Errors
/// The build fails.
pub fn build(toolchain: &Toolchain) -> Result {
    run(cargo_for(toolchain, BUILD))
}

/// The cargo that can build for the browser, with the given arguments separated by spaces.
pub fn cargo_for(toolchain: &Toolchain, args: &str) -> Command {
    match toolchain {
        Toolchain::Own => cargo(args),
        Toolchain::Debian => {
            let mut args: Vec<&str> = args.split(' ').collect();
            args.push("-Zbuild-std=std,panic_abort");
            debian_cargo(&args)
        }
    }
}

/// Where [`cargo_for`] leaves what it builds: another compiler gets a folder of its own.
pub fn target_for(toolchain: &Toolchain) -> PathBuf {
    match toolchain {
        Toolchain::Own => target_dir(),
        Toolchain::Debian => target_dir().join("wasm"),
    }
}

fn debian_cargo(args: &[&str]) -> Command {
    let mut cargo = command("/usr/bin/cargo", args);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([Path::new("/usr/bin").into()].into_iter().chain(std::env::split_paths(&path)));
    cargo.env("PATH", path.unwrap_or_else(|_| "/usr/bin:/bin".into()));
    // Building the standard library is an unstable feature.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", "/usr/bin/rustc").env("RUSTFLAGS", "-Clinker=wasm-ld");
    cargo.env("CARGO_TARGET_DIR", target_for(&Toolchain::Debian));
    cargo
}
