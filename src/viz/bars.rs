//! Horizontal bars in parts, one bar a row.

use super::canvas::short;
use super::chart::{self, FAINT, INK, PALETTE};
use crate::error::{Error, Result};
use plotters::element::Rectangle;
use plotters::prelude::Color;
use plotters::style::text_anchor::{HPos, VPos};

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Beside its left end.
    pub name: String,
    /// Lengths, from left to right; none below 0.
    pub parts: Vec<f64>,
}

const WIDTH: u32 = 900;
const PITCH: i32 = 34;
const TOP: i32 = 92;

/// Stacked bars over a common linear scale; `parts` names the colours, each bar's sum stands at its end.
///
/// # Errors
/// There is no bar, or a length is negative or no number.
pub fn bars_svg(title: &str, parts: &[&str], bars: &[Bar]) -> Result<String> {
    let sum = |bar: &Bar| bar.parts.iter().sum::<f64>();
    let longest = bars.iter().map(sum).fold(0.0, f64::max);
    if longest <= 0.0 || bars.iter().flat_map(|b| &b.parts).any(|v| !v.is_finite() || *v < 0.0) {
        return Err(Error::Usage(format!(
            "nothing to draw in '{title}': expected lengths of at least 0, and one above"
        )));
    }
    let left = 24 + 9 * bars.iter().map(|b| b.name.chars().count()).max().unwrap_or(0) as i32;
    let unit = f64::from(WIDTH as i32 - left - 84) / longest;
    let height = TOP + PITCH * bars.len() as i32 + 20;
    chart::svg(WIDTH, height as u32, |root| {
        chart::write(root, title, (24, 16), 24, INK, (HPos::Left, VPos::Top))?;
        let mut x = 24;
        for (name, color) in parts.iter().zip(PALETTE.iter().cycle()) {
            root.draw(&Rectangle::new([(x, 57), (x + 14, 71)], color.filled())).map_err(chart::failed)?;
            chart::write(root, name, (x + 20, 64), 16, INK, (HPos::Left, VPos::Center))?;
            x += 44 + 9 * name.chars().count() as i32;
        }
        for (row, bar) in bars.iter().enumerate() {
            let y = TOP + PITCH * row as i32;
            let middle = y + PITCH / 2 - 4;
            chart::write(root, &bar.name, (left - 10, middle), 15, FAINT, (HPos::Right, VPos::Center))?;
            let mut from = 0.0;
            for (length, color) in bar.parts.iter().zip(PALETTE.iter().cycle()) {
                let place = |v: f64| left + (v * unit).round() as i32;
                let corners = [(place(from), y), (place(from + length), y + PITCH - 10)];
                root.draw(&Rectangle::new(corners, color.filled())).map_err(chart::failed)?;
                from += length;
            }
            let end = (left + (from * unit).round() as i32 + 8, middle);
            chart::write(root, &short(from as f32), end, 15, INK, (HPos::Left, VPos::Center))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_drawn_and_nothing_is_an_error() {
        let bar = |parts: &[f64]| Bar { name: "64x64 <3-64>".into(), parts: parts.to_vec() };
        let svg = bars_svg("ms", &["a", "b"], &[bar(&[1.0, 2.0]), bar(&[0.0, 0.5])]).unwrap();
        chart::tests::assert_well_formed(&svg);
        for bad in [vec![], vec![bar(&[0.0])], vec![bar(&[1.0, f64::NAN])], vec![bar(&[2.0, -1.0])]] {
            assert!(bars_svg("ms", &["a", "b"], &bad).is_err());
        }
    }
}
