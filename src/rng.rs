//! The one source of randomness: PCG-RXS-M-XS 32, the same arithmetic as `shaders/pointwise/shared/rng.wgsl`.
//!
//! Source: M. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms
//! for Random Number Generation", 2014; as a hash: Jarzynski and Olano, JCGT 9(3), 2020.

use crate::portable;

/// Hash of one word, uniform over all words. Equal to `pcg` in `shaders/pointwise/shared/rng.wgsl`.
pub const fn pcg(word: u32) -> u32 {
    let state = word.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let mixed = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
    (mixed >> 22) ^ mixed
}

/// A seeded stream of random numbers; cheap to copy and to fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rng {
    key: u32,
    counter: u32,
}

impl Rng {
    /// The stream of `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { key: pcg(seed as u32 ^ pcg((seed >> 32) as u32)), counter: 0 }
    }

    /// An independent stream named by `index`: the same index gives the same stream, however far this one has run.
    pub const fn fork(&self, index: u64) -> Self {
        let low = pcg(self.key ^ pcg(index as u32 ^ 0x9e37_79b9));
        Self { key: pcg(low ^ pcg((index >> 32) as u32 ^ 0x85eb_ca6b)), counter: 0 }
    }

    /// The next word.
    pub const fn next_u32(&mut self) -> u32 {
        self.counter = self.counter.wrapping_add(1);
        pcg(self.counter ^ pcg(self.key ^ self.counter.rotate_left(16)))
    }

    /// Uniform in `[0, 1)` with 24 bits.
    pub fn uniform(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// Uniform over `0..n`; `n` at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        ((u64::from(self.next_u32()) * n as u64) >> 32) as usize
    }

    /// Standard normal (Box-Muller).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * portable::ln(1.0 - self.uniform())).sqrt();
        radius * portable::cos(std::f32::consts::TAU * self.uniform())
    }

    /// Shuffles in place (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_differ_and_repeat() {
        let root = Rng::new(7);
        let words = |mut r: Rng| [r.next_u32(), r.next_u32(), r.next_u32()];
        assert_eq!(words(root.fork(1)), words(root.fork(1)));
        assert_ne!(words(root.fork(1)), words(root.fork(2)));
        assert_ne!(words(Rng::new(0)), words(Rng::new(1)));
    }

    #[test]
    fn moments_are_right() {
        let mut rng = Rng::new(3);
        let n = 100_000;
        let normals: Vec<f64> = (0..n).map(|_| f64::from(rng.normal())).collect();
        let mean = normals.iter().sum::<f64>() / n as f64;
        let var = normals.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(mean.abs() < 0.01 && (var - 1.0).abs() < 0.02, "mean {mean} variance {var}");
        let flat: f64 = (0..n).map(|_| f64::from(rng.uniform())).sum::<f64>() / n as f64;
        assert!((flat - 0.5).abs() < 0.005, "mean {flat}");
    }
}
