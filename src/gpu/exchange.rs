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
#[derive(Default)]
struct Exchange {
    parts: Vec<(Average, Vec<Piece>)>,
}

impl Exchange {
    fn new(parts: &[Part], buffer: &impl Fn(Slot) -> Option<Buffer>) -> Self {
        let piece = |(slot, range): &(Slot, Range<u64>)| Some(Piece { buffer: buffer(*slot)?, range: range.clone() });
        let pieces = |part: &Part| part.pieces.iter().filter_map(piece).collect();
        Self { parts: parts.iter().map(|part| (part.average, pieces(part))).collect() }
    }

    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.parts.iter().flat_map(|(_, pieces)| pieces)
    }

    fn bytes(&self) -> u64 {
        self.pieces().map(Piece::bytes).sum()
    }

    /// Where means lie among the values that have their variances behind them.
    fn moments(&self) -> Vec<Range<usize>> {
        let (mut at, mut found) = (0, Vec::new());
        for (average, pieces) in &self.parts {
            let count = |piece: &Piece| piece.bytes() as usize / 4;
            if let (Average::Moments, [means, _]) = (average, &pieces[..]) {
                found.push(at..at + count(means));
            }
            at += pieces.iter().map(count).sum::<usize>();
        }
        found
    }

    /// Appends copies of everything to `staging`.
    fn stage(&self, encoder: &mut wgpu::CommandEncoder, staging: &wgpu::Buffer) {
        let mut at = 0;
        for piece in self.pieces() {
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
    /// Of what the cut of this number left.
    flight: Option<(usize, Flight)>,
    values: Vec<f32>,
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
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let create = |bytes| gpu.raw_buffer("averages", bytes, usage, false);
        Self {
            staging: (due > 0).then(|| create(due)),
            meanwhile: (ahead > 0).then(|| [create(ahead), create(ahead)]),
            flight: None,
            values: Vec::with_capacity(due.max(ahead) as usize / 4),
            cuts,
        }
    }

    /// The number of launches before cut `index`; `None` behind the last.
    pub fn end(&self, index: usize) -> Option<usize> {
        self.cuts.get(index).map(|cut| cut.end)
    }

    /// Submits what `encoder` holds, which ends at cut `index`. While the GPU computes it, what was left from the cut
    /// before is averaged; then what is due here.
    pub async fn run(&mut self, gpu: &Gpu, mut encoder: wgpu::CommandEncoder, index: usize) -> Result<()> {
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
        if let Some((before, flight)) = self.flight.take() {
            finish(gpu, &self.cuts[before].ahead, flight, &mut self.values).await?;
        }
        if let Some(flight) = due {
            finish(gpu, &cut.due, flight, &mut self.values).await?;
        }
        self.flight = ahead.map(|flight| (index, flight));
        Ok(())
    }
}

/// Waits for the copies of `flight`, averages them and writes the means back before the next submission.
async fn finish(gpu: &Gpu, exchange: &Exchange, flight: Flight, values: &mut Vec<f32>) -> Result<()> {
    let Some(processes) = gpu.processes() else {
        return Err(Error::Usage("a step of several processes was compiled for a device that has none".into()));
    };
    let Flight { submission, pending, mapping } = flight;
    gpu.wait(submission);
    mapped(pending, gpu).await?;
    values.clear();
    {
        let copies = mapping.0.slice(..exchange.bytes());
        let view = copies.get_mapped_range().map_err(|error| gpu.explain(error))?;
        values.extend_from_slice(bytemuck::cast_slice(&view));
    }
    drop(mapping);
    average(processes, exchange, values)?;
    let mut at = 0;
    for piece in exchange.pieces() {
        let end = at + piece.bytes() as usize / 4;
        gpu.inner.queue.write_buffer(&piece.buffer.raw, piece.range.start, bytemuck::cast_slice(&values[at..end]));
        at = end;
    }
    Ok(())
}

/// Averages `values`, those of all parts of `exchange` one after the other.
fn average(processes: &dyn Processes, exchange: &Exchange, values: &mut [f32]) -> Result<()> {
    let moments = exchange.moments();
    if moments.is_empty() {
        return processes.average(values);
    }
    // The variance of all is the mean of the variances about the mean of all.
    let own = values.to_vec();
    processes.average(values)?;
    let mut variances = Vec::new();
    for Range { start, end } in moments.iter().cloned() {
        let count = end - start;
        let about = |i: usize| f64::from(own[i + count]) + (f64::from(own[i]) - f64::from(values[i])).powi(2);
        variances.extend((start..end).map(|i| about(i) as f32));
    }
    processes.average(&mut variances)?;
    let mut rest = &variances[..];
    for Range { start, end } in moments {
        let (found, others) = rest.split_at(end - start);
        values[end..end + found.len()].copy_from_slice(found);
        rest = others;
    }
    Ok(())
}
