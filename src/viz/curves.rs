//! Training curves of one or several runs.

use plotters::element::{Circle, PathElement};
use plotters::prelude::Color;
use plotters::style::text_anchor::{HPos, VPos};

use super::canvas::short;
use super::chart::{self, Axes, FAINT, INK, PALETTE};
use crate::error::{Error, Result};

/// One training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepPoint {
    /// Number of the step, from 1.
    pub step: u64,
    /// Training loss of the batch.
    pub loss: f32,
    /// Learning rate of the step.
    pub lr: f32,
}

/// One evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvalPoint {
    /// Step after which it was made.
    pub step: u64,
    /// Mean loss.
    pub loss: f32,
    /// Share of right answers, 0 to 1.
    pub accuracy: f32,
}

/// What is drawn of one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunCurves {
    /// Label beside its lines, such as `deconv`.
    pub name: String,
    /// In order of steps.
    pub steps: Vec<StepPoint>,
    /// In order of steps; may be empty.
    pub evals: Vec<EvalPoint>,
    /// Whether these are of validation images.
    pub validation: bool,
}

const WIDTH: u32 = 900;
const BUCKETS: usize = 500;

/// The picture `curves.svg`: training loss (raw and smoothed, test loss as circles), test accuracy, learning rate, over
/// steps; each run has a colour and its name beside its lines.
///
/// The loss axis is logarithmic when the smoothed losses span a factor of 10 or more. Values that are not finite are
/// left out. Errors when no run has a single finite loss.
pub fn curves_svg(title: &str, runs: &[RunCurves]) -> Result<String> {
    let prepared: Vec<Prepared> = runs.iter().map(Prepared::of).collect();
    let smooth = || prepared.iter().flat_map(|p| p.smooth.iter().map(|v| v.1));
    let (low, high) = (smooth().fold(f64::MAX, f64::min), smooth().fold(f64::MIN, f64::max));
    if smooth().next().is_none() {
        return Err(Error::Usage(
            "training curves need at least one step with a finite loss, but none of the runs has one; \
             look at metrics.jsonl of the run"
                .into(),
        ));
    }
    let last_step =
        runs.iter().flat_map(|r| r.steps.iter().map(|s| s.step).chain(r.evals.iter().map(|e| e.step))).max();
    let x = (0.0, last_step.unwrap_or(1).max(1) as f64);
    let longest = runs.iter().map(|r| r.name.chars().count()).max().unwrap_or(0) as u32;
    let right = (longest.max(6) + 8) * 8 + 16;
    let has_eval = runs.iter().any(|r| r.evals.iter().any(|e| e.accuracy.is_finite()));
    let has_rate = runs.iter().any(|r| r.steps.iter().any(|s| s.lr > 0.0 && s.lr.is_finite()));
    let accuracy = if runs.iter().any(|r| r.validation) { "validation accuracy" } else { "test accuracy" };
    let heights =
        [if title.is_empty() { 0 } else { 54 }, 290, if has_eval { 200 } else { 0 }, if has_rate { 76 } else { 0 }];

    chart::svg(WIDTH, heights.iter().sum::<u32>() + 44, |root| {
        let (head, rest) = root.split_vertically(heights[0]);
        chart::write(&head, title, (24, 16), 24, INK, (HPos::Left, VPos::Top))?;
        // The lowest panel carries the step numbers and is taller by their height.
        let extra = |lowest: bool| if lowest { 44 } else { 8 };
        let (loss_area, rest) = rest.split_vertically(heights[1] + extra(!has_eval && !has_rate));
        let axes = |y_title, y_labels, lowest| Axes {
            x_title: "training step",
            y_title,
            x_labels: 8,
            y_labels,
            x_numbers: lowest,
            right,
            percent: false,
        };
        let logarithmic = low > 0.0 && high / low >= 10.0;
        if logarithmic {
            let axes = axes("loss, logarithmic", 12, !has_eval && !has_rate);
            let range = (low * 0.6, high * 1.5);
            let chart = chart::panel(&loss_area, x, chart::log_axis(range.0, range.1), &axes)?;
            draw_losses(root, chart, runs, &prepared, range)?;
        } else {
            let axes = axes("loss", 6, !has_eval && !has_rate);
            let range = (low.min(0.0), (high * 1.12).max(1e-6));
            let chart = chart::panel(&loss_area, x, range.0..range.1, &axes)?;
            draw_losses(root, chart, runs, &prepared, range)?;
        }
        let rest = if has_eval {
            let (area, rest) = rest.split_vertically(heights[2] - 8 + extra(!has_rate));
            draw_accuracies(root, &area, runs, x, Axes { percent: true, ..axes(accuracy, 5, !has_rate) })?;
            rest
        } else {
            rest
        };
        if has_rate {
            draw_rates(root, &rest, runs, x, &axes("rate", 2, true))?;
        }
        Ok(())
    })
}

/// A run's losses, thinned to what a picture can show.
struct Prepared {
    raw: Vec<(f64, f64)>,
    smooth: Vec<(f64, f64)>,
}

impl Prepared {
    fn of(run: &RunCurves) -> Self {
        let points: Vec<(f64, f64)> =
            run.steps.iter().filter(|s| s.loss.is_finite()).map(|s| (s.step as f64, f64::from(s.loss))).collect();
        let size = points.len().div_ceil(BUCKETS).max(1);
        let means: Vec<(f64, f64)> = points
            .chunks(size)
            .map(|c| {
                (
                    c.iter().map(|p| p.0).sum::<f64>() / c.len() as f64,
                    c.iter().map(|p| p.1).sum::<f64>() / c.len() as f64,
                )
            })
            .collect();
        // Lowest and highest of each bucket, in their order: the envelope survives the thinning.
        let raw = points.chunks(size).flat_map(|c| {
            let by = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
            let (low, high) = (c.iter().min_by(by).unwrap_or(&c[0]), c.iter().max_by(by).unwrap_or(&c[0]));
            if low.0 <= high.0 { [*low, *high] } else { [*high, *low] }
        });
        Self { raw: raw.collect(), smooth: smoothed(&means) }
    }
}

/// A centred Gaussian mean over a sixtieth of the curve (more of a short one), without lag; narrower at the beginning,
/// so that the first steps keep their fall.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let full = (points.len() as f64 / 60.0).max((points.len() as f64 / 10.0).min(2.5));
    (0..points.len())
        .map(|i| {
            let sigma = full.min(0.3 * i as f64 + 0.1);
            let reach = (3.0 * sigma).ceil() as usize;
            let (mut sum, mut weight) = (0.0, 0.0);
            for (j, point) in points.iter().enumerate().take(i + reach + 1).skip(i.saturating_sub(reach)) {
                let w = (-0.5 * ((j as f64 - i as f64) / sigma).powi(2)).exp();
                sum += w * point.1;
                weight += w;
            }
            (points[i].0, sum / weight)
        })
        .collect()
}

fn draw_losses<Y>(
    root: &chart::Area,
    mut chart: chart::Panel<Y>,
    runs: &[RunCurves],
    prepared: &[Prepared],
    range: (f64, f64),
) -> Result<()>
where
    Y: plotters::coord::ranged1d::Ranged<ValueType = f64>,
{
    let inside = |v: f64| v.clamp(range.0, range.1);
    for (curve, color) in prepared.iter().zip(PALETTE.iter().cycle()) {
        let raw: Vec<_> = curve.raw.iter().map(|p| (p.0, inside(p.1))).collect();
        chart::line(&mut chart, &raw, color.mix(0.22), 1, false)?;
    }
    let mut labels = Vec::new();
    for ((run, curve), color) in runs.iter().zip(prepared).zip(PALETTE.iter().cycle()) {
        chart::line(&mut chart, &curve.smooth, *color, 2, false)?;
        let tests = run.evals.iter().filter(|e| f64::from(e.loss) >= range.0 && f64::from(e.loss) <= range.1);
        let circles = tests.map(|e| Circle::new((e.step as f64, f64::from(e.loss)), 4, color.stroke_width(2)));
        chart.draw_series(circles).map_err(chart::failed)?;
        if let Some(end) = curve.smooth.last() {
            let (px, py) = chart.backend_coord(end);
            labels.push((px, py, format!("{} {}", run.name, short(end.1 as f32)), *color));
        }
    }
    if runs.iter().any(|r| !r.evals.is_empty()) {
        let (x, y) = (chart.plotting_area().get_pixel_range().0.end, chart.plotting_area().get_pixel_range().1.start);
        let judged = if runs.iter().any(|r| r.validation) { "validation" } else { "test" };
        let text = format!("line: training, circle: {judged}");
        chart::write(root, &text, (x - 6, y + 4), 15, FAINT, (HPos::Right, VPos::Top))?;
    }
    chart::end_labels(root, labels)
}

fn draw_accuracies(
    root: &chart::Area,
    area: &chart::Area,
    runs: &[RunCurves],
    x: (f64, f64),
    axes: Axes,
) -> Result<()> {
    let all = || runs.iter().flat_map(|r| r.evals.iter().map(|e| f64::from(e.accuracy))).filter(|v| v.is_finite());
    let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
    let pad = (0.12 * (high - low)).max(0.004);
    // One value has no course, and says most on the whole scale.
    let range =
        if high > low { (low - pad).max(0.0)..(high + pad).min(1.0 + 0.25 * pad) } else { 0.0..1.0 + 0.25 * pad };
    let mut chart = chart::panel(area, x, range, &axes)?;
    let mut labels = Vec::new();
    for (run, color) in runs.iter().zip(PALETTE.iter().cycle()) {
        let points: Vec<(f64, f64)> = run
            .evals
            .iter()
            .filter(|e| e.accuracy.is_finite())
            .map(|e| (e.step as f64, f64::from(e.accuracy)))
            .collect();
        chart::line(&mut chart, &points, *color, 2, false)?;
        chart.draw_series(points.iter().map(|p| Circle::new(*p, 4, color.filled()))).map_err(chart::failed)?;
        if let Some(end) = points.last() {
            let (px, py) = chart.backend_coord(end);
            labels.push((px, py, format!("{} {:.1} %", run.name, end.1 * 100.0), *color));
        }
    }
    chart::end_labels(root, labels)
}

fn draw_rates(root: &chart::Area, area: &chart::Area, runs: &[RunCurves], x: (f64, f64), axes: &Axes) -> Result<()> {
    let rate = |s: &StepPoint| f64::from(s.lr);
    let top = runs.iter().flat_map(|r| r.steps.iter().map(rate)).filter(|v| v.is_finite()).fold(0.0, f64::max);
    let mut chart = chart::panel(area, x, 0.0..top * 1.1, axes)?;
    let mut labels: Vec<(i32, i32, String, plotters::style::RGBColor)> = Vec::new();
    for (run, color) in runs.iter().zip(PALETTE.iter().cycle()) {
        let stride = run.steps.len().div_ceil(BUCKETS).max(1);
        let points: Vec<(f64, f64)> = run
            .steps
            .iter()
            .enumerate()
            .filter(|(i, s)| (i % stride == 0 || i + 1 == run.steps.len()) && s.lr.is_finite())
            .map(|(_, s)| (s.step as f64, rate(s)))
            .collect();
        chart.draw_series([PathElement::new(points, color.stroke_width(1))]).map_err(chart::failed)?;
        if labels.is_empty() {
            let (px, py) = chart.backend_coord(&(x.1, 0.5 * top));
            labels.push((px, py, "learning rate".into(), FAINT));
        }
    }
    chart::end_labels(root, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, steps: u64, rate: f32) -> RunCurves {
        let loss = |s: u64| 2.3 * (-(s as f32) * rate).exp() + 0.02 + 0.05 * ((s * 7919 % 101) as f32 / 101.0);
        RunCurves {
            name: name.into(),
            steps: (1..=steps).map(|s| StepPoint { step: s, loss: loss(s), lr: 0.1 }).collect(),
            evals: (1..=4)
                .map(|i| EvalPoint { step: steps * i / 4, loss: 0.1, accuracy: 0.9 + 0.02 * i as f32 })
                .collect(),
            ..Default::default()
        }
    }

    #[test]
    fn the_picture_names_axes_and_runs() {
        let svg = curves_svg("A < B", &[run("deconv", 3000, 0.01), run("batch", 3000, 0.004)]).unwrap();
        chart::tests::assert_well_formed(&svg);
        for part in [
            "A &lt; B",
            "training step",
            "loss, logarithmic",
            "test accuracy",
            "learning rate",
            ">\ndeconv ",
            ">\nbatch ",
        ] {
            assert!(svg.contains(part), "{part:?} is missing");
        }
        assert!(svg.contains("98.0 %") && svg.contains(">\n0.05\n"));
        assert!(svg.len() < 150_000, "{} bytes", svg.len());
    }

    #[test]
    fn odd_runs_draw_or_say_why_not() {
        let step = |step, loss| StepPoint { step, loss, lr: 0.0 };
        let one = RunCurves { name: "one".into(), steps: vec![step(1, 2.0)], ..Default::default() };
        chart::tests::assert_well_formed(&curves_svg("", std::slice::from_ref(&one)).unwrap());
        let flat = RunCurves { steps: (0..9).map(|i| step(i, 0.0)).collect(), ..one.clone() };
        chart::tests::assert_well_formed(&curves_svg("", &[flat]).unwrap());
        let mut diverged = run("bad", 50, 0.1);
        diverged.steps[20].loss = f32::NAN;
        diverged.steps[21].loss = f32::INFINITY;
        diverged.steps[22].loss = 1e30;
        diverged.evals[1].accuracy = f32::NAN;
        chart::tests::assert_well_formed(&curves_svg("", &[diverged, RunCurves::default()]).unwrap());
        let nothing = RunCurves { steps: vec![step(1, f32::NAN)], ..one };
        assert!(curves_svg("", &[nothing]).unwrap_err().to_string().contains("finite loss"));
    }

    #[test]
    fn one_evaluation_stands_on_the_whole_scale_and_no_title_takes_no_room() {
        let mut once = run("once", 50, 0.1);
        once.evals.truncate(1);
        let svg = curves_svg("A", std::slice::from_ref(&once)).unwrap();
        assert!(svg.contains(">\n0 %\n") && svg.contains(">\n100 %\n"), "{svg}");
        let height =
            |svg: &str| svg.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse::<u32>().unwrap();
        assert_eq!(height(&svg), height(&curves_svg("", &[once]).unwrap()) + 54);
    }

    #[test]
    fn smoothing_keeps_constants_and_ends() {
        let flat: Vec<(f64, f64)> = (0..200).map(|i| (f64::from(i), 3.0)).collect();
        assert!(smoothed(&flat).iter().all(|p| (p.1 - 3.0).abs() < 1e-12));
        let fall: Vec<(f64, f64)> = (0..200).map(|i| (f64::from(i), (-f64::from(i) / 5.0).exp())).collect();
        assert!((smoothed(&fall)[0].1 - 1.0).abs() < 1e-6);
    }
}
