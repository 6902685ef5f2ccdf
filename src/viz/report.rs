//! One self-contained HTML page: titles, text, pictures inside, tables; light and dark, phone to desk.

use std::fmt::Write;

use image::RgbImage;

use super::canvas::png;

/// A page under construction; sections appear in the order in which they are added.
#[derive(Clone, Debug)]
pub struct Report {
    title: String,
    contents: Vec<(usize, String)>,
    body: String,
}

impl Report {
    /// An empty page.
    pub fn new(title: &str) -> Self {
        Self { title: title.into(), contents: Vec::new(), body: String::new() }
    }

    /// Begins a section; from the third on, the page has a table of contents.
    pub fn section(&mut self, title: &str) -> &mut Self {
        let id = self.contents.len() + 1;
        let _ = writeln!(self.body, "<h2 id=\"s{id}\">{}</h2>", escape(title));
        self.contents.push((id, title.into()));
        self
    }

    /// A paragraph of plain text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let _ = writeln!(self.body, "<p>{}</p>", escape(text));
        self
    }

    /// A picture, embedded as PNG. `alt` says in words what it shows; the caption may be empty.
    pub fn picture(&mut self, picture: &RgbImage, alt: &str, caption: &str) -> &mut Self {
        let (width, height) = picture.dimensions();
        let data = base64(&png(picture));
        let image = format!(
            "<img src=\"data:image/png;base64,{data}\" width=\"{width}\" height=\"{height}\" alt=\"{}\">",
            escape(alt)
        );
        self.figure(&image, caption)
    }

    /// A drawing, embedded as it is: an SVG element, as the functions of this module return.
    pub fn svg(&mut self, svg: &str, alt: &str, caption: &str) -> &mut Self {
        // An XML declaration or doctype is not allowed inside a page.
        let element = svg.find("<svg").map_or("", |at| &svg[at..]);
        let labelled = element.replacen("<svg", &format!("<svg role=\"img\" aria-label=\"{}\"", escape(alt)), 1);
        self.figure(&labelled, caption)
    }

    fn figure(&mut self, content: &str, caption: &str) -> &mut Self {
        let caption =
            if caption.is_empty() { String::new() } else { format!("<figcaption>{}</figcaption>", escape(caption)) };
        let _ = writeln!(self.body, "<figure><div class=\"scroll\">{content}</div>{caption}</figure>");
        self
    }

    /// A table; cells that read as numbers are set to the right. Rows may be shorter than the heading.
    pub fn table(&mut self, heading: &[&str], rows: &[Vec<String>]) -> &mut Self {
        let mut out = String::from("<div class=\"scroll\"><table><thead><tr>");
        for cell in heading {
            let _ = write!(out, "<th scope=\"col\">{}</th>", escape(cell));
        }
        out += "</tr></thead><tbody>\n";
        for row in rows {
            out += "<tr>";
            for cell in row {
                let number = cell.trim_end_matches([' ', '%', 'x']).parse::<f64>().is_ok();
                let _ = write!(out, "<td{}>{}</td>", if number { " class=\"n\"" } else { "" }, escape(cell));
            }
            out += "</tr>\n";
        }
        let _ = writeln!(self.body, "{out}</tbody></table></div>");
        self
    }

    /// The page.
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        let mut contents = String::new();
        if self.contents.len() > 2 {
            contents += "<nav><ul>";
            for (id, name) in &self.contents {
                let _ = write!(contents, "<li><a href=\"#s{id}\">{}</a></li>", escape(name));
            }
            contents += "</ul></nav>";
        }
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
             <body>\n<main>\n<h1>{title}</h1>\n{contents}\n{}</main>\n</body>\n</html>\n",
            self.body
        )
    }
}

// Pictures keep a white card on a dark page: their zero is a light colour.
const STYLE: &str = "\
:root { --ink: #1f242b; --faint: #626b76; --paper: #ffffff; --line: #d8dde3; --link: #0063a0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --faint: #9aa4af; --paper: #15191e; --line: #343b44; --link: #6db9f0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--line); }
p { max-width: 44rem; }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; list-style: none; }
figure { margin: 1rem 0 1.6rem; }
figure img, figure svg { display: block; max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line); border-radius: 6px; }
figcaption { color: var(--faint); font-size: .92rem; margin-top: .4rem; max-width: 44rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--faint); font-weight: 600; }
td.n { text-align: right; }
";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Standard base64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |w, &b| w << 8 | u32::from(b)) << (8 * (3 - group.len()));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= group.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (plain, coded) in vectors {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[255, 254, 253]), "//79");
    }

    #[test]
    fn the_page_holds_everything_and_fetches_nothing() {
        let picture = RgbImage::from_pixel(4, 3, [1, 2, 3].into());
        let mut report = Report::new("Run <1>");
        report.section("Layer 1 & 2").text("a < b").picture(&picture, "kernels", "caption");
        report.svg("<?xml version=\"1.0\"?><svg width=\"1\"></svg>", "curve", "").section("b").section("c");
        report.table(&["layer", "whiteness"], &[vec!["conv1".into(), "0.031".into()]]);
        let html = report.html();
        for part in [
            "<title>Run &lt;1&gt;</title>",
            "Layer 1 &amp; 2",
            "a &lt; b",
            "data:image/png;base64,iVBOR",
            "<svg role=\"img\" aria-label=\"curve\" width=\"1\">",
            "<td class=\"n\">0.031</td>",
            "href=\"#s3\"",
            "prefers-color-scheme: dark",
            "width=device-width",
        ] {
            assert!(html.contains(part), "{part} is missing");
        }
        assert!(!html.contains("<?xml") && !html.contains("http"));
    }
}
