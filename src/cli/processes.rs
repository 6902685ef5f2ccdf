//! The processes of a run that a launcher of MPI has started: `mpirun -n 4 mexhat train …`.

use super::output::tell;
use crate::gpu::{AdapterSummary, Gpu};
#[cfg(feature = "mpi")]
use crate::processes::Mpi;
use crate::processes::Processes;
use crate::{Error, Result};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long the others wait with what they have to say, as the first process often ends for the same reason and ends
/// them.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many processes a launcher says that it has started, if it is one.
fn launched() -> Option<usize> {
    let says = |name| std::env::var(name).ok()?.parse().ok();
    let launchers = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"];
    // Slurm counts the tasks of every step; only with PMIx (`srun --mpi=pmix`) are they known to be processes of MPI,
    // of which nothing else tells.
    let slurm = || std::env::var_os("PMIX_RANK").and_then(|_| says("SLURM_STEP_NUM_TASKS"));
    launchers.into_iter().find_map(says).or_else(slurm)
}

/// The processes of a run; the first one tells and writes, the others only train.
pub(super) struct World {
    /// None of a process alone.
    mpi: Option<Arc<Mpi>>,
}

impl World {
    /// Those that a launcher has started, or this process alone.
    ///
    /// # Errors
    /// MPI does not begin, or this program was built without.
    pub fn begin() -> Result<Self> {
        let Some(launched) = launched().filter(|count| *count > 1) else { return Ok(Self { mpi: None }) };
        let mpi = Mpi::begin()?;
        if mpi.count() != launched {
            return Err(Error::Usage(format!(
                "a launcher has started {launched} processes, but MPI finds {}; start them with the mpirun of the MPI that this program \
                 was built with",
                mpi.count()
            )));
        }
        Ok(Self { mpi: Some(Arc::new(mpi)) })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.mpi.as_ref().map_or(1, |mpi| mpi.count())
    }

    /// Whether this is the one that tells and writes.
    pub fn is_first(&self) -> bool {
        self.mpi.as_ref().is_none_or(|mpi| mpi.rank() == 0)
    }

    /// The GPU of `adapters` that this process takes unless it is told one: the processes of a machine take one after
    /// the other.
    pub fn device(&self, adapters: &[AdapterSummary]) -> Option<String> {
        let mpi = self.mpi.as_ref()?;
        let gpus: Vec<_> = adapters.iter().filter(|adapter| !adapter.is_software()).collect();
        let own = gpus.get(mpi.local_rank() % gpus.len().max(1))?;
        Some(own.index.to_string())
    }

    /// Has what is trained on `gpu` trained along with the others.
    pub fn join(&self, gpu: &Gpu) -> Result<()> {
        self.mpi.as_ref().map_or(Ok(()), |mpi| gpu.join(mpi.clone()))
    }

    /// What averaging has cost a run of so many seconds and steps.
    pub fn report(&self, seconds: f64, steps: u64) -> Option<String> {
        let (bytes, time) = self.mpi.as_ref()?.spent();
        Some(format!(
            "each of {} processes sent {:.2} MB a step, and averaging took {:.0} % of the time, waiting for the others included and \
             what the GPU computed meanwhile",
            self.count(),
            bytes as f64 * 1e-6 / steps.max(1) as f64,
            100.0 * time.as_secs_f64() / seconds.max(1e-9)
        ))
    }

    /// What has ended well ends. Otherwise all processes do, once one has said why: the first where it knows.
    pub fn end<T>(&self, ended: Result<T>) -> Result<T> {
        let (Err(error), Some(mpi)) = (&ended, &self.mpi) else { return ended };
        if self.is_first() {
            tell(&format!("error: {error}"));
        } else {
            thread::sleep(PATIENCE);
            tell(&format!("error: process {} of {}: {error}", mpi.rank(), mpi.count()));
        }
        mpi.abort()
    }
}

/// What a program without MPI has in its place: nothing that could begin.
#[cfg(not(feature = "mpi"))]
enum Mpi {}

#[cfg(not(feature = "mpi"))]
impl Mpi {
    fn begin() -> Result<Self> {
        Err(Error::Usage(
            "a launcher has started several processes, but this program was built without MPI, so that each would train a network of \
             its own; build it with: cargo install --path . --features mpi"
                .into(),
        ))
    }

    fn local_rank(&self) -> usize {
        match *self {}
    }

    fn spent(&self) -> (u64, Duration) {
        match *self {}
    }

    fn abort(&self) -> ! {
        match *self {}
    }
}

#[cfg(not(feature = "mpi"))]
impl Processes for Mpi {
    fn count(&self) -> usize {
        match *self {}
    }

    fn rank(&self) -> usize {
        match *self {}
    }

    fn average(&self, _values: &mut [f32]) -> Result<()> {
        match *self {}
    }
}
