//! Compiled pipelines on disk, where the backend hands them out: the next start need not compile them again.
//!
//! A file that is damaged, cut short or from another driver is ignored and replaced; nothing here can fail a run.

use super::KernelCache;
use etcetera::BaseStrategy;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// First bytes of a file: what it is, and the version of its form.
const MAGIC: &[u8; 8] = b"mexhatP1";

/// A driver's cache and the file that it goes to.
pub(super) struct Cache {
    raw: wgpu::PipelineCache,
    file: PathBuf,
    /// Bytes that the file holds, so that it is written only when there is more.
    written: Mutex<usize>,
}

fn folder(cache: KernelCache) -> Option<PathBuf> {
    match cache {
        KernelCache::Off => None,
        KernelCache::Folder(folder) => Some(folder),
        KernelCache::User => Some(caches()?.join("mexhat")),
    }
}

/// The platform's folder for a user's caches.
fn caches() -> Option<PathBuf> {
    let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(folders.cache_dir()).filter(|folder| folder.is_absolute())
}

/// Magic, checksum of the rest, the adapter's key behind its length, the driver's data.
fn seal(key: &str, data: &[u8]) -> Vec<u8> {
    let mut rest = (key.len() as u32).to_le_bytes().to_vec();
    rest.extend_from_slice(key.as_bytes());
    rest.extend_from_slice(data);
    [MAGIC.as_slice(), &checksum(&rest).to_le_bytes(), &rest].concat()
}

/// The driver's data of a file made by [`seal`] under the same key; `None` for anything else.
fn open<'a>(key: &str, file: &'a [u8]) -> Option<&'a [u8]> {
    let (sum, rest) = file.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    if checksum(rest) != u32::from_le_bytes(*sum) {
        return None;
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (known, data) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    (known == key.as_bytes()).then_some(data)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Puts `bytes` in the place of `file` at once, so that nobody reads half of them.
fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let aside = file.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&aside, bytes).and_then(|()| std::fs::rename(&aside, file)).inspect_err(|_| {
        // What is left is of no use; that it stays would be no harm either.
        let _ = std::fs::remove_file(&aside);
    })
}

fn key(adapter: &wgpu::AdapterInfo) -> Option<String> {
    let adapter_key = wgpu::util::pipeline_cache_key(adapter)?;
    Some(format!("{adapter_key} {} {}", adapter.driver, adapter.driver_info))
}

impl Cache {
    /// The cache of this adapter, filled from its file; `None` where the backend has none or nothing shall be kept.
    #[allow(unsafe_code)]
    pub fn open(device: &wgpu::Device, adapter: &wgpu::AdapterInfo, kept: KernelCache) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let key = key(adapter)?;
        let name: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let file = folder(kept)?.join(format!("{name}.bin"));
        let found = std::fs::read(&file).unwrap_or_default();
        let data = open(&key, &found);
        if data.is_none() && !found.is_empty() {
            log::info!("{}: not a pipeline cache of this driver; it will be replaced", file.display());
        }
        // SAFETY: the data were handed out by `get_data` on an adapter of the same key and driver, as far as a checksum
        // can tell; wgpu and the driver check their own headers.
        let raw = unsafe {
            device.create_pipeline_cache(&wgpu::PipelineCacheDescriptor { label: Some("mexhat"), data, fallback: true })
        };
        let written = Mutex::new(data.map_or(0, <[u8]>::len));
        Some(Self { raw, file, written })
    }

    /// For a pipeline's description.
    pub fn raw(&self) -> &wgpu::PipelineCache {
        &self.raw
    }

    /// Writes the file if the driver has something new.
    pub fn save(&self, adapter: &wgpu::AdapterInfo) {
        let (Some(data), Some(key)) = (self.raw.get_data(), key(adapter)) else { return };
        let mut written = self.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if data.len() == *written {
            return;
        }
        match replace(&self.file, &seal(&key, &data)) {
            Ok(()) => *written = data.len(),
            Err(e) => log::info!("{}: the pipeline cache could not be written: {e}", self.file.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_have_a_folder() {
        // Where nobody is at home, nothing is kept.
        assert!(caches().is_none_or(|folder| folder.is_absolute()));
        assert_eq!(folder(KernelCache::Folder("kernels".into())), Some("kernels".into()));
        assert_eq!(folder(KernelCache::Off), None);
    }

    #[test]
    fn a_sealed_file_opens_under_its_own_key_only() {
        let file = seal("adapter 1", b"compiled");
        assert_eq!(open("adapter 1", &file), Some(b"compiled".as_slice()));
        assert_eq!(open("adapter 2", &file), None);
        assert_eq!(open("adapter", &file), None);
    }

    #[test]
    fn damaged_files_are_not_opened() {
        let file = seal("a", b"compiled");
        for end in 0..file.len() {
            assert_eq!(open("a", &file[..end]), None, "cut at {end}");
        }
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 4;
            assert_eq!(open("a", &damaged), None, "changed at {at}");
        }
        assert_eq!(open("a", b"something else"), None);
    }

    #[test]
    fn a_file_is_replaced_whole() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("new/cache.bin");
        for bytes in [b"first".as_slice(), b"2"] {
            replace(&file, bytes)?;
            assert_eq!(std::fs::read(&file)?, bytes);
        }
        assert_eq!(std::fs::read_dir(folder.path().join("new"))?.count(), 1);
        Ok(())
    }
}
