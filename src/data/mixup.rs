//! Mixup (Zhang et al. 2018): images are averaged in pairs, and so are their losses.

use super::batch::Batch;
use crate::portable;
use crate::rng::Rng;

/// The share of the first image of each pair of a batch, 1/2 to 1: the larger part of a draw from Beta(alpha, alpha).
/// That the larger part is the first image's changes nothing, as pairs are drawn evenly, and lets the first class stand
/// for the image where one is counted.
pub(super) fn share(alpha: f32, rng: &mut Rng) -> f32 {
    let [a, b] = [gamma(alpha, rng), gamma(alpha, rng)];
    // Both vanish for a tiny alpha, which hardly mixes.
    let share = if a + b > 0.0 { a / (a + b) } else { 1.0 };
    share.max(1.0 - share)
}

/// A draw from Gamma(alpha, 1) (Marsaglia & Tsang 2000).
fn gamma(alpha: f32, rng: &mut Rng) -> f32 {
    if alpha < 1.0 {
        let power = portable::exp(portable::ln(1.0 - rng.uniform()) / alpha);
        return power * gamma(alpha + 1.0, rng);
    }
    let d = alpha - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = rng.normal();
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && portable::ln(1.0 - rng.uniform()) < 0.5 * x * x + d - d * v + d * portable::ln(v) {
            return d * v;
        }
    }
}

/// Averages each image with another of the batch, of which it keeps `share`, and says so in [`Batch::mixed`].
pub(super) fn mix(batch: &mut Batch, share: f32, rng: &mut Rng) {
    let (count, pixels) = (batch.len, batch.images.len() / batch.len.max(1));
    let mut others: Vec<usize> = (0..count).collect();
    rng.shuffle(&mut others);
    let images = batch.images.clone();
    for ((i, to), other) in batch.images.chunks_exact_mut(pixels.max(1)).enumerate().zip(&others) {
        let other_pixels = &images[other * pixels..][..pixels];
        to.iter_mut().zip(other_pixels).for_each(|(to, v)| *to = share * *to + (1.0 - share) * v);
        batch.mixed.extend([batch.labels[i], batch.labels[*other], share.to_bits()]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Dataset, Loader, LoaderOptions, Normalize};
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    #[test]
    fn shares_are_of_a_batch_and_the_same_from_wherever_the_epoch_is_entered() {
        let images = (0..25 * 6).map(|i| i as u8).collect();
        let data = Dataset::new("numbered", 25, [1, 2, 3], images, (0..25).collect()).expect("a data set");
        let options = LoaderOptions { batch_size: 4, seed: 5, mixup: Some(0.4), ..Default::default() };
        let normalize = Normalize { mean: vec![0.0], std: vec![1.0] };
        let loader = Loader::new(Arc::new(data), normalize, None, options).expect("a loader");
        let whole: Vec<Batch> = loader.epoch(1, 0).collect();
        for start in [1, 3, 6] {
            assert_eq!(loader.epoch(1, start).collect::<Vec<_>>(), whole[start..], "from batch {start}");
        }
        let shares: BTreeSet<u32> = whole.iter().map(|batch| batch.mixed[2]).collect();
        assert!(shares.len() > 5 && whole.iter().all(|batch| batch.mixed.len() == 3 * batch.len), "{shares:?}");
    }

    #[test]
    fn shares_are_those_of_the_distribution() {
        // The larger part of Beta(a, a) has the second moment about 1/2 of the whole: 1 / (4 (2 a + 1)).
        for alpha in [0.05, 0.2, 1.0, 4.0] {
            let mut rng = Rng::new(7);
            let draws: Vec<f64> = (0..20_000).map(|_| f64::from(share(alpha, &mut rng))).collect();
            assert!(draws.iter().all(|share| (0.5..=1.0).contains(share)));
            let moment = draws.iter().map(|share| (share - 0.5).powi(2)).sum::<f64>() / draws.len() as f64;
            let expected = 0.25 / (2.0 * f64::from(alpha) + 1.0);
            assert!((moment / expected - 1.0).abs() < 0.03, "{alpha}: {moment}, expected {expected}");
        }
    }

    #[test]
    fn pixels_and_classes_are_mixed_alike() {
        let images = (0..5).flat_map(|i| [i as f32, 10.0 * i as f32]).collect();
        let mut batch = Batch { images, labels: (0..5).collect(), len: 5, ..Batch::default() };
        mix(&mut batch, 0.75, &mut Rng::new(1));
        for (pixels, labels) in batch.images.chunks_exact(2).zip(batch.mixed.chunks_exact(3)) {
            let mean = 0.75 * labels[0] as f32 + 0.25 * labels[1] as f32;
            assert!((pixels[0] - mean).abs() < 1e-6 && (pixels[1] - 10.0 * mean).abs() < 1e-5, "{pixels:?} {labels:?}");
            assert_eq!(labels[2], 0.75f32.to_bits());
        }
        assert_eq!(batch.labels, [0, 1, 2, 3, 4]);
        let mut others: Vec<u32> = batch.mixed.chunks_exact(3).map(|labels| labels[1]).collect();
        others.sort_unstable();
        assert_eq!(others, [0, 1, 2, 3, 4]);
    }
}
