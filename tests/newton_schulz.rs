//! Three to five iterations of large matrices on the GPU, which takes them from fewer, fitted products, against the
//! coupled steps in f64; and how near to the inverse root iterations come that converge.

use mexhat::Result;
use mexhat::gpu::Gpu;
use mexhat::ops;
use mexhat::rng::Rng;
use mexhat::tape::{Array, Session, State, Tape, Type, Values, Var, interpret};
use std::collections::HashMap;

const D: usize = 288;

/// The covariance of `rows` rows of positive noise, as after a ReLU, with 1e-5 on its diagonal, rounded to f32.
fn covariance(rows: usize, rng: &mut Rng) -> Vec<f32> {
    let x: Vec<f64> = (0..rows * D).map(|_| f64::from(rng.normal().max(0.0))).collect();
    let mean: Vec<f64> = (0..D).map(|j| (0..rows).map(|i| x[i * D + j]).sum::<f64>() / rows as f64).collect();
    let entry = |j: usize, k: usize| {
        let sum: f64 = (0..rows).map(|i| (x[i * D + j] - mean[j]) * (x[i * D + k] - mean[k])).sum();
        (sum / rows as f64 + if j == k { 1e-5 } else { 0.0 }) as f32
    };
    (0..D * D).map(|at| entry(at / D, at % D)).collect()
}

/// Records D and the gradient of A from one of D; `[A, gradient of D]` and `[D, gradient of A]`.
fn record(tape: &mut Tape, iterations: usize, coupled: bool) -> Result<([Var; 2], [Var; 2])> {
    let ty = Type::vec4(&[1, D, D]);
    let (a, g) = (tape.resident("a", ty.clone(), true), tape.resident("g", ty, false));
    let root = match coupled {
        true => ops::newton_schulz_all(tape, a, iterations)?.deconv,
        false => ops::newton_schulz(tape, a, iterations)?,
    };
    let gradient = tape.backward_from(&[(root, g)])?.get(a).expect("a gradient");
    for var in [root, gradient] {
        tape.output(var);
    }
    Ok(([a, g], [root, gradient]))
}

fn on_gpu(gpu: &Gpu, iterations: usize, coupled: bool, given: &[Vec<f32>; 2]) -> Result<[Vec<f64>; 2]> {
    let mut tape = Tape::new();
    let (inputs, _) = record(&mut tape, iterations, coupled)?;
    let state = State::new();
    let mut session = Session::new(gpu, &state)?;
    let mut compiled = session.compile(&[&tape])?;
    let values = inputs.into_iter().zip(given.clone()).collect::<HashMap<_, _>>();
    let found = pollster::block_on(compiled[0].run(&values))?;
    Ok([0, 1].map(|i| found[i].iter().map(|v| f64::from(*v)).collect()))
}

fn coupled_in_f64(iterations: usize, given: &[Vec<f32>; 2]) -> Result<[Vec<f64>; 2]> {
    let mut tape = Tape::new();
    let (inputs, outputs) = record(&mut tape, iterations, true)?;
    let mut values = Values::default();
    for (var, value) in inputs.into_iter().zip(given) {
        values.set(var, Array::from_f32(&[1, D, D], value));
    }
    interpret(&tape, &State::new(), &mut values);
    Ok(outputs.map(|var| values.get(&tape, var).data))
}

/// Of the Frobenius norms.
fn error(found: &[f64], expected: &[f64]) -> f64 {
    let difference: f64 = found.iter().zip(expected).map(|(f, e)| (f - e).powi(2)).sum();
    (difference / expected.iter().map(|e| e * e).sum::<f64>()).sqrt()
}

#[test]
fn fitted_steps_are_as_accurate_as_coupled_ones() -> Result<()> {
    let gpu = Gpu::open_by(|name| std::env::var(name).ok())?;
    let mut rng = Rng::new(1);
    // The covariance of few rows is singular, so that small eigenvalues are amplified most.
    for rows in [1000, 60, 10] {
        let direction = (0..D * D).map(|_| rng.normal()).collect();
        let given = [covariance(rows, &mut rng), direction];
        for iterations in [5, 4, 3] {
            let expected = coupled_in_f64(iterations, &given)?;
            let [fitted, coupled] = [false, true].map(|coupled| on_gpu(&gpu, iterations, coupled, &given));
            let [fitted, coupled] = [fitted?, coupled?];
            for (i, what) in ["D", "gradient"].into_iter().enumerate() {
                let [fitted, coupled] = [&fitted, &coupled].map(|found| error(&found[i], &expected[i]));
                let case = format!("{iterations} iterations, {rows} rows, {what}");
                println!("{case}: error {fitted:.1e}, coupled {coupled:.1e}");
                assert!(fitted < 3e-6, "{case}: {fitted:.1e}, and {coupled:.1e} of the coupled steps");
            }
        }
    }
    Ok(())
}

/// `||D A D - I||_F / sqrt(d)` in f64: what is left to whiten of the whole, 0 to about 1.
fn left(d: &[f32], a: &[f32]) -> f64 {
    let times = |x: &[f64], y: &[f32]| -> Vec<f64> {
        let mut product = vec![0.0; D * D];
        for (row, to) in x.chunks(D).zip(product.chunks_mut(D)) {
            for (factor, from) in row.iter().zip(y.chunks(D)) {
                to.iter_mut().zip(from).for_each(|(to, v)| *to += factor * f64::from(*v));
            }
        }
        product
    };
    let whole: Vec<f64> = d.iter().map(|v| f64::from(*v)).collect();
    let white = times(&times(&whole, a), d);
    let off = |(i, v): (usize, &f64)| (v - f64::from(u8::from(i / D == i % D))).powi(2);
    (white.iter().enumerate().map(off).sum::<f64>() / D as f64).sqrt()
}

#[test]
fn converging_steps_whiten_what_few_iterations_leave() -> Result<()> {
    let gpu = Gpu::open_by(|name| std::env::var(name).ok())?;
    let mut rng = Rng::new(2);
    for (rows, eps, most) in [(3000, 1e-5, 1e-3), (60, 1e-2, 1e-3), (60, 1e-3, 1e-2), (60, 1e-5, 0.2)] {
        let mut a = covariance(rows, &mut rng);
        (0..D).for_each(|i| a[i * D + i] += eps - 1e-5);
        let mut tape = Tape::new();
        let matrix = tape.resident("a", Type::vec4(&[1, D, D]), false);
        let converged = ops::newton_schulz_converged(&mut tape, matrix, eps / D as f32)?;
        let few = [5, 15].map(|iterations| ops::newton_schulz(&mut tape, matrix, iterations));
        let [five, fifteen] = few;
        for var in [converged, five?, fifteen?] {
            tape.output(var);
        }
        let state = State::new();
        let mut session = Session::new(&gpu, &state)?;
        let mut compiled = session.compile(&[&tape])?;
        let found = pollster::block_on(compiled[0].run(&[(matrix, a.clone())].into()))?;
        let [converged, five, fifteen] = [0, 1, 2].map(|i| left(&found[i], &a));
        println!("{rows} rows, eps {eps:e}: left {converged:.1e}, of 5 iterations {five:.2}, of 15 {fifteen:.1e}");
        assert!(
            converged < f64::min(most, 0.2 * five),
            "{rows} rows, eps {eps}: {converged:.1e}, of 5 iterations {five:.2}"
        );
    }
    Ok(())
}
