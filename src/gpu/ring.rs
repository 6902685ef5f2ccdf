//! Staging buffers that go up and read-back buffers that come down, a few steps deep, so that nobody waits.

use super::Gpu;
use crate::Result;
use futures_intrusive::channel::shared::{Receiver, channel};
use std::collections::VecDeque;

type Mapped = Result<(), wgpu::BufferAsyncError>;

/// A mapping that has been asked for.
pub(super) struct Pending(Receiver<Mapped>);

/// Asks for `buffer` to be mapped.
pub(super) fn map(buffer: &wgpu::Buffer, mode: wgpu::MapMode) -> Pending {
    let (sender, receiver) = channel::<Mapped>(1);
    buffer.slice(..).map_async(mode, move |result| {
        // A receiver that is gone no longer wants to know.
        let _ = sender.try_send(result);
    });
    Pending(receiver)
}

fn outcome(result: Option<Mapped>, gpu: &Gpu) -> Result<()> {
    match result {
        Some(Ok(())) => Ok(()),
        _ => Err(gpu.explain("a buffer could not be mapped")),
    }
}

/// Waits for a mapping. A lost device answers none.
pub(super) async fn mapped(pending: Pending, gpu: &Gpu) -> Result<()> {
    gpu.check_lost()?;
    outcome(pending.0.receive().await, gpu)
}

/// Buffers of one step in flight.
struct Slot {
    staging: Option<wgpu::Buffer>,
    readback: Option<wgpu::Buffer>,
    flight: Option<Flight>,
    /// A mapping of `staging` that a step has used up which failed on its way.
    #[cfg(not(target_arch = "wasm32"))]
    again: Option<Pending>,
}

struct Flight {
    submission: wgpu::SubmissionIndex,
    staged: Option<Pending>,
    read: Option<Pending>,
}

/// The ring: step `n` uses slot `n % DEPTH`.
pub(super) struct Ring {
    slots: Vec<Slot>,
    /// Steps submitted.
    next: u64,
    /// Steps whose slot has been collected.
    collected: u64,
    finished: VecDeque<(u64, Vec<u8>)>,
}

pub(crate) const DEPTH: u64 = 3;

impl Ring {
    /// Rings for `up` bytes to the device and `down` bytes back per step; either may be 0.
    pub fn new(gpu: &Gpu, up: u64, down: u64) -> Self {
        use wgpu::BufferUsages as Use;
        let make = |label, bytes: u64, usage, mapped| (bytes > 0).then(|| gpu.raw_buffer(label, bytes, usage, mapped));
        let slot = |_| Slot {
            staging: make("staging", up, Use::MAP_WRITE | Use::COPY_SRC, true),
            readback: make("read-back", down, Use::MAP_READ | Use::COPY_DST, false),
            flight: None,
            #[cfg(not(target_arch = "wasm32"))]
            again: None,
        };
        Self { slots: (0..DEPTH).map(slot).collect(), next: 0, collected: 0, finished: VecDeque::new() }
    }

    fn slot(&mut self, step: u64) -> &mut Slot {
        let index = (step % DEPTH) as usize;
        &mut self.slots[index]
    }

    /// Makes the next slot free, waiting for the oldest step only when every slot is in flight.
    pub async fn acquire(&mut self, gpu: &Gpu) -> Result<()> {
        self.poll(gpu)?;
        while self.next - self.collected >= DEPTH {
            self.collect_oldest(gpu).await?;
        }
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(pending) = self.slot(self.next).again.take() {
            gpu.poll_all();
            mapped(pending, gpu).await?;
        }
        Ok(())
    }

    /// The acquired slot has been staged, and its step has failed: the next one takes it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn failed(&mut self) {
        let slot = self.slot(self.next);
        slot.again = slot.staging.as_ref().map(|buffer| map(buffer, wgpu::MapMode::Write));
    }

    /// Writes one step's inputs, each where it begins, into the acquired slot; returns its staging buffer.
    pub fn stage<'a>(
        &mut self,
        gpu: &Gpu,
        inputs: impl Iterator<Item = (usize, &'a [u8])>,
    ) -> Result<Option<wgpu::Buffer>> {
        let slot = self.slot(self.next);
        let Some(staging) = &slot.staging else { return Ok(None) };
        {
            let mut view = staging.slice(..).get_mapped_range_mut().map_err(|e| gpu.explain(e))?;
            for (at, input) in inputs {
                view.slice(at..at + input.len()).copy_from_slice(input);
            }
        }
        staging.unmap();
        Ok(Some(staging.clone()))
    }

    /// The read-back buffer of the acquired slot.
    pub fn readback(&mut self) -> Option<wgpu::Buffer> {
        self.slot(self.next).readback.clone()
    }

    /// The acquired slot has been submitted; returns the number of the step.
    pub fn submitted(&mut self, submission: wgpu::SubmissionIndex) -> u64 {
        let slot = self.slot(self.next);
        let staged = slot.staging.as_ref().map(|buffer| map(buffer, wgpu::MapMode::Write));
        let read = slot.readback.as_ref().map(|buffer| map(buffer, wgpu::MapMode::Read));
        slot.flight = Some(Flight { submission, staged, read });
        self.next += 1;
        self.next - 1
    }

    /// Collects what is done already.
    pub fn poll(&mut self, gpu: &Gpu) -> Result<()> {
        gpu.poll();
        while self.collected < self.next {
            let step = self.collected;
            let slot = self.slot(step);
            let Some(flight) = &mut slot.flight else { break };
            for pending in [&mut flight.staged, &mut flight.read] {
                if let Some(receiver) = pending {
                    match receiver.0.try_receive() {
                        Ok(result) => {
                            *pending = None;
                            outcome(Some(result), gpu)?;
                        }
                        Err(_) => return Ok(()),
                    }
                }
            }
            self.finish(gpu, step)?;
        }
        Ok(())
    }

    async fn collect_oldest(&mut self, gpu: &Gpu) -> Result<()> {
        let step = self.collected;
        let Some(mut flight) = self.slot(step).flight.take() else { return Ok(()) };
        gpu.wait(flight.submission.clone());
        for pending in [flight.staged.take(), flight.read.take()].into_iter().flatten() {
            mapped(pending, gpu).await?;
        }
        self.slot(step).flight = Some(flight);
        self.finish(gpu, step)
    }

    fn finish(&mut self, gpu: &Gpu, step: u64) -> Result<()> {
        let slot = self.slot(step);
        slot.flight = None;
        let bytes = match &slot.readback {
            Some(buffer) => {
                let bytes = buffer.slice(..).get_mapped_range().map_err(|e| gpu.explain(e))?.to_vec();
                buffer.unmap();
                bytes
            }
            None => Vec::new(),
        };
        self.finished.push_back((step, bytes));
        self.collected += 1;
        Ok(())
    }

    /// The oldest finished step not yet taken.
    pub fn take(&mut self) -> Option<(u64, Vec<u8>)> {
        self.finished.pop_front()
    }

    /// Waits for the oldest step in flight; `None` when nothing is.
    pub async fn wait(&mut self, gpu: &Gpu) -> Result<Option<(u64, Vec<u8>)>> {
        if self.finished.is_empty() && self.collected < self.next {
            self.collect_oldest(gpu).await?;
        }
        Ok(self.finished.pop_front())
    }
}
