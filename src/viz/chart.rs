//! What curves and histograms share: colours, axes, and labels that stand beside what they name.

use std::fmt::Display;

use plotters::coord::Shift;
use plotters::coord::combinators::{BindKeyPoints, IntoLogRange, LogCoord, WithKeyPoints};
use plotters::coord::ranged1d::{AsRangedCoord, BoldPoints, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::canvas::short;
use crate::error::{Error, Result};

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Okabe and Ito's colours for colour-blind readers, the ones that read well as thin lines on white.
pub const PALETTE: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xb8, 0x86, 0x00),
    RGBColor(0x3a, 0x9a, 0xd0),
];
pub const INK: RGBColor = RGBColor(0x1f, 0x24, 0x2b);
pub const FAINT: RGBColor = RGBColor(0x62, 0x6b, 0x76);
const GRID: RGBColor = RGBColor(0xe6, 0xe9, 0xed);
const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);

/// One line of a chart.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub color: RGBColor,
    pub points: Vec<(f64, f64)>,
    pub dashed: bool,
}

/// An SVG of the given size on a solid light ground, so that it reads on dark pages too.
pub fn svg(width: u32, height: u32, draw: impl FnOnce(&Area) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (width, height)).into_drawing_area();
        root.fill(&PAPER).map_err(failed)?;
        draw(&root)?;
        root.present().map_err(failed)?;
    }
    Ok(text)
}

pub fn failed(e: impl Display) -> Error {
    Error::Run(format!("the chart could not be drawn: {e}"))
}

/// Text at a pixel; `bold` for titles.
pub fn write(area: &Area, text: &str, at: (i32, i32), size: i32, color: RGBColor, pos: (HPos, VPos)) -> Result<()> {
    let style = ("sans-serif", size).into_font().color(&color).pos(Pos::new(pos.0, pos.1));
    area.draw_text(text, &style, at).map_err(failed)
}

/// Axis titles and the number of tick labels of a panel.
pub struct Axes<'a> {
    pub x_title: &'a str,
    pub y_title: &'a str,
    pub x_labels: usize,
    pub y_labels: usize,
    /// Whether the x axis carries numbers; stacked panels share those of the lowest one.
    pub x_numbers: bool,
    /// Pixels to the right that direct labels need.
    pub right: u32,
    /// Percent instead of fractions on the y axis.
    pub percent: bool,
}

pub type Panel<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<plotters::coord::types::RangedCoordf64, Y>>;

/// Axes with a light grid; the caller draws the data into the result.
pub fn panel<'a, 'b, Y>(area: &'a Area<'b>, x: (f64, f64), y: Y, axes: &Axes) -> Result<Panel<'a, 'b, Y::CoordDescType>>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    'b: 'a,
{
    let y: Y::CoordDescType = y.into();
    let powers = powers(&y.key_points(BoldPoints(axes.y_labels)));
    let mut chart = ChartBuilder::on(area)
        .margin_top(10)
        .margin_left(16)
        .margin_right(axes.right)
        .x_label_area_size(if axes.x_numbers { 44 } else { 8 })
        .y_label_area_size(72)
        .build_cartesian_2d(x.0..x.1, y)
        .map_err(failed)?;
    let y_text = |v: &f64| match axes.percent {
        // Room above the whole has no number.
        true if *v > 1.0 + 1e-9 => String::new(),
        true => format!("{} %", short((v * 100.0) as f32)),
        false if powers => power(*v),
        false => short(*v as f32),
    };
    let x_text = |v: &f64| if axes.x_numbers { thousands(*v) } else { String::new() };
    chart
        .configure_mesh()
        .light_line_style(PAPER)
        .bold_line_style(GRID)
        .axis_style(RGBColor(0xb4, 0xbb, 0xc4))
        .label_style(("sans-serif", 15).into_font().color(&FAINT))
        .axis_desc_style(("sans-serif", 17).into_font().color(&INK))
        .x_labels(axes.x_labels)
        .y_labels(axes.y_labels)
        .x_desc(if axes.x_numbers { axes.x_title } else { "" })
        .y_desc(axes.y_title)
        .x_label_formatter(&x_text)
        .y_label_formatter(&y_text)
        .draw()
        .map_err(failed)?;
    Ok(chart)
}

/// Whether the numbers of an axis are written with powers of ten: all of them or none.
fn powers(ticks: &[f64]) -> bool {
    ticks.iter().any(|tick| short(*tick as f32).contains('e'))
}

/// `1e-3`, `2.5e4`, `0`.
fn power(value: f64) -> String {
    if value == 0.0 { "0".into() } else { format!("{:e}", value as f32) }
}

/// A logarithmic axis with ticks at 1, 2 and 5 of each decade, or at the powers of ten alone when there are many; both
/// ends positive.
pub fn log_axis(low: f64, high: f64) -> WithKeyPoints<LogCoord<f64>> {
    let digits: &[f64] = if high / low < 3000.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let ticks = decades.flat_map(|e| digits.iter().map(move |d| format!("{d}e{e}").parse().unwrap_or(1.0)));
    (low..high).log_scale().with_key_points(ticks.filter(|t| (low..=high).contains(t)).collect())
}

/// `1500` as `1,500`; fractions as they are.
fn thousands(value: f64) -> String {
    if value.fract() != 0.0 || value.abs() < 1000.0 {
        return short(value as f32);
    }
    let digits = format!("{:.0}", value.abs());
    let mut out = String::from(if value < 0.0 { "-" } else { "" });
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Draws a series as a line of `width` pixels.
pub fn line<Y>(
    chart: &mut Panel<Y>,
    points: &[(f64, f64)],
    color: impl Into<RGBAColor>,
    width: u32,
    dashed: bool,
) -> Result<()>
where
    Y: Ranged<ValueType = f64>,
{
    let style = color.into().stroke_width(width);
    if dashed {
        chart.draw_series(DashedLineSeries::new(points.iter().copied(), 5, 4, style)).map_err(failed)?;
    } else {
        chart.draw_series(LineSeries::new(points.iter().copied(), style)).map_err(failed)?;
    }
    Ok(())
}

/// Labels to the right of the ends of lines, pushed apart so that none covers another.
pub fn end_labels(area: &Area, mut labels: Vec<(i32, i32, String, RGBColor)>) -> Result<()> {
    const PITCH: i32 = 18;
    labels.sort_by_key(|l| l.1);
    let wish: Vec<i32> = labels.iter().map(|l| l.1).collect();
    for i in 1..labels.len() {
        labels[i].1 = labels[i].1.max(labels[i - 1].1 + PITCH);
    }
    // Pushing was downwards only; half of the largest push goes back up, which centres a crowd on where it wants to be.
    let push = labels.iter().zip(&wish).map(|(l, w)| l.1 - w).max().unwrap_or(0);
    for (x, y, text, color) in &labels {
        let y = y - if push > 0 { push / 2 } else { 0 };
        write(area, text, (x + 8, y), 16, *color, (HPos::Left, VPos::Center))?;
    }
    Ok(())
}

/// Linear density on the left, logarithmic on the right, a shared key above; x in standard deviations.
pub fn histogram_panels(title: &str, linear: &[Series], log: &[Series]) -> Result<String> {
    svg(900, 420, |root| {
        write(root, title, (24, 16), 24, INK, (HPos::Left, VPos::Top))?;
        let mut x = 24;
        for s in linear {
            let dash = if s.dashed { 6 } else { 22 };
            for part in (0..22).step_by(if s.dashed { 8 } else { 22 }) {
                let points = vec![(x + part, 58), (x + part + dash, 58)];
                root.draw(&PathElement::new(points, s.color.stroke_width(if s.dashed { 1 } else { 3 })))
                    .map_err(failed)?;
            }
            write(root, &s.name, (x + 32, 58), 17, s.color, (HPos::Left, VPos::Center))?;
            x += 60 + 8 * s.name.chars().count() as i32;
        }
        let (_, below) = root.split_vertically(74);
        let halves = below.split_evenly((1, 2));
        let limits = |series: &[Series]| {
            let xs = series.iter().flat_map(|s| s.points.iter().map(|p| p.0.abs())).fold(0.0, f64::max).ceil();
            let tops = series.iter().flat_map(|s| s.points.iter().map(|p| p.1)).fold(0.0, f64::max);
            (xs, tops)
        };
        let axes = |y_title| Axes {
            x_title: "value, in standard deviations",
            y_title,
            x_labels: 7,
            y_labels: 6,
            x_numbers: true,
            right: 22,
            percent: false,
        };
        let (reach, top) = limits(linear);
        let mut chart = panel(&halves[0], (-reach, reach), 0.0..top * 1.06, &axes("density"))?;
        for s in linear {
            line(&mut chart, &s.points, s.color, if s.dashed { 1 } else { 2 }, s.dashed)?;
        }
        let (reach, top) = limits(log);
        let lowest = |s: &&Series| s.points.iter().map(|p| p.1).filter(|v| *v > 0.0).fold(f64::MAX, f64::min);
        // The normal curve runs to zero: the data decide where the axis ends.
        let bottom =
            log.iter().filter(|s| !s.dashed).map(|s| lowest(&s)).fold(f64::MAX, f64::min).clamp(1e-9, top / 10.0);
        let mut chart =
            panel(&halves[1], (-reach, reach), log_axis(bottom * 0.7, top * 2.0), &axes("density, logarithmic"))?;
        for s in log {
            let shown: Vec<_> = s.points.iter().copied().filter(|p| p.1 >= bottom * 0.7).collect();
            line(&mut chart, &shown, s.color, if s.dashed { 1 } else { 2 }, s.dashed)?;
        }
        Ok(())
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Tags nest and close, attributes are quoted, text is escaped: enough to catch what a chart can get wrong.
    pub fn assert_well_formed(svg: &str) {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = svg.trim();
        while let Some(start) = rest.find('<') {
            let text = &rest[..start];
            for part in text.split('&').skip(1) {
                assert!(part.split_once(';').is_some_and(|(name, _)| name.len() < 8), "bare & in {text:?}");
            }
            let end = start + rest[start..].find('>').expect("a tag that closes");
            let tag = &rest[start + 1..end];
            assert_eq!(tag.matches('"').count() % 2, 0, "odd quotes in <{tag}>");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') && !tag.starts_with(['?', '!']) {
                open.push(tag.split_whitespace().next().unwrap());
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty(), "never closed: {open:?}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "a coordinate is no number");
    }

    #[test]
    fn crowded_labels_are_pushed_apart() {
        let labels =
            |ys: &[i32]| ys.iter().enumerate().map(|(i, y)| (10, *y, format!("run{i}"), INK)).collect::<Vec<_>>();
        let text = svg(300, 200, |root| end_labels(root, labels(&[100, 101, 102]))).unwrap();
        let mut ys: Vec<i32> = text
            .split("<text")
            .skip(1)
            .map(|t| t.split("y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        ys.sort_unstable();
        assert!(ys.windows(2).all(|w| w[1] - w[0] >= 18), "{ys:?}");
    }

    #[test]
    fn log_axes_have_ticks_in_every_decade() {
        assert_eq!(log_axis(0.03, 3.0).bold_points(), [0.05, 0.1, 0.2, 0.5, 1.0, 2.0]);
        assert_eq!(log_axis(0.5e-6, 2.0).bold_points(), [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0]);
    }

    #[test]
    fn numbers_of_an_axis_have_one_style() {
        let numbers = |low: f64, high: f64| {
            let axes = Axes {
                x_title: "x",
                y_title: "y",
                x_labels: 4,
                y_labels: 12,
                x_numbers: false,
                right: 20,
                percent: false,
            };
            let text = svg(400, 400, |root| panel(root, (0.0, 1.0), log_axis(low, high), &axes).map(drop)).unwrap();
            let texts = text.split("<text").skip(1).filter_map(|t| t.split('>').nth(1)?.split('<').next());
            texts.map(|t| t.trim().to_owned()).filter(|t| t != "y" && !t.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(0.02, 3.0), ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]);
        assert_eq!(numbers(5e-5, 2e3), ["1e-4", "1e-3", "1e-2", "1e-1", "1e0", "1e1", "1e2", "1e3"]);
        assert_eq!([0.0, 25_000.0, 150_000.0].map(power), ["0", "2.5e4", "1.5e5"]);
    }

    #[test]
    fn steps_are_grouped() {
        assert_eq!(
            (thousands(0.0), thousands(999.0), thousands(12_345.0), thousands(1e6)),
            ("0".into(), "999".into(), "12,345".into(), "1,000,000".into())
        );
    }
}
