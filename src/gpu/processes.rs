//! Several processes that train as one.

use super::Gpu;
use crate::{Error, Result};
use std::sync::Arc;

/// The processes of one run, each with a device of its own, which train as one with a batch as large as all of theirs
/// together.
///
/// They all do the same in the same order, on other images. `Mpi` of [`processes`](crate::processes) is one; a program
/// may bring its own.
///
/// ```
/// use mexhat::{Gpu, Result, processes::Processes};
/// use std::sync::Arc;
///
/// /// One that trains alone; with others, `average` would send the values around.
/// struct Alone;
///
/// impl Processes for Alone {
///     fn count(&self) -> usize {
///         1
///     }
///     fn rank(&self) -> usize {
///         0
///     }
///     fn average(&self, _values: &mut [f32]) -> Result<()> {
///         Ok(())
///     }
/// }
///
/// let gpu = Gpu::open(None)?;
/// gpu.join(Arc::new(Alone))?;
/// assert_eq!(gpu.processes().map(|all| all.count()), Some(1));
/// # Ok::<(), mexhat::Error>(())
/// ```
pub trait Processes: Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// The number of this one, from 0.
    fn rank(&self) -> usize;

    /// Puts the mean over the processes into each value, the same bits in each of them. All call it with equally many
    /// values, and wait for each other.
    ///
    /// # Errors
    /// Another process is gone.
    fn average(&self, values: &mut [f32]) -> Result<()>;
}

impl Gpu {
    /// Has what is trained on this device trained along with the other `processes`.
    ///
    /// # Errors
    /// It belongs to some already.
    pub fn join(&self, processes: Arc<dyn Processes>) -> Result<()> {
        let again = || Error::Usage("this device belongs to a run of several processes already; open another".into());
        self.inner.processes.set(processes).map_err(|_| again())
    }

    /// Those that train along, where there are any.
    pub fn processes(&self) -> Option<&dyn Processes> {
        self.inner.processes.get().map(|processes| &**processes)
    }
}
