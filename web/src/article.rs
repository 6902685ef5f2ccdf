//! The chapters of the article: each answer is what the engine makes of the visitor's picture.

use crate::picture::{Picture, regularised};
use crate::seen::{colours, largest};
use crate::thrown::{numbers, object, thrown};
use crate::viewer::{Viewer, rgba};
use js_sys::{Array, Float32Array, Object};
use mexhat::Result;
use mexhat::data::glyphs;
use mexhat::study::{
    Spectrum, descend, inverse_root, iterates, residuals, start_scale, symmetric_eigenvalues, whiten_rows, whitened,
};
use wasm_bindgen::prelude::*;

/// Places of the picture that enter the scatter and the regression.
const RUNS: usize = 2048;
/// Added to the diagonal, in variances of the picture.
const EPS: f64 = 1e-5;
/// Newton-Schulz steps where D is to be exact, and those of its own chapter.
const EXACT: usize = 15;
/// Steps of gradient descent.
const STEPS: usize = 24;
/// Points of an outline.
const OUTLINE: usize = 64;
/// Places of the slider from no D to all of it, less one.
const SHARES: usize = 20;
/// Digits of the picture of digits: in a row, and rows.
const DIGITS: [usize; 2] = [8, 6];

#[wasm_bindgen]
impl Viewer {
    /// A picture of digits, `{ pixels, width, height }`, RGBA.
    pub fn digits(&self, seed: u32) -> Object {
        let (side, [across, down]) = (glyphs::SIDE, DIGITS);
        let [width, height] = [across * side, down * side];
        let mut grey = vec![0; width * height];
        for index in 0..across * down {
            let (_, digit) = glyphs::render(u64::from(seed), index as u64);
            for (row, line) in digit.chunks(side).enumerate() {
                let start = (index / across * side + row) * width + index % across * side;
                grey[start..start + side].copy_from_slice(line);
            }
        }
        let samples: Vec<u8> = grey.into_iter().flat_map(|v| [v; 3]).collect();
        object(&[
            ("pixels", rgba(&samples).into()),
            ("width", (width as u32).into()),
            ("height", (height as u32).into()),
        ])
    }

    /// Pixels against their right neighbours, before and after D:
    /// `{ before, after, outlines: [before, after], covariance, deconv, whitened, correlations }`; points (R,2),
    /// matrices of four, outlines at two standard deviations, correlations at each place of the slider from no D to all
    /// of it.
    pub async fn neighbours(&self, pixels: Vec<u8>, width: usize, height: usize) -> Result<JsValue, JsValue> {
        self.neighbours_of(&pixels, [width, height]).await.map(JsValue::from).map_err(thrown)
    }

    /// Two weights learn to tell a pixel from the two to its left: `{ raw, white, correlation }`, each of the first
    /// `{ path, excess, level, limit }`: weights relative to the best ones, (steps + 1, 2), from 1 at the start; the
    /// share of what can be learnt that is still missing there; an outline of equal loss through the start; the largest
    /// stable rate.
    pub async fn descent(&self, pixels: Vec<u8>, width: usize, height: usize, rate: f64) -> Result<JsValue, JsValue> {
        self.descent_of(&pixels, [width, height], rate).await.map(JsValue::from).map_err(thrown)
    }

    /// Covariance of the picture's patches before and after D:
    /// `{ d, channels, k, patches, before, after, scale, colours: [before, after], conditions, whiteness }`.
    pub async fn covariance(
        &self,
        pixels: Vec<u8>,
        width: usize,
        height: usize,
        k: usize,
        iterations: usize,
    ) -> Result<JsValue, JsValue> {
        self.covariance_of(&pixels, [width, height], k, iterations).await.map(JsValue::from).map_err(thrown)
    }

    /// Newton-Schulz on the covariance of 3x3 patches:
    /// `{ d, condition, eigenvalues, coupled, uncoupled, gains, wanted }`. Eigenvalues of D A D after 0, 1, ... 15
    /// steps, (16, d); `||D A D - I|| / sqrt(d)` after each of them, coupled and uncoupled; the most that D can amplify
    /// by then, and what a true inverse root would.
    #[wasm_bindgen(js_name = newtonSchulz)]
    pub async fn newton_schulz(&self, pixels: Vec<u8>, width: usize, height: usize) -> Result<JsValue, JsValue> {
        self.newton_schulz_of(&pixels, [width, height]).await.map(JsValue::from).map_err(thrown)
    }
}

impl Viewer {
    async fn neighbours_of(&self, pixels: &[u8], size: [usize; 2]) -> Result<Object> {
        let rows = Picture::new(pixels, size, true)?.runs(2, RUNS)?;
        let found = whiten_rows(self.gpu(), &rows, 2, EPS as f32, EXACT).await?;
        let (a, d) = (wide(&found.covariance), wide(&found.deconv));
        let white = whitened(&a, &found.deconv, 2);
        let half = product(&a, &d);
        // A D is the root of A, which turns a circle into the ellipse.
        let outline = |m: &[f64]| points(circle().map(|u| applied(m, u).map(|v| 2.0 * v)));
        let correlations = (0..=SHARES).map(|i| {
            let share = i as f64 / SHARES as f64;
            let part: Vec<f64> = (0..4).map(|i| share * d[i] + if i % 3 == 0 { 1.0 - share } else { 0.0 }).collect();
            let at = product(&product(&part, &a), &part);
            at[1] / (at[0] * at[3]).sqrt()
        });
        Ok(object(&[
            ("before", floats(&found.before).into()),
            ("after", floats(&found.after).into()),
            ("outlines", Array::of2(&outline(&half), &outline(&product(&d, &half))).into()),
            ("covariance", floats(&found.covariance).into()),
            ("deconv", floats(&found.deconv).into()),
            ("whitened", numbers(white)),
            ("correlations", numbers(correlations)),
        ]))
    }

    async fn descent_of(&self, pixels: &[u8], size: [usize; 2], rate: f64) -> Result<Object> {
        let runs = Picture::new(pixels, size, true)?.runs(3, RUNS)?;
        let rows: Vec<f32> = runs.chunks(3).flat_map(|run| [run[0], run[1]]).collect();
        let targets: Vec<f32> = runs.chunks(3).map(|run| run[2]).collect();
        let mean = targets.iter().sum::<f32>() / targets.len() as f32;
        let targets: Vec<f32> = targets.iter().map(|v| v - mean).collect();
        let found = whiten_rows(self.gpu(), &rows, 2, EPS as f32, EXACT).await?;
        let a = wide(&found.covariance);
        Ok(object(&[
            ("raw", self.path(&found.before, &targets, rate).await?.into()),
            ("white", self.path(&found.after, &targets, rate).await?.into()),
            ("correlation", (a[1] / (a[0] * a[3]).sqrt()).into()),
        ]))
    }

    /// Gradient descent on centred rows (R,2).
    async fn path(&self, rows: &[f32], targets: &[f32], rate: f64) -> Result<Object> {
        let path = descend(self.gpu(), rows, targets, rate, STEPS).await?;
        let (a, best) = least_squares(rows, targets);
        let away = path.weights.iter().map(|w| [f64::from(w[0]) - best[0], f64::from(w[1]) - best[1]]);
        let away: Vec<[f64; 2]> = away.collect();
        let missing = |e: [f64; 2]| {
            let bent = applied(&a, e);
            e[0] * bent[0] + e[1] * bent[1]
        };
        let start = missing(away[0]).max(f64::MIN_POSITIVE);
        let far = away[0][0].hypot(away[0][1]).max(f64::MIN_POSITIVE);
        // The inverse root of A turns a circle into an outline of equal loss.
        let root = inverse_root_of(&a);
        let level = circle().map(|u| applied(&root, u).map(|v| v * start.sqrt() / far));
        let curvatures = symmetric_eigenvalues(&a, 2);
        Ok(object(&[
            ("path", points(away.iter().map(|e| e.map(|v| v / far)))),
            ("excess", numbers(away.iter().map(|e| missing(*e) / start))),
            ("level", points(level)),
            ("limit", (2.0 / curvatures[1]).into()),
        ]))
    }

    async fn covariance_of(&self, pixels: &[u8], size: [usize; 2], k: usize, iterations: usize) -> Result<Object> {
        let picture = Picture::new(pixels, size, false)?;
        let patches = picture.patches(self.gpu(), k).await?;
        let d = patches.d;
        let a = regularised(&patches.covariance, d, EPS);
        let deconv = inverse_root(self.gpu(), &a, d, iterations).await?;
        let exact = wide(&a);
        let white = whitened(&exact, &deconv, d);
        let after: Vec<f32> = white.iter().map(|v| *v as f32).collect();
        let scale = largest(&a);
        Ok(object(&[
            ("d", (d as u32).into()),
            ("channels", (picture.channels as u32).into()),
            ("k", (k as u32).into()),
            ("patches", (patches.count as f64).into()),
            ("before", floats(&a).into()),
            ("after", floats(&after).into()),
            ("scale", scale.into()),
            ("colours", Array::of2(&colours(&a, scale), &colours(&after, 1.0)).into()),
            ("conditions", numbers([Spectrum::of(&exact, d).condition(), Spectrum::of(&white, d).condition()])),
        ]))
    }

    async fn newton_schulz_of(&self, pixels: &[u8], size: [usize; 2]) -> Result<Object> {
        let picture = Picture::new(pixels, size, false)?;
        let patches = picture.patches(self.gpu(), 3).await?;
        let d = patches.d;
        let a = regularised(&patches.covariance, d, EPS);
        let exact = wide(&a);
        let scale = start_scale(&a);
        let mut start = vec![0.0; d * d];
        (0..d).for_each(|i| start[i * (d + 1)] = scale);
        let mut both = [Vec::new(), Vec::new()];
        for (list, coupled) in both.iter_mut().zip([true, false]) {
            list.push(start.clone());
            list.extend(iterates(self.gpu(), &a, d, EXACT, coupled).await?);
        }
        let eigenvalues: Vec<f32> = both[0]
            .iter()
            .flat_map(|deconv| symmetric_eigenvalues(&whitened(&exact, deconv, d), d))
            .map(|v| v as f32)
            .collect();
        let spectrum = Spectrum::of(&exact, d);
        let smallest = spectrum.eigenvalues.first().copied().unwrap_or(1.0);
        let residual =
            |deconvs: &[Vec<f32>]| numbers(residuals(&exact, deconvs, d).into_iter().map(|r| r / (d as f64).sqrt()));
        Ok(object(&[
            ("d", (d as u32).into()),
            ("condition", spectrum.condition().into()),
            ("eigenvalues", floats(&eigenvalues).into()),
            ("coupled", residual(&both[0])),
            ("uncoupled", residual(&both[1])),
            ("gains", numbers((0..=EXACT as i32).map(|t| f64::from(scale) * 1.5f64.powi(t)))),
            ("wanted", (1.0 / smallest.sqrt()).into()),
        ]))
    }
}

/// Covariance of centred rows (R,2), and the weights of least squares.
fn least_squares(rows: &[f32], targets: &[f32]) -> (Vec<f64>, [f64; 2]) {
    let count = targets.len() as f64;
    let (mut a, mut b) = (vec![0.0; 4], [0.0; 2]);
    for (row, target) in rows.as_chunks::<2>().0.iter().zip(targets) {
        let row = row.map(f64::from);
        for i in 0..2 {
            b[i] += row[i] * f64::from(*target) / count;
            (0..2).for_each(|j| a[2 * i + j] += row[i] * row[j] / count);
        }
    }
    let determinant = (a[0] * a[3] - a[1] * a[2]).max(f64::MIN_POSITIVE);
    let best = [(a[3] * b[0] - a[1] * b[1]) / determinant, (a[0] * b[1] - a[2] * b[0]) / determinant];
    (a, best)
}

/// Of a positive definite 2x2 matrix: `(A + sqrt(det A) I)^-1` times a number.
fn inverse_root_of(a: &[f64]) -> Vec<f64> {
    let det = (a[0] * a[3] - a[1] * a[2]).max(f64::MIN_POSITIVE).sqrt();
    let scale = det * (a[0] + a[3] + 2.0 * det).sqrt();
    [a[3] + det, -a[1], -a[2], a[0] + det].map(|v| v / scale).to_vec()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// Of 2x2 matrices.
fn product(x: &[f64], y: &[f64]) -> Vec<f64> {
    (0..4).map(|i| x[i / 2 * 2] * y[i % 2] + x[i / 2 * 2 + 1] * y[2 + i % 2]).collect()
}

fn applied(m: &[f64], [x, y]: [f64; 2]) -> [f64; 2] {
    [m[0] * x + m[1] * y, m[2] * x + m[3] * y]
}

fn circle() -> impl Iterator<Item = [f64; 2]> {
    (0..=OUTLINE).map(|i| (i as f64 / OUTLINE as f64 * std::f64::consts::TAU).sin_cos().into())
}

fn points(points: impl Iterator<Item = [f64; 2]>) -> JsValue {
    let flat: Vec<f32> = points.flatten().map(|v| v as f32).collect();
    Float32Array::from(&flat[..]).into()
}

fn floats(values: &[f32]) -> Float32Array {
    Float32Array::from(values)
}
