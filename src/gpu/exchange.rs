//! What the processes that train as one average within a step.
//!
//! A step is cut where something is averaged: what was written is read, averaged on the host, and written back. What
//! has time is averaged while the GPU computes the launches up to the next cut, which have been submitted before; see
//! `schedule.rs`.

use super::ring::{Pending, map, mapped};
use super::schedule::{Part, cuts};
use super::{Average, Buffer, Gpu, Processes, Program, Slot};
use crate::{Error, Result};
use std::ops::Range;

/// Bytes of a buffer.
struct Piece {
    buffer: Buffer,
    range: Range<u64>,
}

impl Piece {
    fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// What is averaged at once.
struct Exchange {
    pieces: Vec<Piece>,
    /// Where means lie among the values that have their variances behind them.
    moments: Vec<Range<usize>>,
}

impl Exchange {
    fn new(parts: &[Part], buffer: &impl Fn(Slot) -> Option<Buffer>) -> Self {
        let piece = |(slot, range): &(Slot, Range<u64>)| Some(Piece { buffer: buffer(*slot)?, range: range.clone() });
        let (mut pieces, mut moments, mut at) = (Vec::new(), Vec::new(), 0);
        for part in parts {
            let own: Vec<Piece> = part.pieces.iter().filter_map(piece).collect();
            let count = |piece: &Piece| piece.bytes() as usize / 4;
            if let (Average::Moments, [means, _]) = (part.average, &own[..]) {
                moments.push(at..at + count(means));
            }
            at += own.iter().map(count).sum::<usize>();
            pieces.extend(own);
        }
        Self { pieces, moments }
    }

    fn bytes(&self) -> u64 {
        self.pieces.iter().map(Piece::bytes).sum()
    }

    /// Values, of which as many are variances.
    fn means(&self) -> usize {
        self.moments.iter().map(Range::len).sum()
    }

    /// Appends copies of everything to `staging`.
    fn stage(&self, encoder: &mut wgpu::CommandEncoder, staging: &wgpu::Buffer) {
        let mut at = 0;
        for piece in &self.pieces {
            encoder.copy_buffer_to_buffer(&piece.buffer.raw, piece.range.start, staging, at, piece.bytes());
            at += piece.bytes();
        }
    }
}

/// A place between two launches where something is averaged.
struct Cut {
    /// Launches of the step before it.
    end: usize,
    /// What is averaged before the next launch is submitted.
    due: Exchange,
    /// What is averaged while the GPU computes up to the next cut.
    ahead: Exchange,
}

/// What the cut of a step has left to be averaged while the GPU computes up to the next. It belongs to that step: one
/// that fails takes it along.
pub(super) struct Left {
    cut: usize,
    flight: Flight,
}

/// An exchange whose values have been submitted to be copied.
struct Flight {
    submission: wgpu::SubmissionIndex,
    pending: Pending,
    mapping: Mapping,
}

/// A buffer that has been asked to be mapped: whatever ends an exchange leaves it unmapped.
struct Mapping(wgpu::Buffer);

impl Drop for Mapping {
    fn drop(&mut self) {
        self.0.unmap();
    }
}

/// What is averaged in each step of a program, with the memory for it.
pub(super) struct Exchanges {
    cuts: Vec<Cut>,
    /// For what is due.
    staging: Option<wgpu::Buffer>,
    /// For what is averaged meanwhile, at even and odd cuts: one is read while the other is written.
    meanwhile: Option<[wgpu::Buffer; 2]>,
    host: Host,
}

/// Values on their way, with room for those of every exchange: a step asks for no more.
struct Host {
    values: Vec<f32>,
    /// Means and variances of this process alone.
    own: Vec<f32>,
    /// Variances about the means of all.
    variances: Vec<f32>,
}

impl Exchanges {
    /// Those of `program`, whose slots lie in what `buffer` says.
    pub fn new(gpu: &Gpu, program: &Program, buffer: impl Fn(Slot) -> Option<Buffer>) -> Self {
        let exchange = |parts: &[Part]| Exchange::new(parts, &buffer);
        let cuts = cuts(program).into_iter();
        let cuts: Vec<Cut> =
            cuts.map(|cut| Cut { end: cut.end, due: exchange(&cut.due), ahead: exchange(&cut.ahead) }).collect();
        let most = |of: fn(&Cut) -> &Exchange| cuts.iter().map(|cut| of(cut).bytes()).max().unwrap_or(0);
        let (due, ahead) = (most(|cut| &cut.due), most(|cut| &cut.ahead));
        // Moments have no time.
        let means = cuts.iter().map(|cut| cut.due.means()).max().unwrap_or(0);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let create = |bytes| gpu.raw_buffer("averages", bytes, usage, false);
        Self {
            staging: (due > 0).then(|| create(due)),
            meanwhile: (ahead > 0).then(|| [create(ahead), create(ahead)]),
            host: Host {
                values: Vec::with_capacity(due.max(ahead) as usize / 4),
                own: Vec::with_capacity(2 * means),
                variances: Vec::with_capacity(means),
            },
            cuts,
        }
    }

    /// The number of launches before cut `index`; `None` behind the last.
    pub fn end(&self, index: usize) -> Option<usize> {
        self.cuts.get(index).map(|cut| cut.end)
    }

    /// Submits what `encoder` holds, which ends at cut `index`. While the GPU computes it, what was left from the cut
    /// before is averaged; then what is due here. Returns what is left for the next cut.
    pub async fn run(
        &mut self,
        gpu: &Gpu,
        mut encoder: wgpu::CommandEncoder,
        index: usize,
        left: Option<Left>,
    ) -> Result<Option<Left>> {
        let cut = &self.cuts[index];
        let staging = self.staging.as_ref().filter(|_| cut.due.bytes() > 0);
        let meanwhile = self.meanwhile.as_ref().map(|pair| &pair[index % 2]).filter(|_| cut.ahead.bytes() > 0);
        staging.into_iter().for_each(|staging| cut.due.stage(&mut encoder, staging));
        meanwhile.into_iter().for_each(|staging| cut.ahead.stage(&mut encoder, staging));
        let submission = gpu.submit(encoder);
        let flight = |staging: &wgpu::Buffer| Flight {
            submission: submission.clone(),
            pending: map(staging, wgpu::MapMode::Read),
            mapping: Mapping(staging.clone()),
        };
        let (due, ahead) = (staging.map(flight), meanwhile.map(flight));
        if let Some(Left { cut, flight }) = left {
            finish(gpu, &self.cuts[cut].ahead, flight, &mut self.host).await?;
        }
        if let Some(flight) = due {
            finish(gpu, &cut.due, flight, &mut self.host).await?;
        }
        Ok(ahead.map(|flight| Left { cut: index, flight }))
    }
}

/// Waits for the copies of `flight`, averages them and writes the means back before the next submission.
async fn finish(gpu: &Gpu, exchange: &Exchange, flight: Flight, host: &mut Host) -> Result<()> {
    let Some(processes) = gpu.processes() else {
        return Err(Error::Usage("a step of several processes was compiled for a device that has none".into()));
    };
    let Flight { submission, pending, mapping } = flight;
    gpu.wait(submission);
    mapped(pending, gpu).await?;
    host.values.clear();
    {
        let copies = mapping.0.slice(..exchange.bytes());
        let view = copies.get_mapped_range().map_err(|error| gpu.explain(error))?;
        host.values.extend_from_slice(bytemuck::cast_slice(&view));
    }
    drop(mapping);
    average(processes, &exchange.moments, host)?;
    let mut at = 0;
    for piece in &exchange.pieces {
        let end = at + piece.bytes() as usize / 4;
        let means = bytemuck::cast_slice(&host.values[at..end]);
        gpu.inner.queue.write_buffer(&piece.buffer.raw, piece.range.start, means);
        at = end;
    }
    Ok(())
}

/// Averages the values of `host`, those of all pieces of an exchange one after the other.
fn average(processes: &dyn Processes, moments: &[Range<usize>], host: &mut Host) -> Result<()> {
    let Host { values, own, variances } = host;
    own.clear();
    moments.iter().for_each(|means| own.extend_from_slice(&values[means.start..means.end + means.len()]));
    processes.average(values)?;
    if moments.is_empty() {
        return Ok(());
    }
    // The variance of all is the mean of the variances about the mean of all.
    variances.clear();
    let mut rest = &own[..];
    for means in moments {
        let (these, others) = rest.split_at(2 * means.len());
        let (ours, spread) = these.split_at(means.len());
        let about =
            ours.iter().zip(&values[means.clone()]).zip(spread).map(|((own, all), variance)| {
                (f64::from(*variance) + (f64::from(*own) - f64::from(*all)).powi(2)) as f32
            });
        variances.extend(about);
        rest = others;
    }
    processes.average(variances)?;
    let mut rest = &variances[..];
    for means in moments {
        let (found, others) = rest.split_at(means.len());
        values[means.end..means.end + means.len()].copy_from_slice(found);
        rest = others;
    }
    Ok(())
}
