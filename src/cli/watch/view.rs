//! What the screen shows, as plain data, and how it is drawn at any size.

use super::super::console::rate;
use super::cells::{Depth, Tiles};
use crate::plural::count;
use crate::train::{Event, Split, Started};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph};
use std::time::Instant;

/// Steps over which numbers are averaged.
const WINDOW: usize = 50;
const BLUE: [u8; 3] = [0x3a, 0x9a, 0xd0];
const ORANGE: [u8; 3] = [0xe6, 0x8a, 0x2e];

/// A run as far as it is known.
pub(super) struct View {
    depth: Depth,
    begin: Instant,
    started: Option<Started>,
    /// Of every step of this session, from `first_step`.
    losses: Vec<f64>,
    first_step: u64,
    /// Accuracy and time of the last steps.
    recent: Vec<(f32, Instant)>,
    lr: f64,
    eval: Option<(u64, Split, f32, f32)>,
    tiles: Option<(u64, Tiles)>,
    stopping: bool,
}

impl View {
    pub fn new(depth: Depth) -> Self {
        Self {
            depth,
            begin: Instant::now(),
            started: None,
            losses: Vec::new(),
            first_step: 1,
            recent: Vec::new(),
            lr: 0.0,
            eval: None,
            tiles: None,
            stopping: false,
        }
    }

    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Started(started) => {
                self.first_step = started.done + 1;
                self.started = Some(started.clone());
            }
            Event::Step { loss, lr, accuracy, .. } => {
                self.losses.push(f64::from(*loss));
                self.lr = *lr;
                self.recent.push((*accuracy, Instant::now()));
                if self.recent.len() > WINDOW {
                    self.recent.remove(0);
                }
            }
            Event::Eval { step, split, loss, accuracy, .. } => self.eval = Some((*step, *split, *loss, *accuracy)),
            Event::Kernels { step, channels, kernel, values } => {
                self.tiles = Tiles::new(*channels, *kernel, values).map(|tiles| (*step, tiles));
            }
            Event::Save { .. } | Event::Best(_) | Event::Done(_) | Event::DeviceLost { .. } => {}
        }
    }

    /// The run will end after the steps in flight.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    fn step(&self) -> u64 {
        self.first_step - 1 + self.losses.len() as u64
    }

    /// Images per second over the last steps.
    fn speed(&self) -> Option<f64> {
        let (first, last) = (self.recent.first()?, self.recent.last()?);
        let seconds = last.1.duration_since(first.1).as_secs_f64();
        let images = (self.recent.len() - 1) * self.started.as_ref()?.batch_size;
        (self.recent.len() >= 8 && seconds > 0.0).then(|| images as f64 / seconds)
    }

    pub fn draw(&self, frame: &mut Frame) {
        let area = frame.area();
        let rows = if area.height >= 12 { [2, 1, 2, 0] } else { [1, 1, area.height.saturating_sub(2).min(2), 0] };
        let [head, gauge, numbers, rest] = Layout::vertical([
            Constraint::Length(rows[0]),
            Constraint::Length(rows[1]),
            Constraint::Length(rows[2]),
            Constraint::Min(0),
        ])
        .areas(area);
        self.head(frame, head);
        self.progress(frame, gauge);
        self.numbers(frame, numbers);
        if rest.height < 5 || rest.width < 24 {
            return;
        }
        match &self.tiles {
            Some((step, tiles)) if rest.width >= 56 => {
                // The kernels are square: no wider than twice their height.
                let wide = (2 * rest.height).clamp(24, rest.width / 2);
                let [left, right] = Layout::horizontal([Constraint::Min(0), Constraint::Length(wide)]).areas(rest);
                self.curve(frame, left);
                self.kernels(frame, right, *step, tiles);
            }
            _ => self.curve(frame, rest),
        }
    }

    fn head(&self, frame: &mut Frame, area: Rect) {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let Some(s) = &self.started else {
            return frame.render_widget(Line::styled("mexhat: building the network", bold), area);
        };
        let first = Line::styled(format!("{} with norm {} on {}", s.model, s.norm, s.data), bold);
        let mib = s.gpu_bytes as f64 / 1_048_576.0;
        let second =
            format!("{}, {} ({}), {mib:.1} MiB of GPU memory", count(s.parameters, "parameter"), s.device, s.backend);
        frame.render_widget(Paragraph::new(vec![first, second.into()]), area);
    }

    fn progress(&self, frame: &mut Frame, area: Rect) {
        let steps = self.started.as_ref().map_or(1, |s| s.steps.max(1));
        let left = self
            .started
            .as_ref()
            .zip(self.speed())
            .map(|(s, speed)| (steps.saturating_sub(self.step())) as f64 * s.batch_size as f64 / speed);
        let left = left.map_or(String::new(), |left| format!(", {left:.0} s left"));
        let label = format!("step {} of {steps}{left}", self.step());
        let gauge = Gauge::default()
            .ratio((self.step() as f64 / steps as f64).clamp(0.0, 1.0))
            .label(label)
            .use_unicode(true)
            .gauge_style(Style::new().fg(self.depth.color(BLUE)).bg(self.depth.color([0x30, 0x34, 0x3a])));
        frame.render_widget(gauge, area);
    }

    fn numbers(&self, frame: &mut Frame, area: Rect) {
        let tail = &self.losses[self.losses.len().saturating_sub(WINDOW)..];
        let loss = tail.iter().sum::<f64>() / tail.len().max(1) as f64;
        let hits = self.recent.iter().map(|r| r.0).sum::<f32>() / self.recent.len().max(1) as f32;
        let mut first = String::from("waiting for the first step");
        if !tail.is_empty() {
            let speed = self.speed().map_or(String::new(), rate);
            first = format!("loss {loss:.4}, accuracy {:.1} %, rate {:.4}{speed}", 100.0 * hits, self.lr);
        }
        let mut second = match self.eval {
            Some((step, split, loss, accuracy)) => {
                format!("{split} after step {step}: accuracy {:.2} %, loss {loss:.4}", 100.0 * accuracy)
            }
            None => format!("{:.0} s", self.begin.elapsed().as_secs_f64()),
        };
        second += if self.stopping { "; ending after the steps in flight" } else { "; Ctrl-C ends and keeps the run" };
        frame.render_widget(Paragraph::new(vec![Line::from(first), Line::from(second)]), area);
    }

    /// At most `most` points of the loss, each the mean of a stretch of steps.
    fn points(&self, most: usize) -> Vec<(f64, f64)> {
        let size = self.losses.len().div_ceil(most.max(1)).max(1);
        let mean = |(i, part): (usize, &[f64])| {
            let middle = self.first_step as f64 + (i * size) as f64 + (part.len() - 1) as f64 / 2.0;
            (middle, part.iter().sum::<f64>() / part.len() as f64)
        };
        self.losses.chunks(size).enumerate().map(mean).filter(|p| p.1.is_finite()).collect()
    }

    fn curve(&self, frame: &mut Frame, area: Rect) {
        let mut points = self.points(2 * usize::from(area.width));
        let lowest = points.iter().map(|p| p.1).fold(f64::MAX, f64::min);
        let highest = points.iter().map(|p| p.1).fold(f64::MIN, f64::max);
        let logarithmic = lowest > 0.0 && highest / lowest >= 10.0;
        let title = if logarithmic { " training loss, logarithmic " } else { " training loss " };
        if logarithmic {
            points.iter_mut().for_each(|p| p.1 = p.1.log10());
        }
        let low = if logarithmic { lowest.log10() } else { 0.0 };
        let high = if points.is_empty() { 1.0 } else { highest };
        let high = (if logarithmic { high.log10() } else { high * 1.05 }).max(low + 1e-6);
        let value = |v: f64| {
            let loss = if logarithmic { 10f64.powf(v) } else { v };
            Span::raw(format!("{loss:.3}"))
        };
        let x = [self.first_step as f64, (self.step() as f64).max(self.first_step as f64 + 1.0)];
        let data = Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(self.depth.color(ORANGE)))
            .data(&points);
        let chart = Chart::new(vec![data])
            .block(Block::bordered().title(title).border_style(self.line()))
            .x_axis(Axis::default().bounds(x).labels(x.map(|v| format!("{v:.0}"))).style(self.line()))
            .y_axis(
                Axis::default()
                    .bounds([low, high])
                    .labels([value(low), value((low + high) / 2.0), value(high)])
                    .style(self.line()),
            );
        frame.render_widget(chart, area);
    }

    fn line(&self) -> Style {
        Style::new().fg(Color::Gray)
    }

    fn kernels(&self, frame: &mut Frame, area: Rect, step: u64, tiles: &Tiles) {
        let block = Block::bordered().title(format!(" deconvolution, step {step} ")).border_style(self.line());
        let inner = block.inner(area);
        frame.render_widget(block, area);
        let [body, foot] = Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(inner);
        if !tiles.draw(body, frame.buffer_mut(), self.depth) {
            frame.render_widget(Line::from("the window is too small"), body);
        }
        let scale = format!("{:.3}", tiles.scale());
        let red = Style::new().fg(self.depth.color([0xd6, 0x60, 0x4d]));
        let foot_text = Line::from(vec![
            Span::styled(format!("-{scale}"), Style::new().fg(self.depth.color(BLUE))),
            Span::raw(" white is 0 "),
            Span::styled(format!("+{scale}"), red),
        ]);
        frame.render_widget(foot_text, foot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn view(steps: usize) -> View {
        let mut view = View::new(Depth::True);
        view.take(&Event::Started(Started {
            model: "lenet".into(),
            norm: "deconv".into(),
            data: "glyphs".into(),
            device: "a device".into(),
            backend: "Vulkan".into(),
            parameters: 9,
            train_images: 100,
            validation_images: 0,
            test_images: 10,
            batch_size: 10,
            steps: 400,
            steps_per_epoch: 10,
            done: 0,
            gpu_bytes: 1 << 20,
            decided: Vec::new(),
            warnings: Vec::new(),
        }));
        for i in 0..steps {
            let loss = if i == 7 { f32::NAN } else { 2.0 / (1.0 + i as f32) };
            view.take(&Event::Step { step: i as u64 + 1, epoch: 0, loss, lr: 0.1, accuracy: 0.5 });
        }
        view.take(&Event::Kernels { step: 3, channels: 1, kernel: 5, values: (0..25).map(|i| i as f32).collect() });
        view
    }

    fn text(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_screen_of_any_size_is_drawn() {
        let large = text(&view(300), 120, 40);
        for part in
            ["lenet with norm deconv on glyphs", "step 300 of 400", "logarithmic", "deconvolution, step 3", "\u{2580}"]
        {
            assert!(large.contains(part), "{part} is missing in\n{large}");
        }
        assert!(text(&view(0), 120, 40).contains("waiting"));
        let narrow = text(&view(20), 40, 16);
        assert!(narrow.contains("training loss") && !narrow.contains("deconvolution"), "{narrow}");
        for (width, height) in [(1, 1), (5, 2), (30, 3), (300, 6), (24, 100), (56, 10), (200, 80)] {
            text(&view(300), width, height);
            text(&View::new(Depth::Indexed), width, height);
        }
    }
}
