//! The processes of a run that a launcher of MPI has started: `mpirun -n 4 mexhat train …`.

use crate::gpu::Gpu;
#[cfg(feature = "mpi")]
use crate::processes::Processes;
use crate::{Error, Result};

/// How many processes a launcher says that it has started, if it is one.
fn launched() -> Option<usize> {
    let says = |name| std::env::var(name).ok()?.parse().ok();
    ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"].into_iter().find_map(says)
}

/// The processes of a run; the first one tells and writes, the others only train.
pub(super) struct World {
    #[cfg(feature = "mpi")]
    mpi: Option<std::sync::Arc<crate::processes::Mpi>>,
}

#[cfg(not(feature = "mpi"))]
impl World {
    /// This process alone.
    ///
    /// # Errors
    /// A launcher has started several, which would each train a network of their own.
    pub fn begin() -> Result<Self> {
        match launched() {
            Some(count) if count > 1 => Err(Error::Usage(format!(
                "a launcher has started {count} processes, but this program was built without MPI, so that each would train a network of \
                 its own; build it with: cargo install --path . --features mpi"
            ))),
            _ => Ok(Self {}),
        }
    }

    pub fn count(&self) -> usize {
        1
    }

    pub fn is_first(&self) -> bool {
        true
    }

    pub fn device(&self, _adapters: &[crate::gpu::AdapterSummary]) -> Option<String> {
        None
    }

    pub fn join(&self, _gpu: &Gpu) -> Result<()> {
        Ok(())
    }

    pub fn report(&self, _seconds: f64, _steps: u64) -> Option<String> {
        None
    }

    pub fn end<T>(&self, ended: Result<T>) -> Result<T> {
        ended
    }
}

#[cfg(feature = "mpi")]
impl World {
    /// MPI where a launcher has started this process, otherwise this process alone.
    ///
    /// # Errors
    /// MPI does not begin.
    pub fn begin() -> Result<Self> {
        let Some(launched) = launched() else { return Ok(Self { mpi: None }) };
        let mpi = crate::processes::Mpi::begin()?;
        if mpi.count() != launched {
            return Err(Error::Usage(format!(
                "a launcher has started {launched} processes, but MPI finds {}; start them with the mpirun of the MPI that this program \
                 was built with",
                mpi.count()
            )));
        }
        Ok(Self { mpi: Some(std::sync::Arc::new(mpi)) })
    }

    fn rank(&self) -> usize {
        self.mpi.as_ref().map_or(0, |mpi| mpi.rank())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.mpi.as_ref().map_or(1, |mpi| mpi.count())
    }

    /// Whether this is the one that tells and writes.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// The GPU of `adapters` that this process takes unless it is told one: the processes of a machine take one after the other.
    pub fn device(&self, adapters: &[crate::gpu::AdapterSummary]) -> Option<String> {
        let mpi = self.mpi.as_ref()?;
        let gpus: Vec<_> = adapters.iter().filter(|adapter| !adapter.is_software()).collect();
        let own = gpus.get(mpi.local_rank() % gpus.len().max(1))?;
        Some(own.index.to_string())
    }

    /// Has what is trained on `gpu` trained along with the others.
    pub fn join(&self, gpu: &Gpu) -> Result<()> {
        match &self.mpi {
            Some(mpi) if self.count() > 1 => gpu.join(mpi.clone()),
            _ => Ok(()),
        }
    }

    /// What averaging has cost a run of so many seconds and steps.
    pub fn report(&self, seconds: f64, steps: u64) -> Option<String> {
        let (bytes, time) = self.mpi.as_ref().filter(|_| self.count() > 1)?.spent();
        Some(format!(
            "each of {} processes sent {:.2} MB a step, and averaging took {:.0} % of the time, waiting for the others included",
            self.count(),
            bytes as f64 * 1e-6 / steps.max(1) as f64,
            100.0 * time.as_secs_f64() / seconds.max(1e-9)
        ))
    }

    /// What has ended well ends. Otherwise all processes do, once one has said why: the first where it knows.
    pub fn end<T>(&self, ended: Result<T>) -> Result<T> {
        let (Err(error), Some(mpi)) = (&ended, &self.mpi) else { return ended };
        if self.count() == 1 {
            return ended;
        }
        if self.is_first() {
            super::output::tell(&format!("error: {error}"));
        } else {
            std::thread::sleep(std::time::Duration::from_secs(2));
            super::output::tell(&format!("error: process {} of {}: {error}", self.rank(), self.count()));
        }
        mpi.abort()
    }
}
