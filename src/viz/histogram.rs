//! Histograms of values before and after deconvolution, and how heavy their tails are.

use super::canvas::short;
use super::chart::{self, INK, Series};
use crate::error::{Error, Result};

const BINS: usize = 8192;

/// A histogram of any number of values in fixed memory, without knowing their range beforehand.
///
/// The bins lie symmetrically around zero; when a value falls outside, pairs of bins merge and the range doubles. So at
/// least 2048 bins cover the range that was seen on its longer side. Mean, variance and kurtosis come from the values,
/// not the bins. Values that are not finite are counted apart.
#[derive(Clone, Debug)]
pub struct StreamingHistogram {
    counts: Vec<u64>,
    half_range: f64,
    moments: Moments,
    skipped: u64,
}

impl Default for StreamingHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl StreamingHistogram {
    /// An empty histogram.
    pub fn new() -> Self {
        Self { counts: vec![0; BINS], half_range: 0.0, moments: Moments::default(), skipped: 0 }
    }

    /// Counts values in.
    pub fn add(&mut self, values: &[f32]) {
        // Blocks keep the two passes of the moments in cache.
        for block in values.chunks(4096) {
            let largest = block.iter().filter(|v| v.is_finite()).fold(0.0f32, |m, v| m.max(v.abs()));
            self.widen(f64::from(largest));
            let per_value = if self.half_range > 0.0 { (BINS / 2) as f64 / self.half_range } else { 0.0 };
            for value in block.iter().filter(|v| v.is_finite()) {
                let at = (f64::from(*value) * per_value).floor() as i64 + (BINS / 2) as i64;
                self.counts[at.clamp(0, BINS as i64 - 1) as usize] += 1;
            }
            let part = Moments::of(block);
            self.skipped += block.len() as u64 - part.count as u64;
            self.moments = self.moments.merge(&part);
        }
    }

    fn widen(&mut self, largest: f64) {
        if largest <= self.half_range {
            return;
        }
        if self.half_range == 0.0 {
            // A power of two, so that doubled ranges of two histograms agree. So far only zeros, in the bin right of
            // the middle.
            self.half_range = largest.log2().ceil().exp2();
            return;
        }
        while self.half_range < largest {
            let mut merged = vec![0; BINS];
            for (i, &count) in self.counts.iter().enumerate() {
                merged[BINS / 4 + i / 2] += count;
            }
            self.counts = merged;
            self.half_range *= 2.0;
        }
    }

    /// Finite values counted so far.
    pub fn count(&self) -> u64 {
        self.moments.count as u64
    }

    /// Values that were infinite or no numbers; they are in no bin and no moment.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Mean.
    pub fn mean(&self) -> f64 {
        self.moments.mean
    }

    /// Standard deviation, dividing by the count.
    pub fn std(&self) -> f64 {
        (self.moments.m2 / self.moments.count.max(1.0)).sqrt()
    }

    /// Fourth central moment over the squared variance: 3 for a normal distribution, more for heavier tails; NaN when
    /// all values are equal.
    pub fn kurtosis(&self) -> f64 {
        self.moments.kurtosis()
    }

    /// Probability density over `bins` equal bins of `-limit..limit`, in units of standard deviations from the mean.
    pub fn density(&self, bins: usize, limit: f64) -> Vec<f64> {
        let (mean, std, width) = (self.mean(), self.std(), 2.0 * limit / bins.max(1) as f64);
        let mut out = vec![0.0; bins];
        if std <= 0.0 || self.count() == 0 {
            return out;
        }
        let fine = 2.0 * self.half_range / BINS as f64 / std;
        for (i, &count) in self.counts.iter().enumerate().filter(|(_, c)| **c > 0) {
            // A fine bin may straddle drawn bins: it is shared out by overlap, which keeps combs out of the picture.
            let left = (i as f64 * fine * std - self.half_range - mean) / std;
            let (from, to) = ((left + limit) / width, (left + fine + limit) / width);
            let share = count as f64 / (to - from);
            let (low, high) = (from.max(0.0), to.min(bins as f64));
            let mut at = low;
            while at < high {
                let next = (at.floor() + 1.0).min(high);
                out[(at as usize).min(bins - 1)] += share * (next - at);
                at = next;
            }
        }
        out.iter_mut().for_each(|v| *v /= self.count() as f64 * width);
        out
    }
}

/// Kurtosis of a list: 3 for a normal distribution; NaN when all values are equal. Infinite values and NaN are left
/// out.
pub fn kurtosis(values: &[f32]) -> f64 {
    values.chunks(4096).fold(Moments::default(), |sum, block| sum.merge(&Moments::of(block))).kurtosis()
}

/// Count, mean and sums of powers of deviations, in the form that merges without cancellation (P. Pebay, "Formulas for
/// robust, one-pass parallel computation of covariances and arbitrary-order statistical moments", Sandia 2008).
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: f64,
    mean: f64,
    m2: f64,
    m3: f64,
    m4: f64,
}

impl Moments {
    fn of(values: &[f32]) -> Self {
        let finite = || values.iter().filter(|v| v.is_finite()).map(|&v| f64::from(v));
        let count = finite().count() as f64;
        if count == 0.0 {
            return Self::default();
        }
        let mean = finite().sum::<f64>() / count;
        let (mut m2, mut m3, mut m4) = (0.0, 0.0, 0.0);
        for value in finite() {
            let d = value - mean;
            m2 += d * d;
            m3 += d * d * d;
            m4 += d * d * d * d;
        }
        Self { count, mean, m2, m3, m4 }
    }

    fn merge(&self, other: &Self) -> Self {
        let (a, b) = (self, other);
        if a.count == 0.0 || b.count == 0.0 {
            return if a.count == 0.0 { *b } else { *a };
        }
        let n = a.count + b.count;
        let d = b.mean - a.mean;
        let (na, nb) = (a.count, b.count);
        Self {
            count: n,
            mean: a.mean + d * nb / n,
            m2: a.m2 + b.m2 + d * d * na * nb / n,
            m3: a.m3 + b.m3 + d.powi(3) * na * nb * (na - nb) / (n * n) + 3.0 * d * (na * b.m2 - nb * a.m2) / n,
            m4: a.m4
                + b.m4
                + d.powi(4) * na * nb * (na * na - na * nb + nb * nb) / n.powi(3)
                + 6.0 * d * d * (na * na * b.m2 + nb * nb * a.m2) / (n * n)
                + 4.0 * d * (na * b.m3 - nb * a.m3) / n,
        }
    }

    fn kurtosis(&self) -> f64 {
        if self.m2 > 0.0 { self.count * self.m4 / (self.m2 * self.m2) } else { f64::NAN }
    }
}

/// Two panels in one SVG, linear and logarithmic density, of the values before and after deconvolution, each in its own
/// standard deviations, with a normal distribution to compare.
///
/// Errors when either histogram is empty or holds one value only.
pub fn histogram_svg(before: &StreamingHistogram, after: &StreamingHistogram, title: &str) -> Result<String> {
    for (name, h) in [("before", before), ("after", after)] {
        if h.count() == 0 || h.std() <= 0.0 {
            return Err(Error::Usage(format!(
                "a histogram needs at least two different finite values, but the values {name} deconvolution are {} equal or \
                 missing ones ({} not finite); use an image that is not a single flat colour",
                h.count(),
                h.skipped()
            )));
        }
    }
    // 12 standard deviations show a heavy tail to its end, 4 the peak.
    let curve = |h: &StreamingHistogram, bins: usize, limit: f64, log: bool| -> Vec<(f64, f64)> {
        let width = 2.0 * limit / bins as f64;
        let density = h.density(bins, limit).into_iter().enumerate();
        density.map(|(i, v)| ((i as f64 + 0.5) * width - limit, v)).filter(|(_, v)| !log || *v > 0.0).collect()
    };
    let normal = |limit: f64| -> Vec<(f64, f64)> {
        let at = |x: f64| (x, (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt());
        (0..=240).map(|i| at(-limit + 2.0 * limit * f64::from(i) / 240.0)).collect()
    };
    let name = |what: &str, h: &StreamingHistogram| format!("{what}, kurtosis {}", short(h.kurtosis() as f32));
    let series = |bins, limit, log| {
        vec![
            Series {
                name: name("before", before),
                color: chart::PALETTE[0],
                points: curve(before, bins, limit, log),
                dashed: false,
            },
            Series {
                name: name("after", after),
                color: chart::PALETTE[1],
                points: curve(after, bins, limit, log),
                dashed: false,
            },
            Series { name: "normal, kurtosis 3".into(), color: INK, points: normal(limit), dashed: true },
        ]
    };
    chart::histogram_panels(title, &series(112, 4.0, false), &series(120, 12.0, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn normals(n: usize, scale: f32) -> Vec<f32> {
        let mut rng = Rng::new(5);
        (0..n).map(|_| scale * rng.normal()).collect()
    }

    #[test]
    fn kurtosis_of_known_distributions() {
        assert!((kurtosis(&normals(200_000, 2.0)) - 3.0).abs() < 0.06);
        let flat: Vec<f32> = (0..100_001).map(|i| i as f32).collect();
        assert!((kurtosis(&flat) - 1.8).abs() < 1e-4);
        assert_eq!(kurtosis(&[1.0, -1.0]), 1.0);
        assert!(kurtosis(&[4.0; 9]).is_nan());
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let mut values = normals(30_000, 1.0);
        values.iter_mut().enumerate().for_each(|(i, v)| *v = v.powi(3) + 100.0 + (i / 10_000) as f32);
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let power = |p| values.iter().map(|&v| (f64::from(v) - mean).powi(p)).sum::<f64>() / values.len() as f64;
        let mut parts = StreamingHistogram::new();
        values.chunks(777).for_each(|c| parts.add(c));
        assert_eq!(parts.count(), 30_000);
        assert!((parts.mean() - mean).abs() < 1e-9 && (parts.std() - power(2).sqrt()).abs() < 1e-9);
        assert!((parts.kurtosis() / (power(4) / power(2).powi(2)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn growing_range_loses_nothing_and_density_sums_to_one() {
        let mut h = StreamingHistogram::new();
        h.add(&[0.0, 0.0]);
        for step in 0..12 {
            h.add(&normals(5_000, 1e-3 * f32::powi(2.0, step)));
        }
        h.add(&[f32::NAN, f32::INFINITY]);
        assert_eq!((h.count(), h.skipped(), h.counts.iter().sum::<u64>()), (60_002, 2, 60_002));
        let mass: f64 = h.density(300, 40.0).iter().sum::<f64>() * 80.0 / 300.0;
        assert!((mass - 1.0).abs() < 1e-6, "mass {mass}");

        let mut normal = StreamingHistogram::new();
        normal.add(&normals(200_000, 7.0));
        let density = normal.density(81, 4.05);
        assert!((density[40] - 0.3989).abs() < 0.015, "peak {}", density[40]);
    }

    #[test]
    fn the_picture_names_both_and_refuses_flat_values() {
        let (mut before, mut after) = (StreamingHistogram::new(), StreamingHistogram::new());
        before.add(&normals(9_000, 1.0));
        after.add(&normals(9_000, 1.0).iter().map(|v| v * (1.0 + 0.05 * v * v)).collect::<Vec<_>>());
        let svg = histogram_svg(&before, &after, "Pixels & such").unwrap();
        for part in
            ["<svg", "</svg>", "before, kurtosis", "after, kurtosis", "Pixels &amp; such", "standard deviations"]
        {
            assert!(svg.contains(part), "{part} is missing");
        }
        chart::tests::assert_well_formed(&svg);
        for tick in [">\n0.2\n", ">\n1e-2\n"] {
            assert!(svg.contains(tick), "tick {tick:?} is missing");
        }
        let mut flat = StreamingHistogram::new();
        flat.add(&[2.0; 5]);
        assert!(histogram_svg(&before, &flat, "").unwrap_err().to_string().contains("after"));
    }
}
