//! What the processes that train as one average within a step.
//!
//! A step is cut behind each launch whose results are averaged: what it has written is read, averaged on the host, and written back.

use super::ring::{map, mapped};
use super::{Average, Buffer, Gpu, Processes, Program, Slot};
use crate::{Error, Result};
use std::ops::Range;

/// What is averaged between two launches of a step.
struct Exchange {
    /// Launches of the step before it.
    end: usize,
    parts: Vec<(Average, Vec<Buffer>)>,
}

impl Exchange {
    fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        self.parts.iter().flat_map(|(_, buffers)| buffers)
    }

    /// Where means lie among the values that have their variances behind them.
    fn moments(&self) -> Vec<Range<usize>> {
        let (mut at, mut found) = (0, Vec::new());
        for (average, buffers) in &self.parts {
            let count = |buffer: &Buffer| buffer.bytes() as usize / 4;
            if let (Average::Moments, [means, _]) = (average, &buffers[..]) {
                found.push(at..at + count(means));
            }
            at += buffers.iter().map(count).sum::<usize>();
        }
        found
    }
}

/// What is averaged in each step of a program, with the memory for it.
pub(super) struct Exchanges {
    list: Vec<Exchange>,
    staging: Option<wgpu::Buffer>,
    values: Vec<f32>,
}

impl Exchanges {
    /// Those of `program`, whose slots lie in what `buffer` says. Launches in a row are averaged at once, unless one reads what another
    /// has yet to average.
    pub fn new(gpu: &Gpu, program: &Program, buffer: impl Fn(Slot) -> Option<Buffer>) -> Self {
        let mut list: Vec<Exchange> = Vec::new();
        let mut open: Vec<Slot> = Vec::new();
        for (index, dispatch) in program.dispatches.iter().enumerate() {
            let Some(average) = dispatch.average else { continue };
            let follows = list.last().is_some_and(|last| last.end == index);
            if !follows || dispatch.reads.iter().any(|slot| open.contains(slot)) {
                list.push(Exchange { end: index, parts: Vec::new() });
                open.clear();
            }
            open.extend(&dispatch.writes);
            if let Some(last) = list.last_mut() {
                last.end = index + 1;
                last.parts.push((average, dispatch.writes.iter().filter_map(|slot| buffer(*slot)).collect()));
            }
        }
        let bytes = |exchange: &Exchange| exchange.buffers().map(Buffer::bytes).sum::<u64>();
        let most = list.iter().map(bytes).max().unwrap_or(0);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = (most > 0).then(|| gpu.raw_buffer("averages", most, usage, false));
        Self { list, staging, values: Vec::with_capacity(most as usize / 4) }
    }

    /// The number of launches before exchange `index`; `None` behind the last.
    pub fn end(&self, index: usize) -> Option<usize> {
        self.list.get(index).map(|exchange| exchange.end)
    }

    /// Submits what `encoder` holds, and averages exchange `index`.
    pub async fn run(&mut self, gpu: &Gpu, mut encoder: wgpu::CommandEncoder, index: usize) -> Result<()> {
        let (exchange, Some(staging)) = (&self.list[index], &self.staging) else { return Ok(()) };
        let Some(processes) = gpu.processes() else {
            return Err(Error::Usage("a step of several processes was compiled for a device that has none".into()));
        };
        let mut at = 0;
        for buffer in exchange.buffers() {
            encoder.copy_buffer_to_buffer(&buffer.raw, 0, staging, at, buffer.bytes());
            at += buffer.bytes();
        }
        let submission = gpu.submit(encoder);
        let pending = map(staging, wgpu::MapMode::Read);
        gpu.wait(submission);
        mapped(pending, gpu).await?;
        self.values.clear();
        {
            let view = staging.slice(..at).get_mapped_range().map_err(|error| gpu.explain(error))?;
            self.values.extend_from_slice(bytemuck::cast_slice(&view));
        }
        staging.unmap();
        average(processes, exchange, &mut self.values)?;
        let mut at = 0;
        for buffer in exchange.buffers() {
            let end = at + buffer.bytes() as usize / 4;
            gpu.write(buffer, bytemuck::cast_slice(&self.values[at..end]));
            at = end;
        }
        Ok(())
    }
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
