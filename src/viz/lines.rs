//! Lines over a common x axis, each with its name at its end.

use super::chart::{self, Axes, INK, PALETTE};
use crate::error::{Error, Result};
use plotters::style::text_anchor::{HPos, VPos};

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Label at its end.
    pub name: String,
    /// (x, y) in order of x; what is not finite is left out.
    pub points: Vec<(f64, f64)>,
    /// Drawn dashed, for what is there to compare with.
    pub dashed: bool,
}

/// A chart of lines; `logarithmic` for the y axis, which then leaves out what is not positive and shows at most
/// `decades` above the lowest value, cutting off what explodes.
///
/// # Errors
/// No line has a point to draw.
pub fn lines_svg(title: &str, axes: [&str; 2], logarithmic: bool, decades: i32, lines: &[Line]) -> Result<String> {
    let fits = |v: f64| v.is_finite() && (!logarithmic || v > 0.0);
    let all = || lines.iter().flat_map(|l| l.points.iter()).filter(|p| fits(p.1));
    if all().next().is_none() {
        return Err(Error::Usage(format!("nothing to draw in '{title}': no line has a finite value")));
    }
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        all().map(of).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (x, (low, high)) = (bounds(|p| p.0), bounds(|p| p.1));
    let high = if logarithmic { high.min(low * 10f64.powi(decades)) } else { high };
    let (low, high) = if logarithmic { (low / 2.0, high * 2.0) } else { (low.min(0.0), high * 1.08 + 1e-12) };
    let longest = lines.iter().map(|l| l.name.chars().count()).max().unwrap_or(0) as u32;
    let x = (x.0, if x.1 > x.0 { x.1 } else { x.0 + 1.0 });
    chart::svg(900, 480, |root| {
        let (head, rest) = root.split_vertically(54);
        chart::write(&head, title, (24, 16), 24, INK, (HPos::Left, VPos::Top))?;
        let axes = Axes {
            x_title: axes[0],
            y_title: axes[1],
            x_labels: 10,
            y_labels: if logarithmic { 12 } else { 6 },
            x_numbers: true,
            right: longest.max(6) * 8 + 28,
            percent: false,
        };
        if logarithmic {
            draw(root, chart::panel(&rest, x, chart::log_axis(low, high), &axes)?, lines, (low, high), logarithmic)
        } else {
            draw(root, chart::panel(&rest, x, low..high, &axes)?, lines, (low, high), logarithmic)
        }
    })
}

fn draw<Y>(
    root: &chart::Area,
    mut chart: chart::Panel<Y>,
    lines: &[Line],
    range: (f64, f64),
    logarithmic: bool,
) -> Result<()>
where
    Y: plotters::coord::ranged1d::Ranged<ValueType = f64>,
{
    let fits = |v: f64| v.is_finite() && (!logarithmic || v > 0.0);
    let mut labels = Vec::new();
    for (line, color) in lines.iter().zip(PALETTE.iter().cycle()) {
        let shown: Vec<(f64, f64)> = line.points.iter().copied().filter(|p| fits(p.1)).collect();
        // A line that leaves the picture ends where it crosses its edge.
        let end = shown.iter().position(|p| p.1 > range.1).unwrap_or(shown.len());
        let mut inside: Vec<(f64, f64)> = shown[..end].to_vec();
        if let (Some(from), Some(to)) = (inside.last(), shown.get(end)) {
            let place = |v: f64| if logarithmic { v.ln() } else { v };
            let share = (place(range.1) - place(from.1)) / (place(to.1) - place(from.1));
            inside.push((from.0 + share * (to.0 - from.0), range.1));
        }
        let shown = inside;
        chart::line(&mut chart, &shown, *color, 2, line.dashed)?;
        if let Some(last) = shown.last() {
            let (px, py) = chart.backend_coord(last);
            labels.push((px, py, line.name.clone(), *color));
        }
    }
    chart::end_labels(root, labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_explode_are_cut_off_and_none_is_an_error() {
        let line = |points| Line { name: "a < b".into(), points, dashed: false };
        let steep = line((0..9).map(|i| (f64::from(i), 10f64.powi(8 * i))).collect());
        let svg = lines_svg("Residual", ["x", "y"], true, 12, &[steep]).unwrap();
        chart::tests::assert_well_formed(&svg);
        assert!(lines_svg("t", ["x", "y"], true, 12, &[line(vec![(0.0, f64::NAN)])]).is_err());
    }
}
