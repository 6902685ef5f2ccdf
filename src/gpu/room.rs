//! How much an adapter can take: the largest buffer, and all of them together where that can be known.

use super::{Gpu, PoolSizes, Storage};
use crate::{Error, Result};

/// The label of what steps compute, in contrast to what lasts.
pub(super) const POOL: &str = "pool";

impl Gpu {
    /// Bytes of the largest buffer that a kernel can be given.
    pub fn largest_buffer(&self) -> u64 {
        let limits = self.inner.device.limits();
        limits.max_storage_buffer_binding_size.min(limits.max_buffer_size)
    }

    /// Refuses a buffer that is too large, before it is made.
    ///
    /// # Errors
    /// [`Error::Limit`] with both sizes.
    pub fn check_buffer(&self, label: &str, bytes: u64) -> Result<()> {
        let offer = self.largest_buffer();
        if bytes <= offer {
            return Ok(());
        }
        Err(Error::Limit {
            adapter: self.inner.summary.name.clone(),
            limit: "max_storage_buffer_binding_size",
            need: bytes,
            offer,
            cure: match label {
                POOL => "a tensor of a step is too large: use a smaller batch size".into(),
                _ => format!(
                    "'{label}' is as large whatever the batch size: make its layer smaller, or use another adapter"
                ),
            },
        })
    }

    /// Refuses a pool of which a part is too large, before it is made.
    ///
    /// # Errors
    /// As [`Gpu::check_buffer`].
    pub fn check_pool(&self, sizes: &PoolSizes) -> Result<()> {
        sizes.places.iter().try_for_each(|(storage, bytes)| match storage {
            Storage::Buffer => self.check_buffer(POOL, *bytes),
            Storage::Image(layout) => super::image::check(self, *layout, *bytes),
        })
    }

    /// Refuses to take `bytes` more, all together, where it is known that they are not there.
    ///
    /// # Errors
    /// [`Error::Memory`] with what is there.
    pub fn check_room(&self, bytes: u64) -> Result<()> {
        match self.room() {
            Some(offer) if bytes > offer => Err(Error::Memory {
                owner: format!("the adapter '{}'", self.inner.summary.name),
                need: bytes,
                offer,
                cure: "use a smaller batch size or network, or close other programs".into(),
            }),
            _ => Ok(()),
        }
    }

    /// Refuses to take `bytes` of this system's own memory where it is known that they are not there.
    ///
    /// # Errors
    /// [`Error::Memory`] with what is there.
    pub(crate) fn check_host_room(&self, bytes: u64) -> Result<()> {
        match system_room() {
            Some(offer) if bytes > offer => Err(Error::Memory {
                owner: "this system".into(),
                need: bytes,
                offer,
                cure: "use a smaller network, or close other programs".into(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether the adapter computes in halves.
    pub(crate) fn offers_f16(&self) -> bool {
        self.inner.f16
    }

    /// Bytes that can still be had, where that is known: of an adapter that computes on the CPU, those of the system.
    /// Cards do not tell, unless they have refused some.
    pub fn room(&self) -> Option<u64> {
        let system = if self.adapter().is_software() { system_room() } else { None };
        [system, self.refused()].into_iter().flatten().min()
    }

    /// More than so many bytes, all together, were refused once; less may be refused too.
    pub(crate) fn refused(&self) -> Option<u64> {
        let refused = self.inner.live.refused.load(std::sync::atomic::Ordering::Relaxed);
        (refused < u64::MAX).then_some(refused)
    }
}

/// Memory that this process may still take: of the system, of its control group, and of its own limit.
#[cfg(target_os = "linux")]
fn system_room() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let field = |text: &str, name: &str| -> Option<u64> {
        text.lines().find(|line| line.starts_with(name))?[name.len()..].split_whitespace().next()?.parse().ok()
    };
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let system = field(&read("/proc/meminfo")?, "MemAvailable:").map(|kib| kib << 10);
    let group = number("/sys/fs/cgroup/memory.max")
        .zip(number("/sys/fs/cgroup/memory.current"))
        .map(|(most, used)| most.saturating_sub(used));
    let own = read("/proc/self/limits")
        .and_then(|text| field(&text, "Max address space"))
        .zip(read("/proc/self/status").and_then(|text| field(&text, "VmSize:")).map(|kib| kib << 10));
    let own = own.map(|(most, used)| most.saturating_sub(used));
    [system, group, own].into_iter().flatten().min()
}

#[cfg(not(target_os = "linux"))]
fn system_room() -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn the_system_has_room() {
        let room = super::system_room().expect("the system tells");
        assert!(room > 16 << 20 && room < 1 << 50, "{room}");
    }
}
