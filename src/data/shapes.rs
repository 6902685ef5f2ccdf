//! A generated set for segmentation: shapes on textures, so that nothing needs to be downloaded.
//!
//! One to three discs, squares, triangles and crosses of any size and turn lie on a ground. Each has a colour of its
//! own, and shapes have a grating that the ground hardly has: so a look nearby tells whether there is a shape, and only
//! its outline which. Pixels that an outline crosses have no class, as the borders in public sets.
//!
//! A sample depends on (seed, index) alone; the largest shape is of class `1 + index % 4`, so that every prefix is
//! balanced.

use super::dataset::IGNORED;
use super::{Augment, Dataset, LoadOptions, Normalize, Splits, threads};
use crate::rng::Rng;

/// Height and width of an image.
pub const SIDE: usize = 64;
/// Training images of [`splits`] without a limit.
pub const TRAIN: usize = 2_000;
/// Test images of [`splits`] without a limit.
pub const TEST: usize = 500;
/// Most images of a split.
pub const MAX: usize = 100_000;
/// What the values of masks are called.
pub const CLASSES: [&str; 5] = ["ground", "disc", "square", "triangle", "cross"];
/// First index of the test split; no training index comes near.
const TEST_START: u64 = 1 << 40;
/// Pixels this near to an outline have no class.
const BORDER: f32 = 0.7;

/// What an area looks like.
struct Texture {
    colour: [f32; 3],
    /// Of the grating: steps across and down, phase, height.
    grating: [f32; 4],
}

/// Heights of the gratings of the ground and of shapes.
const HEIGHTS: [[f32; 2]; 2] = [[0.0, 0.03], [0.14, 0.25]];

impl Texture {
    fn random([low, high]: [f32; 2], rng: &mut Rng) -> Self {
        let colour = [0; 3].map(|_| rng.range(0.15, 0.85));
        let (turn, step) = (rng.range(0.0, std::f32::consts::PI), rng.range(0.6, 1.6));
        Self { colour, grating: [step * turn.cos(), step * turn.sin(), rng.range(0.0, 6.3), rng.range(low, high)] }
    }

    fn at(&self, x: f32, y: f32) -> [f32; 3] {
        let [across, down, phase, height] = self.grating;
        let wave = height * (across * x + down * y + phase).sin();
        self.colour.map(|value| value + wave)
    }
}

struct Shape {
    class: u8,
    middle: [f32; 2],
    /// About the radius.
    size: f32,
    turn: f32,
    texture: Texture,
}

impl Shape {
    fn random(class: u8, sizes: [f32; 2], rng: &mut Rng) -> Self {
        let size = rng.range(sizes[0], sizes[1]) * SIDE as f32;
        let middle = [0; 2].map(|_| rng.range(0.15, 0.85) * SIDE as f32);
        Self { class, middle, size, turn: rng.range(0.0, 6.3), texture: Texture::random(HEIGHTS[1], rng) }
    }

    /// How far outside the outline a point is; inside it is negative.
    fn distance(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.middle[0], y - self.middle[1]);
        let (sin, cos) = self.turn.sin_cos();
        let (u, v) = (cos * dx + sin * dy, cos * dy - sin * dx);
        let square = |u: f32, v: f32, half: [f32; 2]| (u.abs() - half[0]).max(v.abs() - half[1]);
        match self.class {
            1 => (u * u + v * v).sqrt() - self.size,
            2 => square(u, v, [0.85 * self.size; 2]),
            // Three sides at 120 degrees around the middle.
            3 => v.max(0.866 * u - 0.5 * v).max(-0.866 * u - 0.5 * v) - 0.6 * self.size,
            _ => square(u, v, [self.size, 0.36 * self.size]).min(square(u, v, [0.36 * self.size, self.size])),
        }
    }
}

/// Sample `index` of the data set `seed`: the colours (3, H, W) and the class of each pixel (H, W).
pub fn render(seed: u64, index: u64) -> (Vec<u8>, Vec<u8>) {
    let mut rng = Rng::new(seed).fork(index);
    let ground = Texture::random(HEIGHTS[0], &mut rng);
    let mut shapes = vec![Shape::random(1 + (index % 4) as u8, [0.26, 0.4], &mut rng)];
    for _ in 0..rng.below(3) {
        let class = 1 + rng.below(4) as u8;
        shapes.push(Shape::random(class, [0.12, 0.24], &mut rng));
    }
    let area = SIDE * SIDE;
    let (mut image, mut mask) = (vec![0u8; 3 * area], vec![0u8; area]);
    for (i, label) in mask.iter_mut().enumerate() {
        let (x, y) = ((i % SIDE) as f32 + 0.5, (i / SIDE) as f32 + 0.5);
        let mut colour = ground.at(x, y);
        let mut crossed = false;
        // The smaller ones lie above.
        for shape in &shapes {
            let outside = shape.distance(x, y);
            let cover = (0.5 - outside).clamp(0.0, 1.0);
            let above = shape.texture.at(x, y);
            (0..3).for_each(|c| colour[c] += cover * (above[c] - colour[c]));
            if outside < -BORDER {
                (*label, crossed) = (shape.class, false);
            } else {
                crossed |= outside < BORDER;
            }
        }
        if crossed {
            *label = IGNORED;
        }
        for (c, value) in colour.into_iter().enumerate() {
            image[c * area + i] = ((value + 0.04 * rng.normal()).clamp(0.0, 1.0) * 255.0).round() as u8;
        }
    }
    (image, mask)
}

/// `n` samples from index `start` on.
pub fn dataset(seed: u64, start: u64, n: usize) -> Dataset {
    let parts =
        threads::split(n, |range| range.map(|i| render(seed, start + i as u64)).unzip::<_, _, Vec<_>, Vec<_>>());
    let (images, masks): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    Dataset {
        name: "shapes".into(),
        class_names: CLASSES.map(String::from).to_vec(),
        shape: [3, SIDE, SIDE],
        images: images.into_iter().flatten().flatten().collect::<Vec<u8>>().into(),
        labels: vec![0; n],
        masks: masks.into_iter().flatten().flatten().collect(),
    }
}

/// Both splits: [`TRAIN`] and [`TEST`] images, or as many as the limits say, also more, up to [`MAX`].
pub fn splits(options: &LoadOptions) -> Splits {
    let train = dataset(options.seed, 0, options.limit_train.unwrap_or(TRAIN).min(MAX));
    let test = dataset(options.seed, TEST_START, options.limit_test.unwrap_or(TEST).min(MAX));
    let normalize = Normalize::of(&train);
    let mut splits = Splits::new(train, test, normalize, Augment::NONE);
    splits.report.source = format!("shapes, drawn on textures from seed {}", options.seed);
    splits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_depends_on_seed_and_index_only_and_shows_its_class() {
        let all = dataset(3, 0, 24);
        for i in 0..all.len() {
            assert_eq!((all.image(i), all.mask(i)), (&render(3, i as u64).0[..], &render(3, i as u64).1[..]));
            let count = |class: u8| all.mask(i).iter().filter(|&&value| value == class).count();
            assert!(count(1 + (i % 4) as u8) > 60, "image {i}: {}", count(1 + (i % 4) as u8));
            assert!(count(0) > 400 && (20..1500).contains(&count(IGNORED)), "{} {}", count(0), count(IGNORED));
        }
        assert_ne!(render(3, 5).1, render(4, 5).1);
    }
}
