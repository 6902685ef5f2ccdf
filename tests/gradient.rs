//! Every gradient rule against central differences of the references, in f64 and without a GPU:
//! `<gradient of L, v>` against `(L(x + h v) - L(x - h v)) / 2h` with `L = sum(outputs seeds)`, along random `v`.

mod common;

use common::{Bench, OPERATIONS, Operation, Sizes};
use libtest_mimic::{Arguments, Completion, Trial};
use mexhat::Result;
use mexhat::gpu::Profile;
use mexhat::rng::Rng;
use mexhat::tape::{Array, Tape, Values, Var, interpret};
use std::collections::HashMap;
use std::process::ExitCode;

const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 2e-6;
/// Directions through all leaves together, besides one through each leaf alone.
const DIRECTIONS: u64 = 2;

/// Sizes of each operation: odd, with one pixel, with stride and dilation, with several groups.
fn cases() -> Vec<Sizes> {
    vec![
        Sizes::SMALL,
        Sizes { n: 1, c: 1, o: 1, h: 1, w: 1, k: 1, padding: 0, choice: 1, ..Sizes::SMALL },
        Sizes { n: 3, c: 4, o: 2, h: 7, w: 6, k: 2, stride: 2, dilation: 2, groups: 2, choice: 2, ..Sizes::SMALL },
        Sizes { n: 2, c: 6, o: 3, h: 4, w: 7, k: 3, stride: 3, padding: 2, choice: 3, ..Sizes::SMALL },
        Sizes { n: 2, c: 5, o: 6, h: 3, w: 5, k: 1, stride: 2, padding: 0, groups: 3, choice: 7, ..Sizes::SMALL },
    ]
}

/// An operation with its gradients and the outputs that were seeded.
struct Case {
    bench: Bench,
    outputs: Vec<(Var, Var)>,
    gradients: Vec<(Var, Var)>,
}

impl Case {
    fn build(operation: &Operation, sizes: Sizes, tape: Tape) -> Result<Self> {
        let mut bench = Bench::new(sizes.seed);
        bench.tape = tape;
        let outputs = (operation.build)(&mut bench, sizes)?;
        let (outputs, gradients) = bench.backward(&outputs)?;
        bench.finish();
        Ok(Self { bench, outputs, gradients })
    }

    fn values(&self, inputs: &HashMap<Var, Array>) -> Values {
        let mut values = Values::default();
        for (var, value) in inputs {
            values.set(*var, value.clone());
        }
        interpret(&self.bench.tape, &self.bench.state, &mut values);
        values
    }

    /// `sum(outputs seeds)` with the leaves moved by `step` along `directions`.
    fn loss(&self, directions: &[(Var, Array)], step: f64) -> f64 {
        let mut inputs = self.bench.values.clone();
        for (leaf, direction) in directions {
            let moved = inputs[leaf].zip(direction, |x, v| x + step * v);
            inputs.insert(*leaf, moved);
        }
        let values = self.values(&inputs);
        let get = |var: Var| values.get(&self.bench.tape, var);
        self.outputs.iter().map(|(output, seed)| dot(&get(*output), &get(*seed))).sum()
    }

    fn check(&self, leaves: &[(Var, Var)], rng: &mut Rng) -> Result<(), String> {
        let values = self.values(&self.bench.values);
        let mut directions = Vec::new();
        let (mut expected, mut scale) = (0.0, 0.0);
        for (leaf, gradient) in leaves {
            let gradient = values.get(&self.bench.tape, *gradient);
            let data = gradient.data.iter().map(|_| f64::from(rng.normal())).collect();
            let direction = Array { shape: gradient.shape.clone(), data };
            expected += dot(&gradient, &direction);
            scale += dot(&gradient.map(f64::abs), &direction.map(f64::abs));
            directions.push((*leaf, direction));
        }
        let found = (self.loss(&directions, STEP) - self.loss(&directions, -STEP)) / (2.0 * STEP);
        // Differences of a loss carry its own rounding, divided by the step.
        let rounding = self.loss(&[], 0.0).abs() * 1e-10 + 1e-9;
        if (found - expected).abs() <= TOLERANCE * scale + rounding {
            return Ok(());
        }
        let shapes: Vec<_> = leaves.iter().map(|(leaf, _)| self.bench.tape.ty(*leaf).to_string()).collect();
        Err(format!("along leaves {}: differences {found}, gradient {expected}", shapes.join(", ")))
    }
}

fn dot(a: &Array, b: &Array) -> f64 {
    a.data.iter().zip(&b.data).map(|(a, b)| a * b).sum()
}

fn check(operation: &Operation, sizes: Sizes, tape: Tape) -> Result<bool, String> {
    let named = |why: String| format!("{} at {sizes}: {why}", operation.name);
    let case = Case::build(operation, sizes, tape).map_err(|e| named(e.to_string()))?;
    if case.outputs.is_empty() {
        return Ok(false);
    }
    if case.gradients.len() != case.bench.leaves.len() {
        let (found, expected) = (case.gradients.len(), case.bench.leaves.len());
        return Err(named(format!("{found} of {expected} leaves received a gradient")));
    }
    let mut rng = Rng::new(sizes.seed);
    for leaf in &case.gradients {
        case.check(std::slice::from_ref(leaf), &mut rng).map_err(named)?;
    }
    for _ in 0..DIRECTIONS {
        case.check(&case.gradients, &mut rng).map_err(named)?;
    }
    Ok(true)
}

/// Each operation that has a gradient, at all sizes.
fn trial(operation: &'static Operation) -> Trial {
    Trial::ignorable_test(operation.name, || {
        let mut checked = false;
        for sizes in cases() {
            checked |= check(operation, sizes, Tape::new())?;
        }
        Ok(if checked { Completion::Completed } else { Completion::ignored_with("it has no gradient") })
    })
}

/// What most adapters do with small matrices, in a launch of its own.
fn small_newton_schulz() -> Trial {
    Trial::test("newton_schulz of small matrices in one launch", || {
        let operation = OPERATIONS.iter().find(|operation| operation.name == "newton_schulz");
        let operation = operation.ok_or("no operation newton_schulz")?;
        for sizes in cases() {
            if !check(operation, sizes, Tape::for_adapter(Profile::GPU))? {
                return Err(format!("{sizes:?} has no gradient").into());
            }
        }
        Ok(())
    })
}

fn main() -> ExitCode {
    let trials = OPERATIONS.iter().map(trial).chain([small_newton_schulz()]).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
