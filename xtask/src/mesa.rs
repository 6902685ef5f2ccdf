//! Debian 13's Mesa in a folder of its own: drivers for GPUs that are not there, as `mesa-drm-shim` stands in for the
//! kernel.
//!
//! Nothing is installed: packages are downloaded by `apt-get` with lists of its own and unpacked, and programs are
//! started by the unpacked loader, so neither root nor the system's own drivers are touched.

use crate::Result;
use crate::command::{command, run, succeeds};
use crate::debian::{self, Consent};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: [&str; 4] = ["libvulkan1", "mesa-vulkan-drivers", "mesa-drm-shim", "vulkan-validationlayers"];
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The folder with the unpacked packages.
pub struct Mesa {
    libraries: PathBuf,
    loader: PathBuf,
    vulkan: PathBuf,
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}

/// The folder that `MEXHAT_GPU_LAB` names, or one among the user's caches.
fn folder() -> Result<PathBuf> {
    let named = std::env::var_os("MEXHAT_GPU_LAB").map(PathBuf::from);
    let caches = || std::env::var_os("XDG_CACHE_HOME").map(|caches| PathBuf::from(caches).join("mexhat/gpu-lab"));
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/mexhat/gpu-lab"));
    named.or_else(caches).or_else(home).ok_or_else(|| "MEXHAT_GPU_LAB must name a folder for Mesa".into())
}

/// The mirror of Debian that this system uses, or Debian's own.
fn mirror() -> String {
    let lists = ["/etc/apt/sources.list".into()].into_iter();
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let text: String = lists.chain(parts).filter_map(|file: PathBuf| fs::read_to_string(file).ok()).collect();
    let lines = text.lines().filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"));
    let known = lines.flat_map(str::split_whitespace).find(|word| word.trim_end_matches('/').ends_with("/debian"));
    known.unwrap_or("http://deb.debian.org/debian").to_owned()
}

fn download(to: &Path) -> Result {
    for folder in ["lists/partial", "archives/partial"] {
        fs::create_dir_all(to.join(folder)).map_err(failed(to))?;
    }
    fs::write(to.join("status"), "").map_err(failed(to))?;
    let source = format!("deb [signed-by={KEYS}] {} trixie main\n", mirror());
    fs::write(to.join("sources.list"), source).map_err(failed(to))?;
    let mut options: Vec<String> = ["-q", "-y", "-o", "Acquire::Retries=3"].map(str::to_owned).into();
    for (key, path) in [
        ("State", ""),
        ("State::status", "status"),
        ("State::lists", "lists"),
        ("Cache", ""),
        ("Cache::archives", "archives"),
        ("Etc::sourcelist", "sources.list"),
    ] {
        options.extend(["-o".into(), format!("Dir::{key}={}", to.join(path).display())]);
    }
    for rest in ["Dir::Etc::sourceparts=-", "APT::Sandbox::User=root", "Acquire::Languages=none", "Acquire::Retries=5"]
    {
        options.extend(["-o".into(), rest.into()]);
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    run(command("apt-get", &[&options[..], &["update"]].concat()))?;
    let install = ["install", "--download-only", "--no-install-recommends"];
    run(command("apt-get", &[&options[..], &install, &PACKAGES].concat()))
}

fn unpack(from: &Path, to: &Path) -> Result {
    for entry in fs::read_dir(from).map_err(failed(from))?.flatten() {
        let package = entry.path();
        if package.extension() == Some(OsStr::new("deb")) {
            let mut unpack = command("dpkg-deb", &["-x"]);
            unpack.args([&package, to]);
            if !succeeds(unpack) {
                return Err(format!("{} cannot be unpacked by dpkg-deb; is there room for 290 MB?", package.display()));
            }
        }
    }
    Ok(())
}

/// The only path in `folder` whose name starts with `start`.
fn named(folder: &Path, start: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).map_err(failed(folder))?.flatten().map(|entry| entry.path());
    let mut found =
        entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)));
    found.next().ok_or_else(|| format!("{} has no {start}*", folder.display()))
}

impl Mesa {
    /// Uses what is there, or downloads it.
    ///
    /// # Errors
    /// No Debian, no consent, no network.
    pub fn ensure(consent: Consent) -> Result<Self> {
        if !cfg!(target_os = "linux") || !debian::is_here() {
            return Err("gpu-lab needs apt-get and dpkg-deb, that is, Debian, Ubuntu or a container of them".into());
        }
        let folder = folder()?;
        let (root, ready) = (folder.join("root"), folder.join("ready"));
        // What an earlier list of packages left is not enough.
        if fs::read_to_string(&ready).ok() != Some(PACKAGES.join(" ")) {
            debian::agree(
                &format!(
                    "gpu-lab needs Debian 13's Mesa: 61 MB to download into {}, 350 MB there. Do it?",
                    folder.display()
                ),
                consent,
            )?;
            if !Path::new(KEYS).exists() {
                debian::install("Checking Debian's signature", &["debian-archive-keyring"], consent)?;
            }
            download(&folder)?;
            unpack(&folder.join("archives"), &root)?;
            fs::write(&ready, PACKAGES.join(" ")).map_err(failed(&ready))?;
        }
        // `x86_64-linux-gnu` or `aarch64-linux-gnu`, and `ld-linux-x86-64.so.2` or `ld-linux-aarch64.so.1` there.
        let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
        let libraries = root.join("usr/lib").join(machine);
        let loader = named(&libraries, "ld-linux-")?;
        Ok(Self { loader, vulkan: root.join("usr/share/vulkan"), libraries })
    }

    /// A command that runs `program` with the driver `driver`, and with the shim `shim` in place of the kernel if there
    /// is one.
    ///
    /// # Errors
    /// Mesa has no such driver.
    pub fn program(&self, program: &Path, driver: &str, shim: Option<&str>) -> Result<Command> {
        let mut command = command(&self.loader, &[]);
        command.arg("--library-path").arg(&self.libraries);
        if let Some(shim) = shim {
            let shim = self.libraries.join(format!("lib{shim}_noop_drm_shim.so"));
            let syncobj = self.libraries.join("libmexhat_syncobj.so");
            if !syncobj.exists() {
                let mut compile =
                    crate::command::command("cc", &["-shared", "-fPIC", "-O1", "xtask/src/syncobj.c", "-o"]);
                compile.arg(&syncobj);
                run(compile)?;
            }
            command.arg("--preload").arg(format!("{} {}", syncobj.display(), shim.display()));
        }
        command.arg(program).env("VK_DRIVER_FILES", named(&self.vulkan.join("icd.d"), &format!("{driver}_icd"))?);
        command.env("MESA_SHADER_CACHE_DISABLE", "1").env("MEXHAT_CACHE", "off");
        Ok(command)
    }
    /// Has a command of [`Mesa::program`] held against Vulkan's rules; what breaks them is told on its standard output.
    pub fn validate(&self, program: &mut Command) {
        program.env("VK_LAYER_PATH", self.vulkan.join("explicit_layer.d"));
        program.env("VK_INSTANCE_LAYERS", "VK_LAYER_KHRONOS_validation");
    }
}
