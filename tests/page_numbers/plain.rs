//! What the chapters say, in plain loops in `f64`. Matrices are row-major; rows (R,d).

use mexhat::study::symmetric_eigenvalues;

/// Rows (R,d) less their mean.
pub fn centred(rows: &[f64], d: usize) -> Vec<f64> {
    let count = (rows.len() / d) as f64;
    let mean: Vec<f64> = (0..d).map(|i| rows.iter().skip(i).step_by(d).sum::<f64>() / count).collect();
    rows.iter().enumerate().map(|(at, v)| v - mean[at % d]).collect()
}

/// Of centred rows (R,d), (d,d).
pub fn covariance(rows: &[f64], d: usize) -> Vec<f64> {
    let mut sums = vec![0.0; d * d];
    for row in rows.chunks(d) {
        for (v, line) in row.iter().zip(sums.chunks_mut(d)) {
            line.iter_mut().zip(row).for_each(|(sum, w)| *sum += v * w);
        }
    }
    let count = (rows.len() / d) as f64;
    sums.into_iter().map(|sum| sum / count).collect()
}

pub fn with_eps(covariance: &[f64], d: usize, eps: f64) -> Vec<f64> {
    covariance.iter().enumerate().map(|(i, v)| v + if i % (d + 1) == 0 { eps } else { 0.0 }).collect()
}

/// `x y`, x (R,d) and y (d,d).
pub fn product(x: &[f64], y: &[f64], d: usize) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    for (row, out) in x.chunks(d).zip(out.chunks_mut(d)) {
        for (v, line) in row.iter().zip(y.chunks(d)) {
            out.iter_mut().zip(line).for_each(|(o, w)| *o += v * w);
        }
    }
    out
}

pub fn identity(d: usize, scale: f64) -> Vec<f64> {
    (0..d * d).map(|i| if i % (d + 1) == 0 { scale } else { 0.0 }).collect()
}

/// D before the first and after each coupled Newton-Schulz step, in `f64`.
pub fn roots(a: &[f64], d: usize, steps: usize) -> Vec<Vec<f64>> {
    let norm = a.iter().map(|v| v * v).sum::<f64>().sqrt();
    let mut y: Vec<f64> = a.iter().map(|v| v / norm).collect();
    let mut z = identity(d, 1.0);
    let mut all = vec![identity(d, 1.0 / norm.sqrt())];
    for _ in 0..steps {
        let zy = product(&z, &y, d);
        let t: Vec<f64> = identity(d, 1.5).iter().zip(&zy).map(|(three, v)| three - v / 2.0).collect();
        (y, z) = (product(&y, &t, d), product(&t, &z, d));
        all.push(z.iter().map(|v| v / norm.sqrt()).collect());
    }
    all
}

/// 64 points of a circle and the first once more, under a matrix (2,2).
pub fn circle(matrix: &[f64]) -> impl Iterator<Item = f64> {
    let around = (0..=64).map(|i| (f64::from(i) / 64.0 * std::f64::consts::TAU).sin_cos());
    around.flat_map(|(x, y)| [0, 2].map(|row| matrix[row] * x + matrix[row + 1] * y))
}

pub fn exact_root(a: &[f64], d: usize) -> Vec<f64> {
    roots(a, d, 40).pop().unwrap()
}

pub fn white(a: &[f64], root: &[f64], d: usize) -> Vec<f64> {
    product(&product(root, a, d), root, d)
}

pub fn condition(matrix: &[f64], d: usize) -> f64 {
    let values = symmetric_eigenvalues(matrix, d);
    values[d - 1] / values[0]
}

pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

pub fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

/// 24 steps of gradient descent on half the mean squared error, from 0.
pub fn walk(rows: &[f64], targets: &[f64], rate: f64) -> Vec<Vec<f64>> {
    let mut all = vec![vec![0.0; 2]];
    for step in 0..24 {
        let now = &all[step];
        let mut slope = [0.0; 2];
        for (row, target) in rows.chunks(2).zip(targets) {
            let off = (now[0] * row[0] + now[1] * row[1] - target) / targets.len() as f64;
            (0..2).for_each(|i| slope[i] += off * row[i]);
        }
        let next = (0..2).map(|i| now[i] - rate * slope[i]).collect();
        all.push(next);
    }
    all
}

/// A path of weights as it is drawn: from the best ones, in distances of the start from them.
pub struct Walk {
    pub covariance: Vec<f64>,
    pub places: Vec<f64>,
    pub excess: Vec<f64>,
    /// What the start misses, in the drawing's units.
    pub start: f64,
    pub limit: f64,
}

impl Walk {
    pub fn of(weights: &[Vec<f64>], rows: &[f64], targets: &[f64]) -> Self {
        let a = covariance(rows, 2);
        let slope: Vec<f64> = (0..2)
            .map(|i| rows.chunks(2).zip(targets).map(|(row, t)| row[i] * t).sum::<f64>() / targets.len() as f64)
            .collect();
        let determinant = a[0] * a[3] - a[1] * a[2];
        let best =
            [(a[3] * slope[0] - a[1] * slope[1]) / determinant, (a[0] * slope[1] - a[2] * slope[0]) / determinant];
        let far = (weights[0][0] - best[0]).hypot(weights[0][1] - best[1]);
        let places: Vec<f64> = weights.iter().flat_map(|w| [0, 1].map(|i| (w[i] - best[i]) / far)).collect();
        let mut path =
            Self { limit: 2.0 / symmetric_eigenvalues(&a, 2)[1], covariance: a, places, excess: vec![], start: 0.0 };
        let missing: Vec<f64> = path.places.chunks(2).map(|at| path.missing([at[0], at[1]])).collect();
        path.start = missing[0];
        path.excess = missing.iter().map(|v| v / path.start).collect();
        path
    }

    fn missing(&self, [x, y]: [f64; 2]) -> f64 {
        let a = &self.covariance;
        x * (a[0] * x + a[1] * y) + y * (a[2] * x + a[3] * y)
    }
}
