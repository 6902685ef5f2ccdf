//! Time per operation from timestamp queries, where the adapter has them.

use super::{Executable, ring};
use crate::{Error, Result};

/// Milliseconds of every dispatch of one step, in order.
#[derive(Clone, Debug)]
pub struct Timings {
    /// Operation, kernel and milliseconds.
    pub dispatches: Vec<(&'static str, String, f64)>,
}

impl Timings {
    /// Milliseconds and launches per operation and kernel, slowest first.
    pub fn by_kernel(&self) -> Vec<(String, f64, usize)> {
        let mut sums: Vec<(String, f64, usize)> = Vec::new();
        for (op, kernel, ms) in &self.dispatches {
            let name = format!("{op} / {kernel}");
            match sums.iter_mut().find(|(seen, _, _)| *seen == name) {
                Some((_, total, launches)) => {
                    *total += ms;
                    *launches += 1;
                }
                None => sums.push((name, *ms, 1)),
            }
        }
        sums.sort_by(|a, b| b.1.total_cmp(&a.1));
        sums
    }
}

/// WebGPU's largest query set.
const MAX_QUERIES: usize = 4096;

impl Executable {
    /// Runs the step once more on the inputs it last had, each dispatch in a pass of its own, and times each.
    ///
    /// # Errors
    /// The adapter has no timestamp queries.
    pub async fn profile(&mut self) -> Result<Timings> {
        let gpu = self.gpu().clone();
        let device = &gpu.inner.device;
        if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Err(Error::Usage(format!(
                "the adapter '{}' has no timestamp queries, so time per operation cannot be measured on it",
                gpu.adapter().name
            )));
        }
        let mut dispatches = Vec::with_capacity(self.dispatches());
        for chunk in (0..self.dispatches()).collect::<Vec<_>>().chunks(MAX_QUERIES / 2) {
            let (ticks, copied) = self.timed(chunk).await?;
            let to_ms = f64::from(gpu.inner.queue.get_timestamp_period()) * 1e-6;
            let ms = |from: u64, to: u64| to.saturating_sub(from) as f64 * to_ms;
            for (i, (index, pair)) in chunk.iter().zip(ticks.chunks(2)).enumerate() {
                // No pass can be timed around a copy; it lies between the end of one and the beginning of the next.
                if copied[i] && i > 0 {
                    dispatches.push(("copy", "to images".into(), ms(ticks[2 * i - 1], pair[0])));
                }
                dispatches.push((self.ops()[*index], self.kernels()[*index].clone(), ms(pair[0], pair[1])));
            }
        }
        Ok(Timings { dispatches })
    }

    /// Ticks at the beginning and end of each dispatch, and whether something was copied before it.
    async fn timed(&self, indices: &[usize]) -> Result<(Vec<u64>, Vec<bool>)> {
        use wgpu::BufferUsages as Use;
        let gpu = self.gpu();
        let queries = indices.len() as u32 * 2;
        let set = gpu.inner.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: None,
            ty: wgpu::QueryType::Timestamp,
            count: queries,
        });
        let bytes = u64::from(queries) * 8;
        let resolved = gpu.raw_buffer("timestamps", bytes, Use::QUERY_RESOLVE | Use::COPY_SRC, false);
        let readback = gpu.raw_buffer("timestamps", bytes, Use::MAP_READ | Use::COPY_DST, false);
        let mut encoder = gpu.inner.device.create_command_encoder(&Default::default());
        let mut copied = Vec::with_capacity(indices.len());
        for (i, index) in indices.iter().enumerate() {
            copied.push(self.encode_copies(&mut encoder, *index));
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &set,
                    beginning_of_pass_write_index: Some(i as u32 * 2),
                    end_of_pass_write_index: Some(i as u32 * 2 + 1),
                }),
            });
            self.encode(&mut pass, *index);
        }
        encoder.resolve_query_set(&set, 0..queries, &resolved, 0);
        encoder.copy_buffer_to_buffer(&resolved, 0, &readback, 0, bytes);
        let submission = gpu.submit(encoder);
        let pending = ring::map(&readback, wgpu::MapMode::Read);
        gpu.wait(submission);
        ring::mapped(pending, gpu).await?;
        let view = readback.slice(..).get_mapped_range().map_err(|e| Error::Gpu(e.to_string()))?;
        Ok((bytemuck::pod_collect_to_vec(&view), copied))
    }
}
