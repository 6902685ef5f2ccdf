//! MPI.

use crate::gpu::Processes;
use crate::{Error, Result};
use ::mpi::Threading;
use ::mpi::traits::{Communicator, CommunicatorCollectives};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What the thread that speaks MPI is asked.
enum Call {
    /// The values come back as means.
    Average(Vec<f32>),
    Abort,
}

/// What is known of the processes once MPI has begun.
struct Found {
    rank: usize,
    count: usize,
    local_rank: usize,
}

/// The processes that `mpirun` has started. MPI ends when it is dropped.
///
/// One thread speaks MPI, as every implementation of it allows.
///
/// ```no_run
/// use mexhat::processes::Mpi;
/// use std::sync::Arc;
/// # fn main() -> mexhat::Result<()> {
/// let mpi = Arc::new(Mpi::begin()?);
/// let gpu = mexhat::Gpu::open(None)?;
/// gpu.join(mpi.clone())?;
/// // From here on a Learner on `gpu` trains along with those of the other processes.
/// # Ok(())
/// # }
/// ```
pub struct Mpi {
    found: Found,
    calls: Mutex<Option<SyncSender<Call>>>,
    /// What comes back, and the memory in which values go to the thread: a step asks for no more.
    means: Mutex<(Receiver<Vec<f32>>, Vec<f32>)>,
    thread: Mutex<Option<JoinHandle<()>>>,
    bytes: AtomicU64,
    micros: AtomicU64,
}

impl Mpi {
    /// Begins MPI, once in a process.
    ///
    /// # Errors
    /// MPI has begun before, or offers no use from a thread.
    pub fn begin() -> Result<Self> {
        let (calls, asked) = sync_channel(1);
        let (reply, means) = sync_channel(1);
        let (tell, told) = channel();
        let failed = |e: std::io::Error| Error::Usage(format!("the thread for MPI could not be started: {e}"));
        let speak = move || {
            let Some((universe, _)) = ::mpi::initialize_with_threading(Threading::Funneled) else { return };
            let world = universe.world();
            let local_rank = world.split_shared(world.rank()).rank() as usize;
            let found = Found { rank: world.rank() as usize, count: world.size() as usize, local_rank };
            if tell.send(found).is_ok() {
                answer(&world, &asked, &reply);
            }
        };
        let thread = std::thread::Builder::new().name("mexhat-mpi".into()).spawn(speak).map_err(failed)?;
        let found = told.recv().map_err(|_| Error::Usage("MPI has begun in this process already".into()))?;
        Ok(Self {
            found,
            calls: Mutex::new(Some(calls)),
            means: Mutex::new((means, Vec::new())),
            thread: Mutex::new(Some(thread)),
            bytes: AtomicU64::default(),
            micros: AtomicU64::default(),
        })
    }

    /// The number of this process among those on its machine, from 0: which GPU it takes.
    pub fn local_rank(&self) -> usize {
        self.found.local_rank
    }

    /// Bytes that this process has sent to average so far, and the time that averaging took, waiting for the others
    /// included; the device may have computed meanwhile.
    pub fn spent(&self) -> (u64, Duration) {
        (self.bytes.load(Ordering::Relaxed), Duration::from_micros(self.micros.load(Ordering::Relaxed)))
    }

    /// Ends all processes at once, with exit status 1.
    pub fn abort(&self) -> ! {
        let sent = self.send(Call::Abort);
        if sent.is_ok() {
            // The system ends this process meanwhile.
            std::thread::sleep(Duration::from_secs(10));
        }
        std::process::exit(1)
    }

    fn send(&self, call: Call) -> Result<()> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = calls.as_ref().map(|calls| calls.send(call));
        if matches!(sent, Some(Ok(()))) { Ok(()) } else { Err(gone()) }
    }
}

fn gone() -> Error {
    Error::Usage("MPI has ended, so nothing can be averaged with the other processes".into())
}

impl Processes for Mpi {
    fn count(&self) -> usize {
        self.found.count
    }

    fn rank(&self) -> usize {
        self.found.rank
    }

    fn average(&self, values: &mut [f32]) -> Result<()> {
        let begun = Instant::now();
        let mut means = self.means.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sent = std::mem::take(&mut means.1);
        sent.clear();
        sent.extend_from_slice(values);
        self.send(Call::Average(sent))?;
        means.1 = means.0.recv().map_err(|_| gone())?;
        values.copy_from_slice(&means.1);
        // Of both exchanges, what goes to others.
        let share = values.len().div_ceil(self.found.count);
        let sent = 2 * share * (self.found.count - 1) * size_of::<f32>();
        self.bytes.fetch_add(sent as u64, Ordering::Relaxed);
        self.micros.fetch_add(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A thread that has failed has told so itself.
            let _ = thread.join();
        }
    }
}

/// Does what is asked until nobody is left to ask.
fn answer(world: &impl CommunicatorCollectives, asked: &Receiver<Call>, reply: &SyncSender<Vec<f32>>) {
    let (mut padded, mut shares, mut means) = (Vec::new(), Vec::new(), Vec::new());
    while let Ok(call) = asked.recv() {
        match call {
            Call::Average(mut values) => {
                average(world, &mut values, [&mut padded, &mut shares, &mut means]);
                // Nobody waits any more where the program is ending.
                let _ = reply.send(values);
            }
            Call::Abort => world.abort(1),
        }
    }
}

/// Each process adds up one share of the values, in the order of the processes, and tells the others: the same bits for
/// all, and the traffic of a ring.
fn average(world: &impl CommunicatorCollectives, values: &mut [f32], [padded, shares, means]: [&mut Vec<f32>; 3]) {
    let count = world.size() as usize;
    let share = values.len().div_ceil(count);
    padded.clear();
    padded.extend_from_slice(values);
    padded.resize(share * count, 0.0);
    shares.resize(share * count, 0.0);
    world.all_to_all_into(&padded[..], &mut shares[..]);
    means.clear();
    means.extend((0..share).map(|i| {
        let sum: f64 = (0..count).map(|process| f64::from(shares[process * share + i])).sum();
        (sum / count as f64) as f32
    }));
    world.all_gather_into(&means[..], &mut padded[..]);
    values.copy_from_slice(&padded[..values.len()]);
}
