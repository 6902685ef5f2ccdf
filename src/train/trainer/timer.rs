//! Time of training steps.

use crate::train::clock::Instant;

/// Time of training steps; evaluations and the caller's pauses between epochs are left out.
pub(super) struct Timer {
    begin: Instant,
    running: Option<Instant>,
    /// Seconds so far, earlier sessions included.
    pub(super) seconds: f64,
    pub(super) first_step: f64,
    /// Seconds and images of this session after its first step.
    steady: (f64, usize),
    completed: Option<Instant>,
}

impl Timer {
    pub(super) fn start() -> Self {
        Self { begin: Instant::now(), running: None, seconds: 0.0, first_step: 0.0, steady: (0.0, 0), completed: None }
    }

    pub(super) fn resume(&mut self) {
        self.running.get_or_insert_with(Instant::now);
    }

    pub(super) fn pause(&mut self) {
        if let Some(since) = self.running.take() {
            self.seconds += since.elapsed().as_secs_f64();
        }
        self.completed = None;
    }

    pub(super) fn completed(&mut self, images: usize) {
        let now = Instant::now();
        if self.first_step == 0.0 {
            self.first_step = now.duration_since(self.begin).as_secs_f64();
        } else if let Some(before) = self.completed.or(self.running) {
            self.steady.0 += now.duration_since(before).as_secs_f64();
            self.steady.1 += images;
        }
        self.completed = Some(now);
    }

    pub(super) fn total(&self) -> f64 {
        self.seconds + self.running.map_or(0.0, |since| since.elapsed().as_secs_f64())
    }

    pub(super) fn images_per_second(&self) -> f64 {
        if self.steady.0 > 0.0 { self.steady.1 as f64 / self.steady.0 } else { 0.0 }
    }
}
