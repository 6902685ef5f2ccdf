//! Counts of everything the steady state must not do.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has been created and submitted on a [`Gpu`](super::Gpu) so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Buffers created.
    pub buffers: u64,
    /// Bytes of all buffers created.
    pub buffer_bytes: u64,
    /// Pipelines created.
    pub pipelines: u64,
    /// Bind groups created.
    pub bind_groups: u64,
    /// Submissions.
    pub submissions: u64,
    /// Dispatches encoded.
    pub dispatches: u64,
    /// Times the CPU blocked until the GPU had caught up.
    pub waits: u64,
}

#[derive(Debug)]
pub(super) struct Live {
    pub buffers: AtomicU64,
    pub buffer_bytes: AtomicU64,
    /// More than this was refused once.
    pub refused: AtomicU64,
    pub pipelines: AtomicU64,
    pub bind_groups: AtomicU64,
    pub submissions: AtomicU64,
    pub dispatches: AtomicU64,
    pub waits: AtomicU64,
}

impl Default for Live {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self {
            buffers: zero(),
            buffer_bytes: zero(),
            refused: AtomicU64::new(u64::MAX),
            pipelines: zero(),
            bind_groups: zero(),
            submissions: zero(),
            dispatches: zero(),
            waits: zero(),
        }
    }
}

impl Live {
    /// A buffer of so many bytes is asked for.
    pub fn buffer(&self, bytes: u64) {
        Self::add(&self.buffers, 1);
        Self::add(&self.buffer_bytes, bytes);
    }

    pub fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> Counters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            buffers: get(&self.buffers),
            buffer_bytes: get(&self.buffer_bytes),
            pipelines: get(&self.pipelines),
            bind_groups: get(&self.bind_groups),
            submissions: get(&self.submissions),
            dispatches: get(&self.dispatches),
            waits: get(&self.waits),
        }
    }
}
