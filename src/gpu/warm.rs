//! Pipelines made ready before the first step: created side by side, then compiled where a driver would put that off.
//!
//! Most drivers compile when a pipeline is created, which threads share. Some put it off to the first dispatch, where
//! it took 0.05 to 0.5 s each; a dispatch of no workgroups makes them do so without touching any buffer.

use super::{Gpu, Kernel};
use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

impl Gpu {
    /// Whom to tell how many of how many new kernels are ready.
    pub fn on_compile(&self, tell: impl Fn(usize, usize) + Send + Sync + 'static) {
        *self.inner.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(tell));
    }

    /// Creates the pipelines of those `kernels` that have none yet, on all cores; their keys.
    pub(super) fn prepare<'a>(&self, kernels: impl Iterator<Item = &'a Kernel>) -> Vec<String> {
        let mut missing: BTreeMap<String, &Kernel> = kernels.map(|kernel| (kernel.key(), kernel)).collect();
        {
            let known = self.inner.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
            missing.retain(|key, _| !known.contains_key(key));
        }
        let list: Vec<(&String, &&Kernel)> = missing.iter().collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some((key, kernel)) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
                let begin = Instant::now();
                let pipeline = self.create_pipeline(kernel);
                log::debug!("{key}: created in {:.0} ms", begin.elapsed().as_secs_f64() * 1e3);
                let mut known = self.inner.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert((*key).clone(), pipeline);
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(list.len());
        std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
        missing.into_keys().collect()
    }

    /// Encodes dispatches of no workgroups, one submission each, and waits for each; then keeps what was compiled.
    pub(super) fn warm(&self, dispatches: &[(&str, &wgpu::ComputePipeline, &wgpu::BindGroup)]) {
        let progress = self.inner.progress.lock().unwrap_or_else(PoisonError::into_inner);
        for (done, (key, pipeline, bind_group)) in dispatches.iter().enumerate() {
            let begin = Instant::now();
            let mut encoder = self.inner.device.create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, *bind_group, &[]);
                pass.dispatch_workgroups(0, 0, 0);
            }
            let submission = self.submit(encoder);
            self.wait(submission);
            log::debug!("{key}: compiled by its first dispatch in {:.0} ms", begin.elapsed().as_secs_f64() * 1e3);
            if let Some(tell) = progress.as_ref() {
                tell(done + 1, dispatches.len());
            }
        }
        if let (Some(cache), false) = (&self.inner.cache, dispatches.is_empty()) {
            cache.save(&self.inner.info);
        }
    }
}
