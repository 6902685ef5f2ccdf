//! A GPU driver: wgpu finds Vulkan drivers on Linux through small description files.

use crate::Result;
use crate::command::heading;
use crate::debian::{self, Consent};
use std::path::{Path, PathBuf};

/// The software adapter of Debian's package `chromium` as a native driver: its description file, where it is installed.
pub fn swiftshader() -> Option<&'static Path> {
    Some(Path::new("/usr/lib/chromium/vk_swiftshader_icd.json")).filter(|file| file.exists())
}

/// Folders in which the Vulkan loader looks for drivers, and files that the user names.
fn driver_files() -> Vec<PathBuf> {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES"].into_iter().filter_map(std::env::var_os);
    let mut files: Vec<PathBuf> = named.flat_map(|list| std::env::split_paths(&list).collect::<Vec<_>>()).collect();
    let mut folders: Vec<PathBuf> =
        ["/etc", "/usr/local/etc", "/usr/local/share", "/usr/share"].map(PathBuf::from).into();
    for list in ["XDG_DATA_DIRS", "XDG_DATA_HOME", "XDG_CONFIG_DIRS"].into_iter().filter_map(std::env::var_os) {
        folders.extend(std::env::split_paths(&list));
    }
    folders.extend(std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share")));
    for entry in folders.iter().filter_map(|folder| std::fs::read_dir(folder.join("vulkan/icd.d")).ok()).flatten() {
        files.extend(entry.map(|entry| entry.path()));
    }
    files.retain(|file| file.extension().is_some_and(|kind| kind == "json") && file.exists());
    files
}

/// Makes sure that there is a driver; on Debian without one, Mesa's drivers are installed, the software adapter among
/// them.
///
/// # Errors
/// There is no driver, and it is not installed here; the text says what to install.
pub fn ensure_driver(consent: Consent) -> Result {
    if !cfg!(target_os = "linux") {
        return Ok(()); // Metal and DirectX 12 are part of the system.
    }
    heading("GPU driver");
    let files = driver_files();
    if !files.is_empty() {
        println!("{} Vulkan drivers, such as {}", files.len(), files[0].display());
        return Ok(());
    }
    if debian::is_here() {
        return debian::install("A GPU or its software stand-in", &["mesa-vulkan-drivers"], consent);
    }
    Err("no Vulkan driver found; install the one of your GPU's vendor or Mesa's, with its loader: \
         `mesa-vulkan-drivers vulkan-loader` on Fedora, `vulkan-icd-loader` with `vulkan-radeon`, `vulkan-intel`, \
         `nvidia-utils` or `vulkan-swrast` on Arch, `mesa-vulkan-ati`, `-intel` or `-swrast` with `vulkan-loader` on Alpine"
        .into())
}
