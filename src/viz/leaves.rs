//! Dead leaves: pictures with the statistics of natural images, made from a seed.
//!
//! Opaque ellipses with power-law sizes fall on one another until nothing shows through. Occlusion and the absence of a
//! preferred size give edges, a 1/f amplitude spectrum and heavy-tailed gradients as photographs have them (J. Matheron
//! 1968; A. Lee, D. Mumford, J. Huang, "Occlusion models for natural images", IJCV 2001). Colours share most of their
//! variation across red, green and blue, as daylight scenes do; a lens blurs, a sensor adds noise.

use super::image::RgbPlanes;
use crate::rng::Rng;

/// Smallest radius in pixels. Finer ones look like gravel, and what is finer in nature is texture, which each leaf has.
const SMALLEST: f32 = 3.0;

/// Leaves are drawn at twice the size and averaged, which gives their edges the steps between that a lens gives.
const FINE: usize = 2;

/// A generated picture of `width` x `height` pixels; the same seed gives the same picture.
///
/// Values lie in 0..=1. Time and memory grow with the area: some 20 ms and 4 MB for 256 x 256.
pub fn dead_leaves(seed: u64, width: usize, height: usize) -> RgbPlanes {
    let (mut rng, area) = (Rng::new(seed), width * height);
    let mut data = average(&fallen(&mut rng, width * FINE, height * FINE), width, height);
    light(&mut rng, width, height, &mut data);
    for value in &mut data {
        // A film's shoulder: highlights approach white instead of clipping.
        *value = if *value > 0.5 { 1.0 - 0.5 * (1.0 - 2.0 * *value).exp() } else { *value };
    }
    for plane in data.chunks_mut(area.max(1)) {
        blur(plane, width, height);
    }
    for value in &mut data {
        // Photon noise grows with the root of the light, read noise does not.
        *value = (*value + rng.normal() * (0.003 + 0.008 * value.max(0.0).sqrt())).clamp(0.0, 1.0);
    }
    RgbPlanes { width, height, data }
}

/// The heap of leaves seen from above, shape (3, height, width).
fn fallen(rng: &mut Rng, width: usize, height: usize) -> Vec<f32> {
    let area = width * height;
    let mut data = vec![0.0f32; 3 * area];
    let mut bare = vec![true; area];
    let mut left = area;
    let largest = 0.45 * width.max(height) as f32;
    // Front to back: a pixel belongs to the first leaf that covers it. The last permille goes to one backdrop, because
    // waiting for the smallest gaps to be hit takes longer than everything before.
    while left > area / 1000 {
        let leaf = Leaf::fall(rng, width as f32, height as f32, largest);
        paint(&leaf, width, height, &mut data, &mut bare, &mut left);
    }
    let backdrop = Leaf::fall(rng, width as f32, height as f32, largest);
    let backdrop = Leaf { radius: 4.0 * largest.max(8.0), flatten: 1.0, ..backdrop };
    paint(&backdrop, width, height, &mut data, &mut bare, &mut left);
    data
}

/// Means of squares of `FINE` x `FINE` pixels.
fn average(fine: &[f32], width: usize, height: usize) -> Vec<f32> {
    let mut data = vec![0.0; 3 * width * height];
    for (i, value) in data.iter_mut().enumerate() {
        let (row, column) = (i / width * FINE, i % width * FINE);
        for line in row..row + FINE {
            *value += fine[line * width * FINE + column..][..FINE].iter().sum::<f32>() / (FINE * FINE) as f32;
        }
    }
    data
}

struct Leaf {
    x: f32,
    y: f32,
    radius: f32,
    /// Short axis over long axis.
    flatten: f32,
    /// Unit vector of the long axis.
    axis: (f32, f32),
    color: [f32; 3],
    /// Change of brightness from one end to the other, as a share.
    shade: (f32, f32),
    /// Strength, wavelength in pixels and direction of a faint grain.
    grain: (f32, f32, f32),
}

impl Leaf {
    fn fall(rng: &mut Rng, width: f32, height: f32, largest: f32) -> Self {
        // Density proportional to r^-3 between the two radii: the only scale-free law (inverse transform sampling).
        let smallest = SMALLEST * FINE as f32;
        let (a, b) = (smallest.powi(-2), largest.max(2.0 * smallest).powi(-2));
        let radius = (a + (b - a) * rng.uniform()).powf(-0.5);
        let turn = rng.range(0.0, std::f32::consts::TAU);
        Self {
            x: rng.range(-radius, width + radius),
            y: rng.range(-radius, height + radius),
            radius,
            flatten: rng.range(0.35, 1.0),
            axis: (turn.cos(), turn.sin()),
            color: natural_color(rng),
            shade: (0.25 * rng.normal(), 0.25 * rng.normal()),
            grain: (0.025 * rng.uniform(), rng.range(5.0, 40.0), rng.range(0.0, std::f32::consts::TAU)),
        }
    }

    /// Colour at a pixel, `None` outside.
    fn at(&self, px: f32, py: f32) -> Option<[f32; 3]> {
        let (dx, dy) = (px - self.x, py - self.y);
        let along = (dx * self.axis.0 + dy * self.axis.1) / self.radius;
        let across = (dy * self.axis.0 - dx * self.axis.1) / (self.radius * self.flatten);
        (along * along + across * across <= 1.0).then(|| {
            let (strength, wave, turn) = self.grain;
            let phase = (dx * turn.cos() + dy * turn.sin()) * std::f32::consts::TAU / wave;
            let factor = (1.0 + self.shade.0 * along + self.shade.1 * across + strength * phase.sin()).max(0.1);
            self.color.map(|c| c * factor)
        })
    }
}

/// Brightness varies most, the blue-yellow balance less, the red-green balance least (D. Ruderman, T. Cronin, C. Chiao,
/// "Statistics of cone responses to natural images", JOSA A 1998); brightness is log-normal.
fn natural_color(rng: &mut Rng) -> [f32; 3] {
    let brightness = (0.27f32.ln() + 0.6 * rng.normal()).exp();
    let (warm, green) = (0.16 * rng.normal() + 0.06, 0.06 * rng.normal() + 0.02);
    [warm + 0.5 * -green, green, -warm - 0.5 * green].map(|shift: f32| brightness * shift.exp())
}

fn paint(leaf: &Leaf, width: usize, height: usize, data: &mut [f32], bare: &mut [bool], left: &mut usize) {
    let span = |middle: f32, size: usize| {
        let low = (middle - leaf.radius).floor().max(0.0) as usize;
        low..((middle + leaf.radius).ceil().max(-1.0) as usize + 1).min(size)
    };
    let area = width * height;
    for y in span(leaf.y, height) {
        for x in span(leaf.x, width) {
            let at = y * width + x;
            if bare[at]
                && let Some(color) = leaf.at(x as f32, y as f32)
            {
                bare[at] = false;
                *left -= 1;
                for (c, value) in color.into_iter().enumerate() {
                    data[c * area + at] = value;
                }
            }
        }
    }
}

/// Soft light from one side, a little warmer than the shade on the other.
fn light(rng: &mut Rng, width: usize, height: usize, data: &mut [f32]) {
    let turn = rng.range(0.0, std::f32::consts::TAU);
    let (strength, warmth) = (rng.range(0.1, 0.45), rng.range(0.0, 0.06));
    for (c, plane) in data.chunks_mut((width * height).max(1)).enumerate() {
        let tint = [warmth, 0.0, -warmth][c];
        for (i, value) in plane.iter_mut().enumerate() {
            let (x, y) = ((i % width) as f32 / width as f32 - 0.5, (i / width) as f32 / height as f32 - 0.5);
            let side = x * turn.cos() + y * turn.sin();
            *value *= 1.0 + (strength + tint) * side * 2.0;
        }
    }
}

/// A 3 x 3 binomial-like blur, (1 6 1)/8 along both axes: the softness of a lens, about half a pixel wide.
fn blur(plane: &mut [f32], width: usize, height: usize) {
    let pass = |line: &mut dyn FnMut(usize) -> usize, n: usize, plane: &mut [f32]| {
        let old: Vec<f32> = (0..n).map(|i| plane[line(i)]).collect();
        for i in 0..n {
            let (before, after) = (old[i.saturating_sub(1)], old[(i + 1).min(n - 1)]);
            plane[line(i)] = 0.75 * old[i] + 0.125 * (before + after);
        }
    };
    for y in 0..height {
        pass(&mut |x| y * width + x, width, plane);
    }
    for x in 0..width {
        pass(&mut |y| y * width + x, height, plane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viz::kernels::{CenterSurround, central_kernels};

    /// Regularised covariance of all k x k patches (method, section 4), d = 3 k k.
    fn covariance(pictures: &[RgbPlanes], k: usize, eps: f64) -> Vec<f64> {
        let d = 3 * k * k;
        let (mut sum, mut gram, mut rows) = (vec![0.0; d], vec![0.0; d * d], 0.0);
        let mut patch = vec![0.0; d];
        for p in pictures {
            for (y, x) in (0..=p.height - k).flat_map(|y| (0..=p.width - k).map(move |x| (y, x))) {
                for (f, v) in patch.iter_mut().enumerate() {
                    let (c, u, w) = (f / (k * k), f / k % k, f % k);
                    // Half is near the mean, which keeps the subtraction below harmless in f64.
                    *v = f64::from(p.data[(c * p.height + y + u) * p.width + x + w]) - 0.5;
                }
                for i in 0..d {
                    sum[i] += patch[i];
                    for j in 0..=i {
                        gram[i * d + j] += patch[i] * patch[j];
                    }
                }
                rows += 1.0;
            }
        }
        let entry = |i: usize, j: usize| gram[i.max(j) * d + i.min(j)] / rows - sum[i] * sum[j] / (rows * rows);
        (0..d * d).map(|i| entry(i / d, i % d) + if i / d == i % d { eps } else { 0.0 }).collect()
    }

    /// Coupled Newton-Schulz (method, section 5).
    fn inverse_root(a: &[f64], d: usize, iterations: usize) -> Vec<f32> {
        let product = |p: &[f64], q: &[f64]| {
            let mut out = vec![0.0; d * d];
            for i in 0..d {
                for l in 0..d {
                    let v = p[i * d + l];
                    for j in 0..d {
                        out[i * d + j] += v * q[l * d + j];
                    }
                }
            }
            out
        };
        let norm = a.iter().map(|v| v * v).sum::<f64>().sqrt();
        let mut y: Vec<f64> = a.iter().map(|v| v / norm).collect();
        let mut z: Vec<f64> = (0..d * d).map(|i| if i / d == i % d { 1.0 } else { 0.0 }).collect();
        for _ in 0..iterations {
            let mut u = product(&z, &y);
            u.iter_mut().enumerate().for_each(|(i, v)| *v = (if i / d == i % d { 3.0 } else { 0.0 } - *v) / 2.0);
            (y, z) = (product(&y, &u), product(&u, &z));
        }
        z.iter().map(|v| (v / norm.sqrt()) as f32).collect()
    }

    #[test]
    fn its_kernels_are_center_surround() {
        let k = 5;
        for seed in [0, 7] {
            let pictures: Vec<_> = (0..2).map(|i| dead_leaves(seed + 100 * i, 160, 120)).collect();
            let deconv = inverse_root(&covariance(&pictures, k, 1e-5), 3 * k * k, 15);
            let kernels = central_kernels(&deconv, 3, k).unwrap();
            for c in 0..3 {
                let own = CenterSurround::of(&kernels[(c * 3 + c) * k * k..][..k * k], k).unwrap();
                assert!(own.center > 0.0 && own.ring_mean < 0.0, "seed {seed} colour {c}: {own:?}");
                assert!(own.ratio() >= 3.0, "seed {seed} colour {c}: {own:?}");
            }
        }
    }

    #[test]
    fn seeds_repeat_and_differ_and_sizes_hold() {
        let a = dead_leaves(1, 40, 30);
        assert_eq!((a.width, a.height, a.data.len()), (40, 30, 3600));
        assert_eq!(a, dead_leaves(1, 40, 30));
        assert_ne!(a, dead_leaves(2, 40, 30));
        assert!(a.data.iter().all(|v| (0.0..=1.0).contains(v)));
        for (w, h) in [(1, 1), (3, 200), (0, 5)] {
            assert_eq!(dead_leaves(0, w, h).data.len(), 3 * w * h);
        }
    }

    #[test]
    fn colours_move_together_and_gradients_have_heavy_tails() {
        let p = dead_leaves(3, 200, 150);
        let area = p.width * p.height;
        let plane = |c: usize| &p.data[c * area..][..area];
        let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
        let moment = |a: &[f32], b: &[f32]| {
            let (ma, mb) = (mean(a), mean(b));
            a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum::<f32>()
        };
        let correlation = moment(plane(0), plane(2)) / (moment(plane(0), plane(0)) * moment(plane(2), plane(2))).sqrt();
        assert!((0.6..0.99).contains(&correlation), "red and blue correlate {correlation}");
        let gradient: Vec<f32> = plane(1).windows(2).map(|w| w[1] - w[0]).collect();
        assert!(crate::viz::kurtosis(&gradient) > 6.0);
    }
}
