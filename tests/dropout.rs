//! What dropout promises beyond its reference: rates, repeatability, independence of layers and steps, and the same
//! mask in the gradient. On the CPU; the reference test holds the GPU to the same bits.

use mexhat::rng::Rng;
use mexhat::tape::{Array, SCALARS, State, Tape, Values, interpret};
use mexhat::{Result, ops};

const SHAPE: [usize; 4] = [4, 10, 8, 8];

/// Results and gradients for ones of some layers on one tape, after `step` steps of the stream of `seed`.
fn layers(step: u32, seed: u64, p: f32, layers: usize) -> Result<Vec<[Array; 2]>> {
    let mut tape = Tape::new();
    let leaf = tape.leaf("ones", &SHAPE);
    let x = ops::to_vec4(&mut tape, leaf)?;
    let ty = tape.ty(x).clone();
    let ones = ops::constant(&mut tape, ty, 1.0)?;
    let mut pairs = Vec::new();
    for _ in 0..layers {
        let y = ops::dropout(&mut tape, x, p)?;
        let gradients = tape.backward_from(&[(y, ones)])?;
        pairs.push([y, gradients.get(leaf).expect("a gradient")]);
    }
    let mut values = Values::default();
    values.set(leaf, Array::zeros(&SHAPE).map(|_| 1.0));
    let word = Rng::new(seed).next_u32();
    let scalars = tape.scalars();
    let halves = [word & 0xffff, word >> 16].map(f64::from);
    let mut data = vec![0.0; SCALARS];
    data[..6].copy_from_slice(&[0.1, f64::from(step), 0.0, 0.0, halves[0], halves[1]]);
    values.set(scalars, Array { shape: vec![SCALARS], data });
    interpret(&tape, &State::new(), &mut values);
    Ok(pairs.iter().map(|pair| pair.map(|var| values.get(&tape, var))).collect())
}

/// Fraction of elements where `f` holds.
fn rate(a: &Array, b: &Array, f: impl Fn(bool, bool) -> bool) -> f64 {
    let hits = a.data.iter().zip(&b.data).filter(|(a, b)| f(**a > 0.0, **b > 0.0)).count();
    hits as f64 / a.data.len() as f64
}

#[test]
fn keeps_its_rate_and_its_mean() -> Result<()> {
    for p in [0.1f32, 0.25, 0.5, 0.9] {
        for [y, gradient] in layers(1, 7, p, 2)? {
            let kept = rate(&y, &y, |a, _| a);
            assert!((kept - f64::from(1.0 - p)).abs() < 0.03, "p = {p}: kept {kept}");
            assert!(y.data.iter().all(|v| *v == 0.0 || (v - 1.0 / (1.0 - f64::from(p))).abs() < 1e-5));
            assert_eq!(y, gradient, "the gradient of ones is the mask");
        }
    }
    Ok(())
}

#[test]
fn repeats_by_seed_and_differs_by_step_layer_and_seed() -> Result<()> {
    let first = layers(1, 7, 0.25, 2)?;
    assert_eq!(first, layers(1, 7, 0.25, 2)?);
    let others = [&first[1][0], &layers(2, 7, 0.25, 1)?[0][0], &layers(1, 8, 0.25, 1)?[0][0]];
    for other in others {
        let both = rate(&first[0][0], other, |a, b| a && b);
        assert!((both - 0.75 * 0.75).abs() < 0.04, "not independent: kept in both {both}");
    }
    Ok(())
}

#[test]
fn refuses_what_is_no_probability() {
    for p in [-0.1, 1.0, 1.5, f32::NAN] {
        let mut tape = Tape::new();
        let leaf = tape.leaf("x", &SHAPE);
        let x = ops::to_vec4(&mut tape, leaf).expect("a map");
        let error = ops::dropout(&mut tape, x, p).expect_err("refused").to_string();
        assert!(error.contains("at least 0 and below 1"), "{error}");
    }
}
