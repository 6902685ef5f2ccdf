//! From strokes to pixels: slant, stretch and bend the writing, then draw it with a pen of changing width.

use super::SIDE;
use super::shapes::{Point, Stroke};
use crate::portable;
use crate::rng::Rng;

/// Straight pieces per curve between two points; at 20 pixels height the corners stay below a tenth of a pixel.
const PIECES: usize = 6;
/// Side of the box that a digit fills, as in MNIST.
const BOX: f32 = 20.0;
/// Middle of the image in both directions; pixels lie at whole numbers.
const MIDDLE: f32 = (SIDE as f32 - 1.0) / 2.0;

/// Usual slant of each digit, as this hand writes it; measured on MNIST, less what the shapes have of their own.
const SLANT: [f32; 10] = [0.23, 0.23, 0.01, 0.02, 0.28, 0.09, 0.05, 0.05, 0.1, 0.18];

/// Turns the points of `strokes` into fine polylines, and distorts these as a whole.
pub(super) fn distort(digit: u32, strokes: &mut [Stroke], rng: &mut Rng) {
    // Beyond two deviations one digit turns into another.
    let mut bell = |deviation: f32| deviation * rng.normal().clamp(-2.0, 2.0);
    let slant = SLANT[digit as usize] + bell(0.25);
    let turn = bell(0.07);
    let (sin, cos) = (portable::sin(turn), portable::cos(turn));
    let stretch = portable::exp(0.11 + bell(0.16));
    // Two slow waves across the digit bend it without folding it.
    let waves: [[f32; 5]; 2] = std::array::from_fn(|_| {
        let angle = rng.range(0.0, std::f32::consts::TAU);
        let rate = rng.range(2.0, 6.0);
        let phase = rng.range(0.0, std::f32::consts::TAU);
        [rate * portable::cos(angle), rate * portable::sin(angle), phase, 0.035 * rng.normal(), 0.035 * rng.normal()]
    });
    for stroke in strokes {
        *stroke = smooth(stroke);
        for p in stroke.iter_mut() {
            let [mut x, mut y] = *p;
            for [fx, fy, phase, dx, dy] in waves {
                let s = portable::sin(fx * p[0] + fy * p[1] + phase);
                (x, y) = (x + dx * s, y + dy * s);
            }
            x = x * stretch - slant * y;
            *p = [x * cos - y * sin, x * sin + y * cos];
        }
    }
}

/// A smooth curve through the points; a doubled point is a corner.
///
/// Cubic Hermite pieces whose slope at a point is that of the parabola through its neighbours, by chord length: close
/// points then make no kinks, as they do in a Catmull-Rom curve.
fn smooth(points: &[Point]) -> Stroke {
    let at = |i: usize| points[i.min(points.len() - 1)];
    let mut fine = Vec::with_capacity(points.len() * PIECES);
    for i in 0..points.len().saturating_sub(1) {
        let [a, b, c, d] = [at(i.saturating_sub(1)), at(i), at(i + 1), at(i + 2)];
        let [before, here, after] = [distance(a, b), distance(b, c), distance(c, d)];
        if here == 0.0 {
            continue;
        }
        // Slope where two pieces meet, or along the one piece at an end or a corner.
        let slope = |p: Point, q: Point, r: Point, h: f32, k: f32, j: usize| match (h > 0.0, k > 0.0) {
            (true, true) => ((q[j] - p[j]) * k / h + (r[j] - q[j]) * h / k) / (h + k),
            (true, false) => (q[j] - p[j]) / h,
            _ => (r[j] - q[j]) / k,
        };
        for piece in 0..PIECES {
            let t = piece as f32 / PIECES as f32;
            fine.push([0, 1].map(|j| {
                let (m, n) = (slope(a, b, c, before, here, j) * here, slope(b, c, d, here, after, j) * here);
                let step = b[j] - c[j];
                b[j] + t * (m + t * (-3.0 * step - 2.0 * m - n + t * (2.0 * step + m + n)))
            }));
        }
    }
    fine.extend(points.last());
    fine
}

fn distance(a: Point, b: Point) -> f32 {
    portable::hypot(b[0] - a[0], b[1] - a[1])
}

/// Draws polylines fitted into the box and centred by mass; 0 is black.
pub(super) fn draw(strokes: &[Stroke], rng: &mut Rng) -> [u8; SIDE * SIDE] {
    // Half the pen's width in pixels.
    let radius = (1.27 * portable::exp(0.27 * rng.normal())).clamp(0.75, 2.4);
    let (low, high) = bounds(strokes);
    let extent = (high[0] - low[0]).max(high[1] - low[1]).max(1e-3);
    let scale = (BOX - 0.4 - 2.0 * radius) / extent;

    // Pressure rises and falls along the stroke; a broad nib makes strokes in one direction wider.
    let (swell, rate, phase) = (0.12 * rng.normal(), rng.range(2.0, 9.0), rng.range(0.0, std::f32::consts::TAU));
    let (broad, nib) = (rng.range(0.0, 0.25), rng.range(0.0, std::f32::consts::PI));
    let mut pieces = Vec::new();
    let mut along = 0.0;
    for stroke in strokes {
        for pair in stroke.windows(2) {
            let [a, b] = [pair[0], pair[1]].map(|p| [0, 1].map(|j| (p[j] - (low[j] + high[j]) / 2.0) * scale + MIDDLE));
            let (dx, dy) = (b[0] - a[0], b[1] - a[1]);
            along += portable::hypot(dx, dy) / BOX;
            let turn = portable::atan2(dy, dx) - nib;
            let pressure = 1.0 + swell * portable::sin(rate * along + phase);
            let r = radius * pressure * (1.0 + broad * (portable::sin(turn).abs() - 0.5));
            pieces.push((a, b, r));
        }
    }
    let soft = rng.range(0.9, 1.5);
    // How much of each pixel is covered, right where it is above `least`.
    let ink = |shift: Point, least: f32| {
        let mut depth = [f32::NEG_INFINITY; SIDE * SIDE];
        for &(a, b, r) in &pieces {
            let [a, b] = [a, b].map(|p| [p[0] + shift[0], p[1] + shift[1]]);
            deepen(&mut depth, a, b, r, (0.5 - least) * soft + 0.01);
        }
        depth.map(|d| 0.5 + d / soft)
    };
    // The centre is known only once the digit is drawn, as strokes cross. MNIST moves by whole pixels, so that the
    // true centre lies anywhere within half a pixel of the middle.
    let centre = centre_of_mass(&ink([0.0; 2], 0.0));
    let shift = centre.map(|c| MIDDLE - c + rng.range(-0.5, 0.5));
    let (bright, rough) = (rng.range(0.96, 1.08), rng.range(0.0, 0.2));
    ink(shift, -0.5).map(|cover| {
        if cover < -0.5 {
            return 0;
        }
        let cover = (cover + rough * (rng.uniform() - 0.5)).clamp(0.0, 1.0);
        (cover * bright * 255.0).min(255.0) as u8
    })
}

fn centre_of_mass(ink: &[f32; SIDE * SIDE]) -> Point {
    let [mut mass, mut x, mut y] = [1e-6, 0.0, 0.0];
    for (i, cover) in ink.iter().enumerate() {
        let cover = cover.clamp(0.0, 1.0);
        mass += cover;
        x += cover * (i % SIDE) as f32;
        y += cover * (i / SIDE) as f32;
    }
    [x / mass, y / mass]
}

fn bounds(strokes: &[Stroke]) -> (Point, Point) {
    strokes.iter().flatten().fold(([f32::MAX; 2], [f32::MIN; 2]), |(low, high), p| {
        ([low[0].min(p[0]), low[1].min(p[1])], [high[0].max(p[0]), high[1].max(p[1])])
    })
}

/// Raises `depth`, how far inside the ink a pixel's middle is, by a piece from `a` to `b` with round ends, as far as
/// `margin` around it.
fn deepen(depth: &mut [f32; SIDE * SIDE], a: Point, b: Point, r: f32, margin: f32) {
    let d = [b[0] - a[0], b[1] - a[1]];
    let long = d[0] * d[0] + d[1] * d[1];
    let inverse = 1.0 / long.max(1e-12);
    // Pieces are about as long as a pixel, so that the circle around one has little to spare.
    let reach = r + margin + 0.5 * long.sqrt();
    let middle = [a[0] + 0.5 * d[0], a[1] + 0.5 * d[1]];
    for y in pixels(middle[1], reach) {
        let up = y as f32 - middle[1];
        let half = (reach * reach - up * up).max(0.0).sqrt();
        for x in pixels(middle[0], half) {
            let p = [x as f32 - a[0], y as f32 - a[1]];
            let t = ((p[0] * d[0] + p[1] * d[1]) * inverse).clamp(0.0, 1.0);
            let away = [p[0] - t * d[0], p[1] - t * d[1]];
            let inside = r - (away[0] * away[0] + away[1] * away[1]).sqrt();
            let cell = &mut depth[y * SIDE + x];
            *cell = cell.max(inside);
        }
    }
}

/// Pixels of a row or column no farther than `reach` from `middle`.
fn pixels(middle: f32, reach: f32) -> std::ops::Range<usize> {
    let end = (middle + reach).floor() + 1.0;
    ((middle - reach).ceil().max(0.0) as usize)..(end.clamp(0.0, SIDE as f32) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_pass_through_their_points_and_corners_stay_sharp() {
        let points = [[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 1.0]];
        let fine = smooth(&points);
        for p in points {
            assert!(fine.iter().any(|q| (q[0] - p[0]).abs() + (q[1] - p[1]).abs() < 1e-6), "{p:?} is on the curve");
        }
        assert!(fine.iter().all(|p| p[0] < 1.0 + 1e-6 && p[1] > -1e-6), "no overshoot beyond the corner: {fine:?}");
    }

    #[test]
    fn depth_is_the_distance_to_the_edge() {
        let mut depth = [f32::NEG_INFINITY; SIDE * SIDE];
        deepen(&mut depth, [5.0, 5.0], [10.0, 5.0], 2.0, 1.5);
        for (x, y, wanted) in [(7, 5, 2.0), (7, 7, 0.0), (5, 8, -1.0), (12, 5, 0.0), (20, 20, f32::NEG_INFINITY)] {
            let found = depth[y * SIDE + x];
            assert!(found == wanted || (found - wanted).abs() < 1e-5, "at {x}, {y}: {found}, expected {wanted}");
        }
    }
}
