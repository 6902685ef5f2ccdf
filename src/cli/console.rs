//! What a person at a terminal sees of a run: a bar where there is a terminal, plain lines otherwise.

use super::output::{mutter, warn};
#[cfg(feature = "watch")]
use super::watch::Screen;
use super::{note, say, say_json};
use crate::Result;
use crate::plural::count;
use crate::train::{Event, Started, Summary};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Steps between plain lines.
const EVERY: u64 = 50;
/// Seconds after which a plain line comes earlier.
const PATIENCE: f64 = 10.0;
/// Steps over which loss, accuracy and speed are averaged.
const WINDOW: usize = 50;

/// Shows on stderr how many of the new kernels are compiled: a line that comes and goes at a terminal, otherwise one
/// line for each time that it takes longer than a second.
pub(super) fn compiling() -> impl Fn(usize, usize) + Send + Sync {
    let terminal = std::io::stderr().is_terminal();
    let begun = Mutex::new(None::<Instant>);
    move |done, all| {
        let mut begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
        let since = begun.get_or_insert_with(Instant::now).elapsed().as_secs_f64();
        match (terminal, done == all) {
            (true, false) => mutter(&format!("\rcompiling kernels {done}/{all}")),
            (true, true) => mutter(&format!("\r{:40}\r", "")),
            (false, true) if since > 1.0 => note(&format!("compiled {} in {since:.1} s", count(all, "kernel"))),
            (false, _) => {}
        }
        if done == all {
            *begun = None;
        }
    }
}

/// A loss; what explodes without its forty digits.
pub(super) fn readable(loss: impl Into<f64>) -> String {
    let loss = loss.into();
    if loss.abs() < 1e4 { format!("{loss:.4}") } else { format!("{loss:.1e}") }
}

/// Mean intersection over union behind an accuracy, where there is one: then that is of pixels.
pub(super) fn said_iou(mean_iou: Option<f32>) -> String {
    mean_iou.map_or_else(String::new, |iou| format!(" of pixels, mean IoU {:.2} %", 100.0 * iou))
}

/// Seconds as a person says them: `42 s`, `5 min 10 s`, `3 h 20 min`, `2 d 4 h`.
fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3_600 % 24),
    }
}

/// Images a second, behind what else is said; slow ones are not rounded to none.
pub(in crate::cli) fn rate(images: f64) -> String {
    format!(", {images:.0$} images/s", if images < 10.0 { 2 } else { 0 })
}

/// Steps and time of a run. A single step is no measure of speed.
fn timed(summary: &Summary) -> String {
    let speed = summary.images_per_second;
    let speed = if speed > 0.0 { rate(speed) } else { String::new() };
    let (steps, seconds) = (count(summary.steps, "step"), summary.train_seconds);
    format!("{steps} in {seconds:.1} s{speed}, first step after {:.1} s", summary.first_step_seconds)
}

/// A reader of events that shows them.
pub(super) struct Console {
    json: bool,
    bar: Option<ProgressBar>,
    batch_size: usize,
    steps: u64,
    /// When the last plain line came.
    told: Option<Instant>,
    /// Loss, accuracy and time of the last steps.
    recent: VecDeque<(f32, f32, Instant)>,
    #[cfg(feature = "watch")]
    screen: Option<Screen>,
}

impl Console {
    pub fn new(json: bool) -> Self {
        Self {
            json,
            bar: None,
            batch_size: 0,
            steps: 0,
            told: None,
            recent: VecDeque::new(),
            #[cfg(feature = "watch")]
            screen: None,
        }
    }

    /// Shows the run on a screen of its own until it ends.
    #[cfg(feature = "watch")]
    pub fn with_screen(self, screen: Option<Screen>) -> Self {
        Self { screen, ..self }
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) -> Result<()> {
        if self.json {
            // Kernels are many numbers and Save is for the run folder.
            return match event {
                Event::Kernels { .. } | Event::Save { .. } => Ok(()),
                event => say_json(event),
            };
        }
        #[cfg(feature = "watch")]
        if let Some(screen) = &self.screen {
            screen.show(event);
            let Event::Done(summary) = event else { return Ok(()) };
            self.screen = None;
            self.done(summary);
            return Ok(());
        }
        match event {
            Event::Started(started) => self.started(started),
            Event::Step { step, epoch, loss, accuracy, .. } => self.step(*step, *epoch, *loss, *accuracy),
            Event::Eval { step, epoch, split, loss, accuracy, mean_iou } => {
                let done = if *epoch > 0 { format!("epoch {epoch}") } else { format!("step {step}") };
                let (loss, iou) = (readable(*loss), said_iou(*mean_iou));
                let accuracy = if accuracy.is_nan() { "none" } else { &format!("{:.2} %{iou}", 100.0 * accuracy) };
                self.line(&format!("after {done}: {split} loss {loss}, {split} accuracy {accuracy}"));
            }
            Event::Done(summary) => self.done(summary),
            Event::DeviceLost { step, from: Some(from), reason } => self.warn(&format!(
                "the GPU went away after step {step} ({reason}); it is opened anew, and training goes on from step {from}, so \
                 that nothing is lost"
            )),
            Event::DeviceLost { .. } | Event::Best(_) | Event::Kernels { .. } | Event::Save { .. } => {}
        }
        Ok(())
    }

    /// A line above the bar, or behind the screen, which it ends.
    pub fn line(&mut self, text: &str) {
        #[cfg(feature = "watch")]
        {
            self.screen = None;
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None if self.json => {}
            None => say(text),
        }
    }

    /// A line to stderr, whatever stdout is for; it ends the screen.
    pub fn warn(&mut self, text: &str) {
        #[cfg(feature = "watch")]
        {
            self.screen = None;
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| note(text)),
            None => note(text),
        }
    }

    fn started(&mut self, s: &Started) {
        self.batch_size = s.batch_size;
        self.steps = s.steps;
        s.decided.iter().for_each(|line| say(line));
        let validation = match s.validation_images {
            0 => String::new(),
            images => format!(", {images} validation"),
        };
        say(&format!(
            "{} with norm {} on {}: {}, {} training{validation} and {}, {} of {}",
            s.model,
            s.norm,
            s.data,
            count(s.parameters, "parameter"),
            s.train_images,
            count(s.test_images, "test image"),
            count(s.steps, "step"),
            s.batch_size
        ));
        s.warnings.iter().for_each(|line| warn(line));
        say(&format!("on {} ({}), {:.1} MiB of GPU memory", s.device, s.backend, s.gpu_bytes as f64 / 1_048_576.0));
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(s.steps), ProgressDrawTarget::stderr());
            let template = "{bar:30.cyan/dim} {pos}/{len} {msg} eta {eta}";
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_position(s.done);
            bar.reset_eta();
            self.bar = Some(bar);
        }
    }

    fn step(&mut self, step: u64, epoch: u64, loss: f32, accuracy: f32) {
        self.recent.push_back((loss, accuracy, Instant::now()));
        if self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
        let n = self.recent.len() as f32;
        let (loss, accuracy) = self.recent.iter().fold((0.0, 0.0), |(l, a), r| (l + r.0 / n, a + r.1 / n));
        let speed = self.speed().map_or(String::new(), rate);
        let text = format!("loss {}, accuracy {:.1} %{speed}", readable(loss), 100.0 * accuracy);
        match &self.bar {
            Some(bar) => {
                bar.set_position(step);
                bar.set_message(text);
            }
            // The first step tells at once that it works.
            None if step.is_multiple_of(EVERY) || step == self.steps || self.silent() => {
                self.told = Some(Instant::now());
                let left = self.left(step).map_or(String::new(), |left| format!(", {} left", duration(left)));
                say(&format!("step {step}/{}, epoch {}: {text}{left}", self.steps, epoch + 1));
            }
            None => {}
        }
    }

    /// Whether no plain line has come for a while.
    fn silent(&self) -> bool {
        self.told.is_none_or(|told| told.elapsed().as_secs_f64() >= PATIENCE)
    }

    /// Images per second over the last steps.
    fn speed(&self) -> Option<f64> {
        // Losses arrive in small bunches, so that a few of them say nothing.
        if self.recent.len() < 8 {
            return None;
        }
        let seconds = self.recent.back()?.2.duration_since(self.recent.front()?.2).as_secs_f64();
        (seconds > 0.0).then(|| (self.recent.len() - 1) as f64 * self.batch_size as f64 / seconds)
    }

    fn left(&self, step: u64) -> Option<f64> {
        Some((self.steps.saturating_sub(step)) as f64 * self.batch_size as f64 / self.speed()?)
    }

    fn done(&mut self, summary: &Summary) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let Some(best) = summary.best {
            let after = summary.epochs - best.epoch;
            if summary.stopped_early {
                say(&format!(
                    "stopped early: {} no better on the validation images than epoch {}",
                    count(after, "epoch"),
                    best.epoch
                ));
            }
            let percent = 100.0 * best.accuracy;
            let loss = readable(best.loss);
            say(&format!(
                "the best network, of epoch {} with validation accuracy {percent:.2} % and validation loss {loss}, is best.safetensors",
                best.epoch
            ));
        }
        let result = match (summary.loss, summary.accuracy) {
            (Some(loss), Some(accuracy)) => {
                let iou = said_iou(summary.mean_iou);
                format!("test accuracy {:.2} %{iou}, test loss {}, ", 100.0 * accuracy, readable(loss))
            }
            _ => String::new(),
        };
        say(&format!("{result}{}", timed(summary)));
    }
}

#[cfg(test)]
mod tests {
    use crate::train::Summary;

    const ONE: &str = r#"{"model": "", "norm": "", "data": "", "device": "", "backend": "", "steps": 1, "epochs": 0,
        "loss": null, "accuracy": null, "validation_loss": null, "validation_accuracy": null, "train_seconds": 2.0,
        "images_per_second": 0.0, "first_step_seconds": 1.5, "gpu_bytes": 1, "parameters": 1, "interrupted": false,
        "diverged": false}"#;

    #[test]
    fn no_speed_is_said_of_one_step() {
        let one: Summary = serde_json::from_str(ONE).unwrap();
        assert_eq!(super::timed(&one), "1 step in 2.0 s, first step after 1.5 s");
        let more = Summary { steps: 9, images_per_second: 4.216, ..one };
        assert_eq!(super::timed(&more), "9 steps in 2.0 s, 4.22 images/s, first step after 1.5 s");
    }

    #[test]
    fn durations_have_two_units() {
        let said = [41.6, 60.0, 310.0, 12_000.0, 187_300.0].map(super::duration);
        assert_eq!(said, ["42 s", "1 min 0 s", "5 min 10 s", "3 h 20 min", "2 d 4 h"]);
    }
}
