//! Five iterations of large matrices on the GPU, which takes them from six fitted products, against the coupled steps in f64.

use mexhat::Result;
use mexhat::gpu::Gpu;
use mexhat::ops;
use mexhat::rng::Rng;
use mexhat::tape::{Array, Session, State, Tape, Type, Values, Var, interpret};
use std::collections::HashMap;

const D: usize = 288;
const ITERATIONS: usize = 5;

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
fn record(tape: &mut Tape, coupled: bool) -> Result<([Var; 2], [Var; 2])> {
    let ty = Type::vec4(&[1, D, D]);
    let (a, g) = (tape.resident("a", ty.clone(), true), tape.resident("g", ty, false));
    let root = match coupled {
        true => ops::newton_schulz_all(tape, a, ITERATIONS)?.deconv,
        false => ops::newton_schulz(tape, a, ITERATIONS)?,
    };
    let gradient = tape.backward_from(&[(root, g)])?.get(a).expect("a gradient");
    for var in [root, gradient] {
        tape.output(var);
    }
    Ok(([a, g], [root, gradient]))
}

fn on_gpu(gpu: &Gpu, coupled: bool, given: &[Vec<f32>; 2]) -> Result<[Vec<f64>; 2]> {
    let mut tape = Tape::new();
    let (inputs, _) = record(&mut tape, coupled)?;
    let state = State::new();
    let mut session = Session::new(gpu, &state)?;
    let mut compiled = session.compile(&[&tape])?;
    let values = inputs.into_iter().zip(given.clone()).collect::<HashMap<_, _>>();
    let found = pollster::block_on(compiled[0].run(&values))?;
    Ok([0, 1].map(|i| found[i].iter().map(|v| f64::from(*v)).collect()))
}

fn coupled_in_f64(given: &[Vec<f32>; 2]) -> Result<[Vec<f64>; 2]> {
    let mut tape = Tape::new();
    let (inputs, outputs) = record(&mut tape, true)?;
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
        let expected = coupled_in_f64(&given)?;
        let [fitted, coupled] = [on_gpu(&gpu, false, &given)?, on_gpu(&gpu, true, &given)?];
        for (i, what) in ["D", "gradient"].into_iter().enumerate() {
            let [fitted, coupled] = [&fitted, &coupled].map(|found| error(&found[i], &expected[i]));
            println!("{rows} rows, {what}: error {fitted:.1e}, coupled {coupled:.1e}");
            assert!(fitted < 3e-6, "{rows} rows, {what}: {fitted:.1e}, and {coupled:.1e} of the coupled steps");
        }
    }
    Ok(())
}
