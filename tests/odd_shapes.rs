//! Operations on the GPU against their CPU twins, forward and gradient, at shapes that fill no vector of four.

use mexhat::gpu::Gpu;
use mexhat::rng::Rng;
use mexhat::tape::{Array, DType, Session, State, Tape, Values, Var, interpret};
use mexhat::{Result, ops};
use std::collections::HashMap;

/// One operation being checked: inputs with their values, outputs to compare.
struct Case {
    tape: Tape,
    rng: Rng,
    values: HashMap<Var, Vec<f32>>,
    outputs: Vec<Var>,
    leaves: Vec<Var>,
}

impl Case {
    fn new() -> Self {
        let (tape, rng) = (Tape::new(), Rng::new(11));
        Self { tape, rng, values: HashMap::new(), outputs: Vec::new(), leaves: Vec::new() }
    }

    fn plain(&mut self, shape: &[usize]) -> Var {
        let var = self.tape.leaf("x", shape);
        let len = shape.iter().product();
        self.values.insert(var, (0..len).map(|_| self.rng.normal()).collect());
        self.leaves.push(var);
        var
    }

    fn activation(&mut self, shape: &[usize]) -> Result<Var> {
        let leaf = self.plain(shape);
        ops::to_vec4(&mut self.tape, leaf)
    }

    fn labels(&mut self, shape: &[usize], below: usize) -> Var {
        let var = self.tape.input("labels", shape, DType::U32);
        let len = shape.iter().product();
        self.values.insert(var, (0..len).map(|_| self.rng.below(below) as f32).collect());
        var
    }

    /// Compares `y` and the gradients of `sum(y seed)` with random seeds.
    fn check(mut self, name: &str, y: Var) -> Result<()> {
        self.outputs.push(y);
        if self.tape.needs_grad(y) {
            let leaves = self.leaves.clone();
            let shape = self.tape.shape(y).to_vec();
            let seed = self.plain(&shape);
            let layout = self.tape.ty(y).layout;
            let seed = if layout == mexhat::tape::Layout::Vec4 { ops::to_vec4(&mut self.tape, seed)? } else { seed };
            let gradients = self.tape.backward_from(&[(y, seed)])?;
            self.outputs.extend(leaves.iter().filter_map(|leaf| gradients.get(*leaf)));
        }
        for var in &self.outputs {
            self.tape.output(*var);
        }
        let (gpu, state) = (Gpu::open_blocking(None)?, State::new());
        let mut session = Session::new(&gpu, &state)?;
        let found = pollster::block_on(session.compile(&[&self.tape])?[0].run(&self.values))?;
        let mut values = Values::default();
        for (var, value) in &self.values {
            values.set(*var, Array::from_f32(self.tape.shape(*var), value));
        }
        interpret(&self.tape, &state, &mut values);
        for (i, (var, found)) in self.outputs.iter().zip(found).enumerate() {
            let expected = values.get(&self.tape, *var).data;
            let scale = expected.iter().fold(1e-3, |a: f64, b| a.max(b.abs()));
            let worst = expected.iter().zip(&found).map(|(a, b)| (a - f64::from(*b)).abs() / scale);
            let worst = worst.fold(0.0, |a: f64, b| if b.is_nan() { f64::INFINITY } else { a.max(b) });
            assert!(found.len() == expected.len() && worst < 1e-5, "{name}, output {i}: relative error {worst}");
        }
        Ok(())
    }
}

/// Small shapes around vectors of four, single images and single pixels.
const MAPS: [[usize; 4]; 8] =
    [[1, 1, 1, 1], [2, 3, 1, 1], [1, 3, 2, 3], [3, 1, 4, 5], [1, 5, 3, 1], [2, 10, 3, 3], [2, 8, 5, 2], [1, 13, 1, 7]];

#[test]
fn flatten() -> Result<()> {
    for shape in MAPS {
        let mut case = Case::new();
        let x = case.activation(&shape)?;
        let y = ops::flatten(&mut case.tape, x)?;
        assert_eq!(case.tape.shape(y), [shape[0], shape[1] * shape[2] * shape[3]]);
        case.check(&format!("flatten {shape:?}"), y)?;
    }
    Ok(())
}

#[test]
fn cross_entropy() -> Result<()> {
    // The last map has more pixels than one pass of a reduction takes.
    for shape in MAPS.into_iter().chain([[2, 3, 97, 101]]) {
        for ignored in [None, Some(0), Some(255)] {
            let mut case = Case::new();
            let [n, c, h, w] = shape;
            let x = case.activation(&shape)?;
            let labels = case.labels(&[n, h, w], c);
            let found = ops::cross_entropy_hits(&mut case.tape, x, labels, ignored)?;
            case.outputs.extend([found.hits, found.count]);
            case.check(&format!("cross entropy {shape:?} {ignored:?}"), found.loss)?;
        }
    }
    Ok(())
}

#[test]
fn losses_against_targets() -> Result<()> {
    for shape in MAPS.into_iter().chain([[3, 5, 101, 113]]) {
        for (name, loss) in [("mse", ops::mse as fn(&mut Tape, Var, Var) -> _), ("bce", ops::bce_with_logits)] {
            let mut case = Case::new();
            let x = case.activation(&shape)?;
            let target = case.plain(&shape);
            let y = loss(&mut case.tape, x, target)?;
            case.check(&format!("{name} {shape:?}"), y)?;
        }
        let mut case = Case::new();
        let [n, c, h, w] = shape;
        let x = case.activation(&shape)?;
        let labels = case.labels(&[n, h, w], c + 1);
        let y = ops::l2_onehot_labels(&mut case.tape, x, labels)?;
        case.check(&format!("l2 {shape:?}"), y)?;
    }
    Ok(())
}

#[test]
fn softmax() -> Result<()> {
    for shape in MAPS {
        for (name, f) in [("softmax", ops::softmax as fn(&mut Tape, Var) -> _), ("log_softmax", ops::log_softmax)] {
            let mut case = Case::new();
            let x = case.activation(&shape)?;
            let y = f(&mut case.tape, x)?;
            case.check(&format!("{name} {shape:?}"), y)?;
        }
    }
    Ok(())
}

#[test]
fn mul_channels() -> Result<()> {
    for shape in MAPS.into_iter().chain([[2, 6, 33, 17]]) {
        let mut case = Case::new();
        let [n, c, _, _] = shape;
        let a = case.activation(&shape)?;
        let s = case.activation(&[n, c, 1, 1])?;
        let y = ops::mul_channels(&mut case.tape, a, s)?;
        case.check(&format!("mul_channels {shape:?}"), y)?;
    }
    Ok(())
}

#[test]
fn slice() -> Result<()> {
    for shape in MAPS {
        let c = shape[1];
        for start in 0..c {
            for end in start + 1..=c {
                let mut case = Case::new();
                let x = case.activation(&shape)?;
                let y = ops::slice(&mut case.tape, x, start..end)?;
                // A slice of a slice, so that both directions meet the padding of the other.
                let y = ops::slice(&mut case.tape, y, (end - start) / 2..end - start)?;
                case.check(&format!("slice {start}..{end} of {shape:?}"), y)?;
            }
        }
    }
    Ok(())
}

#[test]
fn concat() -> Result<()> {
    for [n, c, h, w] in MAPS {
        for others in [&[1][..], &[4], &[3, 1], &[5, 8, 2]] {
            let mut case = Case::new();
            let mut parts = vec![case.activation(&[n, c, h, w])?];
            for other in others {
                parts.push(case.activation(&[n, *other, h, w])?);
            }
            let y = ops::concat(&mut case.tape, &parts)?;
            // The bias gradient that follows reads the padding.
            let y = ops::relu(&mut case.tape, y)?;
            case.check(&format!("concat {c} and {others:?} at {h}x{w}"), y)?;
        }
    }
    Ok(())
}

#[test]
fn dual_path_merge() -> Result<()> {
    for (x_channels, o_channels, d) in [(1, 1, 1), (3, 5, 3), (5, 3, 2), (8, 12, 4), (10, 3, 1)] {
        let mut case = Case::new();
        let x = case.activation(&[2, x_channels, 3, 1])?;
        let o = case.activation(&[2, o_channels, 3, 1])?;
        let y = ops::dual_path_merge(&mut case.tape, x, o, d)?;
        case.check(&format!("dual path {x_channels} {o_channels} {d}"), y)?;
    }
    Ok(())
}

/// Also that the mask of the gradient is that of the result, by the twin, and that a stream repeats and moves on.
#[test]
fn dropout() -> Result<()> {
    let masks = |step: f32, layers: usize| -> Result<Vec<Vec<f64>>> {
        let mut case = Case::new();
        let ones = case.tape.leaf("ones", &[4, 10, 8, 8]);
        case.values.insert(ones, vec![1.0; 2560]);
        case.leaves.push(ones);
        let x = ops::to_vec4(&mut case.tape, ones)?;
        let scalars = case.tape.scalars();
        case.values.insert(scalars, vec![0.1, step, 0.0, 0.0, 65_535.0, 40_001.0, 0.0, 0.0]);
        let mut seen = Vec::new();
        for _ in 0..layers {
            seen.push(ops::dropout(&mut case.tape, x, 0.25)?);
        }
        let mut values = Values::default();
        for (var, value) in &case.values {
            values.set(*var, Array::from_f32(case.tape.shape(*var), value));
        }
        interpret(&case.tape, &State::new(), &mut values);
        let found = seen.iter().map(|var| values.get(&case.tape, *var).data).collect();
        case.outputs.extend(&seen[1..]);
        case.check("dropout", seen[0])?;
        Ok(found)
    };
    let (one, two) = (masks(1.0, 2)?, masks(2.0, 1)?);
    assert_eq!(one, masks(1.0, 2)?);
    assert_ne!(one[0], one[1], "two layers drop the same");
    assert_ne!(one[0], two[0], "two steps drop the same");
    for mask in one.iter().chain(&two) {
        let kept = mask.iter().filter(|v| **v > 0.0).count() as f64 / mask.len() as f64;
        assert!((kept - 0.75).abs() < 0.03, "kept {kept}");
        assert!((mask.iter().sum::<f64>() / mask.len() as f64 - 1.0).abs() < 0.04);
    }
    let both = one[0].iter().zip(&one[1]).filter(|(a, b)| **a > 0.0 && **b > 0.0).count() as f64 / 2560.0;
    assert!((both - 0.5625).abs() < 0.04, "layers are not independent: {both}");
    for shape in MAPS {
        let mut case = Case::new();
        let x = case.activation(&shape)?;
        let scalars = case.tape.scalars();
        case.values.insert(scalars, vec![0.1, 3.0, 0.0, 0.0, 12_345.0, 54_321.0, 0.0, 0.0]);
        let y = ops::dropout(&mut case.tape, x, 0.5)?;
        case.check(&format!("dropout {shape:?}"), y)?;
    }
    Ok(())
}
