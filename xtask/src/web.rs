//! `cargo xtask web`: the page in `web/dist`, built and served.

use crate::Result;
use crate::command::{cargo, command, heading, root, run, succeeds, target_dir};
use crate::debian::{self, Consent};
use crate::wasm::{self, Toolchain};
use crate::{outside, vulkan};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

const BUILD: &str = "build --profile web --target wasm32-unknown-unknown";
const BINDGEN: &str = "run --quiet --release --package mexhat-bindgen --features tool --";

/// Builds the page into `web/dist`: static files for any folder of any host.
///
/// # Errors
/// What could not be installed, built or written.
pub fn build(consent: Consent) -> Result<PathBuf> {
    let toolchain = wasm::ensure_toolchain(consent)?;
    heading("page");
    let dist = root().join("web/dist");
    empty(&dist)?;
    copy(&root().join("web/page"), &dist)?;
    bundle(&toolchain, &["mexhat-web", "mexhat-web-reader"], &dist)?;
    bundle(&toolchain, &["mexhat-web-doctor"], &dist)?;
    crate::lean::scripts(&dist)?;
    println!("\nthe page is in {}", dist.display());
    Ok(dist)
}

/// Compiles `packages`, which ask for the same features of the engine, side by side, and writes the wasm of each with
/// the JavaScript around it to `folder`.
pub(crate) fn bundle(toolchain: &Toolchain, packages: &[&str], folder: &Path) -> Result {
    let wanted: String = packages.iter().map(|package| format!(" --package {package}")).collect();
    run(wasm::cargo_for(toolchain, &(BUILD.to_owned() + &wanted)))?;
    for package in packages {
        let file = format!("wasm32-unknown-unknown/web/{}.wasm", package.replace('-', "_"));
        let mut bindgen = cargo(BINDGEN);
        bindgen.arg(wasm::target_for(toolchain).join(file)).arg(folder);
        run(bindgen)?;
    }
    Ok(())
}

/// Installs one npm package into a folder, beside what is there.
pub(crate) fn npm_install(folder: &Path, package: &str) -> Result {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(failed)?;
    let own = folder.join("package.json");
    if !own.exists() {
        fs::write(own, "{\"private\":true}").map_err(failed)?;
    }
    let mut npm = command("npm", &["install", "--no-audit", "--no-fund", package]);
    npm.current_dir(folder);
    run(npm)
}

pub(crate) fn empty(folder: &Path) -> Result {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).map_err(|error| format!("cannot empty {}: {error}", folder.display()))
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result {
    let failed = |error: std::io::Error| format!("cannot copy {} to {}: {error}", from.display(), to.display());
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (source, goal) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &goal)?;
        } else {
            fs::copy(&source, &goal).map_err(failed)?;
        }
    }
    Ok(())
}

/// Serves the page on this machine until it is stopped. The server is a program of its own, so that the other tasks
/// need not wait until what it is made of is compiled.
///
/// # Errors
/// The server cannot be built or started.
pub fn serve(dist: &Path) -> Result {
    let mut server = cargo("run --quiet --release --package mexhat-serve --");
    server.arg(dist);
    run(server)
}

/// The parts of [`test()`], each a script of `web/tests`; the quick ones first.
pub const PARTS: [&str; 17] = [
    "states", "article", "recorded", "race", "habits", "npm", "data", "own", "losses", "onnx", "lost", "browser",
    "doctor", "checks", "node", "deno", "firefox",
];

/// Drives the page in Chromium, in one part in Firefox, and runs the reference vectors and operations there; the npm
/// package and those also outside browsers, in Node.js and in Deno. `wanted` names some of [`PARTS`], or none for all.
///
/// # Errors
/// Something is missing and cannot be installed, the build fails, or a check fails.
pub fn test(consent: Consent, wanted: &[&str]) -> Result {
    if let Some(unknown) = wanted.iter().find(|part| !PARTS.contains(part)) {
        return Err(format!(
            "test-web has no part '{unknown}'; expected some of {}, or none for all",
            PARTS.join(", ")
        ));
    }
    let wanted: Vec<&str> = PARTS.into_iter().filter(|part| wanted.is_empty() || wanted.contains(part)).collect();
    ensure_browser(consent, wanted.contains(&"firefox"))?;
    let dist = build(consent)?;
    let folder = scripts()?;
    if wanted.contains(&"firefox") && !folder.join("node_modules/puppeteer-core").is_dir() {
        npm_install(&folder, "puppeteer-core@24.43.1")?;
    }
    let shots = folder.join("shots");
    let mut broken = Vec::new();
    for part in wanted {
        let args = match part {
            "data" => vec![dist.clone(), native_network()?, shots.clone()],
            "npm" => vec![npm_app(consent, &folder)?, crate::command::program()?, typescript(&folder)?, shots.clone()],
            "node" | "deno" => {
                let checks = checks(consent, &folder.join("checks"))?;
                vec![npm_app(consent, &folder)?, crate::command::program()?, checks, shots.clone()]
            }
            "checks" => vec![checks(consent, &folder.join("checks"))?],
            "firefox" => vec![dist.clone(), checks(consent, &folder.join("checks"))?],
            "onnx" => vec![crate::command::program()?, native_network()?, onnx_runtime(&folder)?],
            "losses" => vec![dist.clone(), native_losses(&folder)?],
            _ => vec![dist.clone(), shots.clone()],
        };
        heading(&format!("test-web {part}"));
        let test = match part {
            "node" => outside::node(&folder, &args),
            "deno" => outside::deno(&folder, &args),
            _ => {
                let mut node = command("node", &[]);
                node.arg(folder.join(part).with_extension("mjs")).args(&args);
                Some(node)
            }
        };
        let Some(test) = test else { continue };
        let begun = Instant::now();
        // One fault is not to hide another.
        if let Err(error) = run(test) {
            broken.push(error);
        }
        println!("     {part} took {:.0} s", begun.elapsed().as_secs_f64());
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

/// Records what the chapters of the page show where there is no WebGPU, from the engine in Chromium.
///
/// # Errors
/// Something is missing and cannot be installed, the build fails, or the engine refuses.
pub fn record(consent: Consent) -> Result {
    ensure_browser(consent, false)?;
    let dist = build(consent)?;
    let mut node = command("node", &[]);
    node.arg(scripts()?.join("record-article.mjs")).arg(dist).arg(root().join("web/page/recordings"));
    run(node)
}

/// A folder with the scripts of `web/tests` and what drives Chromium.
fn scripts() -> Result<PathBuf> {
    let folder = target_dir().join("web-test");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    for entry in fs::read_dir(root().join("web/tests")).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let (Some(name), Some("mjs")) = (path.file_name(), path.extension().and_then(|e| e.to_str())) {
            fs::copy(&path, folder.join(name)).map_err(failed)?;
        }
    }
    if !folder.join("node_modules/playwright-core").is_dir() {
        npm_install(&folder, "playwright-core@1.65.1")?;
    }
    Ok(folder)
}

/// A folder in which the packed npm package is installed, as a user of it has it.
fn npm_app(consent: Consent, folder: &Path) -> Result<PathBuf> {
    let (tarball, app) = (crate::npm::pack(consent)?, folder.join("npm-app"));
    empty(&app)?;
    npm_install(&app, &tarball.display().to_string())?;
    Ok(app)
}

/// TypeScript's compiler, which reads the package's types.
fn typescript(folder: &Path) -> Result<PathBuf> {
    let package = folder.join("typescript");
    if !package.join("node_modules/typescript").is_dir() {
        npm_install(&package, "typescript@5.9.3")?;
    }
    Ok(package.join("node_modules/typescript/bin/tsc"))
}

/// ONNX Runtime for browsers.
fn onnx_runtime(folder: &Path) -> Result<PathBuf> {
    let package = folder.join("onnx-runtime");
    if !package.join("node_modules/onnxruntime-web").is_dir() {
        npm_install(&package, "onnxruntime-web@1.30.0")?;
    }
    Ok(package.join("node_modules/onnxruntime-web/dist"))
}

/// The page of reference vectors and operations.
fn checks(consent: Consent, folder: &Path) -> Result<PathBuf> {
    heading("reference vectors and operations for the browser");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    empty(folder)?;
    copy(&root().join("web/tests/checks"), folder)?;
    for entry in fs::read_dir(root().join("tests/golden")).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let (Some(name), Some("safetensors" | "json")) =
            (path.file_name(), path.extension().and_then(|e| e.to_str()))
        {
            fs::copy(&path, folder.join(name)).map_err(failed)?;
        }
    }
    bundle(&wasm::ensure_toolchain(consent)?, &["mexhat-web-checks"], folder)?;
    Ok(folder.to_owned())
}

/// What the race and `mexhat train` both do in the part `losses`: the page's settings with small batches.
const RACE: [(&str, &str); 9] = [
    ("seed", "0"),
    ("lr", "0.1"),
    ("batch_size", "16"),
    ("block", "4"),
    ("block_fc", "64"),
    ("limit_train", "512"),
    ("limit_test", "64"),
    ("mode", "paper"),
    ("schedule", "constant"),
];

/// Writes the losses of the native program's first steps, and what it was told, for `losses.mjs`.
fn native_losses(folder: &Path) -> Result<PathBuf> {
    heading("losses of the native program");
    let mut losses = Vec::new();
    for norm in ["batch", "deconv"] {
        losses.push(format!("\"{norm}\":[{}]", losses_of(norm)?.join(",")));
    }
    let quoted = |value: &str| if value.parse::<f64>().is_ok() { value.to_owned() } else { format!("\"{value}\"") };
    let options = RACE.map(|(name, value)| format!("\"{name}\":{}", quoted(value))).join(",");
    let native = folder.join("native.json");
    let written = fs::write(
        &native,
        format!(
            "{{\"same_driver\":{},\"options\":{{{options}}},\"losses\":{{{}}}}}",
            vulkan::swiftshader().is_some(),
            losses.join(",")
        ),
    );
    written.map_err(|error| format!("{}: {error}", native.display()))?;
    Ok(native)
}

/// Places of a Chromium or Chrome; the environment variable `CHROMIUM` names another.
const BROWSERS: [&str; 4] =
    ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/snap/bin/chromium"];

const FIREFOXES: [&str; 3] = ["/usr/bin/firefox", "/usr/bin/firefox-esr", "/snap/bin/firefox"];

/// Makes sure that there are Node.js, npm and Chromium, and Firefox where it is wanted.
fn ensure_browser(consent: Consent, firefox: bool) -> Result {
    heading("browser");
    let program = |name: &str| succeeds(command(name, &["--version"]));
    let any = |variable: &str, paths: &[&str]| {
        std::env::var_os(variable).is_some() || paths.iter().any(|path| Path::new(path).exists())
    };
    let mut missing = Vec::new();
    if !program("node") {
        missing.push("nodejs");
    }
    if !program("npm") {
        missing.push("npm");
    }
    if !any("CHROMIUM", &BROWSERS) {
        missing.push("chromium");
    }
    if firefox && !any("FIREFOX", &FIREFOXES) {
        missing.push("firefox-esr");
    }
    if missing.is_empty() {
        println!("Node.js and the browsers are there");
        return Ok(());
    }
    if debian::is_here() {
        return debian::install("The test of the page", &missing, consent);
    }
    let list = missing.join(", ");
    Err(format!(
        "the test of the page needs {list}; install them (the variables CHROMIUM and FIREFOX name browsers elsewhere)"
    ))
}

/// Losses of the first steps by the native program, on the browser's own driver where it is here.
fn losses_of(norm: &str) -> Result<Vec<String>> {
    let folder = target_dir().join("web-test/runs");
    let mut train = command(crate::command::program()?, &["train", "--json", "--steps", "50"]);
    for (name, value) in RACE {
        train.arg(format!("--{}", name.replace('_', "-"))).arg(value);
    }
    // A page has no subgroups, and other products add in another order.
    train.env("MEXHAT_FAMILY", "register");
    if let Some(driver) = vulkan::swiftshader() {
        train.env("VK_DRIVER_FILES", driver);
    }
    train.args(["--norm", norm]).arg("--out").arg(folder.join(norm));
    let _ = fs::remove_dir_all(folder.join(norm));
    let text = crate::command::output(train).ok_or("`mexhat train --json` failed")?;
    let loss = |line: &str| {
        let rest = line.split_once("\"loss\":")?.1;
        let end = rest.find([',', '}'])?;
        line.contains("\"event\":\"step\"").then(|| rest[..end].trim().to_owned())
    };
    Ok(text.lines().filter_map(loss).collect())
}

/// A small network with deconvolution that has learnt drawn digits.
fn native_network() -> Result<PathBuf> {
    heading("a network trained by the native program");
    let folder = target_dir().join("web-test/runs/network");
    let _ = fs::remove_dir_all(&folder);
    let mut train = command(crate::command::program()?, &[]);
    let options = "train --steps 150 --batch-size 32 --mode paper --block 4 --block-fc 64 --limit-train 2400 --limit-test 256 --epochs 2 \
                   --lr 0.1";
    train.args(options.split_whitespace()).arg("--out").arg(&folder);
    run(train)?;
    Ok(folder.join("model.safetensors"))
}
