//! Which classes are taken for which, as a picture.

use crate::error::{Error, Result};
use std::fmt::Write;

/// Most classes whose matrix can be read.
const LARGEST: usize = 200;

/// A confusion matrix as SVG: rows are what images are, columns what the network says; the darker, the larger the share
/// of the row.
///
/// # Errors
/// There are no classes or more than 200, or the rows do not fit.
pub fn confusion_svg(title: &str, names: &[String], counts: &[Vec<u64>]) -> Result<String> {
    let classes = names.len();
    if classes == 0 || classes > LARGEST || counts.len() != classes || counts.iter().any(|row| row.len() != classes) {
        let what = format!("expected a square matrix of 1 to {LARGEST} classes, found {classes} names");
        return Err(Error::shape("confusion matrix", what));
    }
    let cell = (640 / classes).clamp(14, 56);
    let longest = names.iter().map(|name| name.chars().count().min(24)).max().unwrap_or(0);
    let (left, top) = (60 + longest * 8, 96 + longest * 6);
    let (width, height) =
        ((left + classes * cell + 40).max(title.chars().count() * 12 + 48), top + classes * cell + 32);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#22272e\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"24\" y=\"34\" font-size=\"20\">{}</text>\n\
         <text x=\"24\" y=\"56\" fill=\"#5a6370\">rows: what images are; columns: what the network says</text>\n",
        escaped(title)
    );
    for (i, (name, row)) in names.iter().zip(counts).enumerate() {
        let (x, y) = (left + i * cell + cell / 2, top + i * cell + cell / 2 + 4);
        let name = escaped(&shortened(name));
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{name}</text>", left - 8);
        let at = top - 8;
        let _ = writeln!(svg, "<text transform=\"translate({x} {at}) rotate(-45)\">{name}</text>");
        let total = row.iter().sum::<u64>().max(1);
        for (j, count) in row.iter().enumerate() {
            let share = *count as f64 / total as f64;
            let mix = |from: f64, to: f64| (from + (to - from) * share) as u8;
            // Right answers are blue, mistakes orange, as in the other pictures.
            let to = if i == j { [33.0, 102.0, 172.0] } else { [201.0, 84.0, 22.0] };
            let [r, g, b] = to.map(|to| mix(247.0, to));
            let (x, y) = (left + j * cell, top + i * cell);
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{cell}\" height=\"{cell}\" fill=\"#{r:02x}{g:02x}{b:02x}\" stroke=\"#fff\"/>"
            );
            if *count > 0 && cell >= 22 {
                let ink = if share > 0.55 { "#fff" } else { "#22272e" };
                let (x, y, size) = (x + cell / 2, y + cell / 2 + 4, if *count < 1000 { 13 } else { 10 });
                let _ = writeln!(
                    svg,
                    "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" font-size=\"{size}\" fill=\"{ink}\">{count}</text>"
                );
            }
        }
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= 24 { name.into() } else { name.chars().take(23).chain(['…']).collect() }
}

fn escaped(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    clean.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_and_counts_are_shown() {
        let names = ["<a&b>".to_owned(), "cat".to_owned()];
        let svg = confusion_svg("x", &names, &[vec![3, 1], vec![0, 7]]).unwrap();
        assert!(svg.contains("&lt;a&amp;b&gt;") && svg.contains(">7<") && !svg.contains(">0<"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 5);
        assert!(confusion_svg("x", &names, &[vec![1, 2]]).is_err());
        assert!(confusion_svg("x", &[], &[]).is_err());
    }
}
