//! Pooling and batch norm on the GPU against their CPU references where the reference vectors are silent: fused relu,
//! windows with their own kernel variants on odd maps, gradients of frozen statistics.

use mexhat::Result;
use mexhat::gpu::Gpu;
use mexhat::ops::{self, NormOptions};
use mexhat::tape::{Array, Session, State, Tape, Values, Var, interpret};
use std::collections::HashMap;

/// Values with 24 bits at most, so that both sides start from the same numbers.
fn noise(shape: &[usize], seed: u32) -> Array {
    let value = |i: usize| {
        let mut word = (i as u32).wrapping_mul(0x9e37_79b9) ^ seed.wrapping_mul(0x85eb_ca6b);
        word = (word ^ (word >> 15)).wrapping_mul(0x2c1b_3c6d);
        word = (word ^ (word >> 12)).wrapping_mul(0x297a_2d39);
        f64::from((word ^ (word >> 15)) >> 12) / f64::from(1 << 19) - 1.0
    };
    Array { shape: shape.to_vec(), data: (0..shape.iter().product()).map(value).collect() }
}

/// A tape under test with the values of its inputs.
#[derive(Default)]
struct Case {
    tape: Tape,
    values: HashMap<Var, Array>,
    outputs: Vec<Var>,
}

impl Case {
    fn leaf(&mut self, value: Array) -> Var {
        let var = self.tape.leaf("leaf", &value.shape);
        self.values.insert(var, value);
        var
    }

    fn activation(&mut self, value: Array) -> Result<(Var, Var)> {
        let leaf = self.leaf(value);
        Ok((leaf, ops::to_vec4(&mut self.tape, leaf)?))
    }

    /// Outputs `y` and the gradients of `sum(y noise)`.
    fn pull(&mut self, y: Var, of: &[Var]) -> Result<()> {
        let seed = noise(self.tape.shape(y), 99);
        let (_, gy) = self.activation(seed)?;
        let gradients = self.tape.backward_from(&[(y, gy)])?;
        self.outputs.push(y);
        self.outputs.extend(of.iter().map(|var| gradients.get(*var).expect("a gradient")));
        Ok(())
    }

    /// Runs both engines; the largest difference of each output, relative to its largest value.
    fn differences(mut self, gpu: &Gpu) -> Result<Vec<f64>> {
        for var in &self.outputs {
            self.tape.output(*var);
        }
        let state = State::new();
        let mut session = Session::new(gpu, &state)?;
        let mut compiled = session.compile(&[&self.tape])?;
        let inputs = self.values.iter().map(|(var, a)| (*var, a.data.iter().map(|v| *v as f32).collect())).collect();
        let found = pollster::block_on(compiled[0].run(&inputs))?;
        let mut values = Values::default();
        for (var, value) in &self.values {
            values.set(*var, value.clone());
        }
        interpret(&self.tape, &state, &mut values);
        let difference = |var: &Var, found: &Vec<f32>| {
            let expected = values.get(&self.tape, *var).data;
            assert_eq!(expected.len(), found.len());
            let scale = expected.iter().fold(1e-6, |most: f64, v| most.max(v.abs()));
            expected.iter().zip(found).fold(0.0, |most: f64, (a, b)| most.max((a - f64::from(*b)).abs() / scale))
        };
        Ok(self.outputs.iter().zip(&found).map(|(var, found)| difference(var, found)).collect())
    }
}

const SHAPES: [[usize; 4]; 5] = [[2, 3, 5, 7], [1, 1, 4, 3], [3, 4, 6, 6], [2, 9, 8, 3], [1, 6, 17, 13]];

fn gpu() -> Gpu {
    Gpu::open_by(|name| std::env::var(name).ok()).expect("a GPU adapter")
}

#[test]
fn every_window_of_maximum_pooling_agrees_with_its_reference() -> Result<()> {
    let gpu = gpu();
    for (i, shape) in SHAPES.iter().enumerate() {
        for (kernel, stride, padding) in [(2, 2, 0), (2, 2, 1), (3, 2, 0), (3, 2, 1), (2, 1, 0), (3, 3, 1), (2, 3, 0)] {
            let mut case = Case::default();
            // Few different values, so that ties are common.
            let coarse = noise(shape, i as u32).map(|v| (v * 3.0).round());
            let (leaf, x) = case.activation(coarse)?;
            let y = ops::max_pool2d(&mut case.tape, x, kernel, stride, padding)?;
            case.pull(y, &[leaf])?;
            let found = case.differences(&gpu)?;
            assert!(found.iter().all(|d| *d < 1e-6), "{shape:?}, {kernel}, {stride}, {padding}: {found:?}");
        }
    }
    Ok(())
}

fn norm_case(shape: &[usize], relu: bool, frozen: bool) -> Result<Case> {
    let mut case = Case::default();
    let c = shape[1];
    // A mean far from 0 against the spread, where uncentred squares would lose half of the digits.
    let (leaf, x) = case.activation(noise(shape, 1).map(|v| (v + 30.0) as f32 as f64))?;
    let (w, b) = (case.leaf(noise(&[c], 2)), case.leaf(noise(&[c], 3)));
    let options = NormOptions { relu, ..NormOptions::default() };
    let y = if frozen {
        let mean = case.leaf(noise(&[c], 4).map(|v| (v + 30.0) as f32 as f64));
        let variance = case.leaf(noise(&[c], 5).map(|v| (v + 1.5) as f32 as f64));
        ops::batch_norm_eval(&mut case.tape, x, w, b, [mean, variance], options)?
    } else {
        ops::batch_norm(&mut case.tape, x, w, b, options)?.y
    };
    case.pull(y, &[leaf, w, b])?;
    Ok(case)
}

#[test]
fn batch_norm_agrees_with_its_reference() -> Result<()> {
    let gpu = gpu();
    for shape in SHAPES.iter().map(|shape| shape.to_vec()).chain([vec![33, 5], vec![700, 2]]) {
        for (relu, frozen) in [(false, false), (true, false), (false, true), (true, true)] {
            let found = norm_case(&shape, relu, frozen)?.differences(&gpu)?;
            assert!(found.iter().all(|d| *d < 3e-5), "{shape:?}, relu {relu}, frozen {frozen}: {found:?}");
        }
    }
    Ok(())
}

#[test]
fn a_fused_relu_changes_nothing() -> Result<()> {
    let mut results = Vec::new();
    for fused in [false, true] {
        let mut case = Case::default();
        let (leaf, x) = case.activation(noise(&[3, 5, 4, 3], 1))?;
        let (w, b) = (case.leaf(noise(&[5], 2)), case.leaf(noise(&[5], 3)));
        let options = NormOptions { relu: fused, ..NormOptions::default() };
        let mut y = ops::batch_norm(&mut case.tape, x, w, b, options)?.y;
        if !fused {
            y = ops::relu(&mut case.tape, y)?;
        }
        case.pull(y, &[leaf, w, b])?;
        let mut values = Values::default();
        for (var, value) in &case.values {
            values.set(*var, value.clone());
        }
        interpret(&case.tape, &State::new(), &mut values);
        results.push(case.outputs.iter().flat_map(|var| values.get(&case.tape, *var).data).collect::<Vec<_>>());
    }
    assert_eq!(results[0].len(), results[1].len());
    assert!(results[0].iter().zip(&results[1]).all(|(a, b)| (a - b).abs() < 1e-12));
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused_with_both_shapes() -> Result<()> {
    let mut case = Case::default();
    let (_, x) = case.activation(noise(&[2, 3, 5, 5], 1))?;
    let (w, long) = (case.leaf(noise(&[3], 2)), case.leaf(noise(&[4], 3)));
    let refused = |result: Result<Var>| result.expect_err("refused").to_string();
    let tape = &mut case.tape;
    assert!(refused(ops::max_pool2d(tape, x, 6, 1, 0)).contains("6x6 window"));
    assert!(refused(ops::max_pool2d(tape, x, 2, 0, 0)).contains("stride 0"));
    assert!(refused(ops::avg_pool2d(tape, x, 3, 1, 2)).contains("padding 2"));
    assert!(refused(ops::adaptive_avg_pool2d(tape, x, [0, 1])).contains("1x1"));
    assert!(refused(ops::interpolate(tape, x, [0, 1])).contains("0x1"));
    let norm = ops::batch_norm(tape, x, w, long, NormOptions::default()).map(|norm| norm.y);
    assert!(refused(norm).contains("bias [3]"));
    let norm = ops::batch_norm(tape, x, w, w, NormOptions { eps: 0.0, ..Default::default() }).map(|norm| norm.y);
    assert!(refused(norm).contains("eps"));
    Ok(())
}
