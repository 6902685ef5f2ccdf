//! Values that are no numbers, or hardly: a diverged network must be seen to be one, and large values must not make it
//! one.

use super::{Examination, Finding};
use crate::Result;
use crate::check::{Bench, engines};
use crate::ops::{self, Activation, ConvOptions, NormOptions};
use crate::tape::{Array, Var};

const PART: &str = "numbers";

const NAN: f64 = f64::NAN;
const INF: f64 = f64::INFINITY;

/// What is tried, and how.
pub(super) struct Case {
    name: &'static str,
    build: fn(&mut Bench) -> Result<Var>,
}

/// Two images of three channels, in the second of which every value is `odd`.
fn channels(bench: &mut Bench, odd: f64) -> Result<Var> {
    let data = (0..24).map(|i| if i / 4 % 3 == 1 { odd } else { f64::from(i - 12) }).collect();
    let leaf = bench.leaf_of(Array { shape: vec![2, 3, 2, 2], data });
    ops::to_vec4(&mut bench.tape, leaf)
}

fn values(bench: &mut Bench, data: &[f64]) -> Result<Var> {
    let leaf = bench.leaf_of(Array { shape: vec![1, data.len()], data: data.to_vec() });
    ops::to_vec4(&mut bench.tape, leaf)
}

/// Both signs of what is too large to be squared, of ordinary values and of the smallest.
const WIDE: [f64; 8] = [1e30, -1e30, 100.0, -100.0, 1.0, -1.0, 1e-30, 0.0];

/// Values whose sigmoid is 0 or 1 in f32.
const FAR: [f64; 6] = [1e4, -1e4, 100.0, -100.0, 1.0, -1.0];

fn activation(bench: &mut Bench, f: Activation) -> Result<Var> {
    let x = values(bench, if f == Activation::Silu { &FAR } else { &WIDE })?;
    ops::activation(&mut bench.tape, x, f)
}

fn bias(bench: &mut Bench) -> Var {
    bench.leaf_of(Array { shape: vec![3], data: vec![0.5, NAN, -9.0] })
}

pub(super) const CASES: &[Case] = &[
    Case { name: "NaN passes relu", build: |b| channels(b, NAN).and_then(|x| ops::relu(&mut b.tape, x)) },
    Case {
        name: "NaN passes a convolution with relu",
        build: |b| {
            let x = b.activation(&[2, 3, 5, 4])?;
            let (w, bias) = (b.leaf(&[3, 3, 3, 3]), bias(b));
            ops::conv2d(&mut b.tape, x, w, Some(bias), ConvOptions { relu: true, padding: 1, ..Default::default() })
        },
    },
    Case {
        name: "NaN passes batch norm with relu",
        build: |b| {
            let x = b.activation(&[2, 3, 5, 4])?;
            let (w, bias) = (b.leaf(&[3]), bias(b));
            Ok(ops::batch_norm(&mut b.tape, x, w, bias, NormOptions { relu: true, ..Default::default() })?.y)
        },
    },
    Case { name: "infinity passes relu", build: |b| channels(b, INF).and_then(|x| ops::relu(&mut b.tape, x)) },
    Case {
        name: "infinity adds up",
        build: |b| {
            let (x, y) = (values(b, &[INF, -INF, INF, 1.0])?, values(b, &[1.0, 1.0, -INF, 1.0])?);
            ops::add(&mut b.tape, x, y)
        },
    },
    Case { name: "sigmoid of large values", build: |b| activation(b, Activation::Sigmoid) },
    Case { name: "tanh of large values", build: |b| activation(b, Activation::Tanh) },
    Case { name: "silu of large values", build: |b| activation(b, Activation::Silu) },
    Case { name: "softmax of large values", build: |b| values(b, &WIDE).and_then(|x| ops::softmax(&mut b.tape, x)) },
];

/// Whether `found` is what `expected` is: no number, infinite on the same side, or nearly the same.
fn agrees(expected: f64, found: f64) -> bool {
    match (expected.is_nan(), expected.is_infinite()) {
        (true, _) => found.is_nan(),
        (_, true) => found == expected,
        _ => (expected - found).abs() <= 1e-5 * expected.abs().max(1.0),
    }
}

async fn check(examination: &Examination<'_>, case: &Case) -> std::result::Result<String, String> {
    let mut bench = Bench::new(2);
    let outcome = (case.build)(&mut bench).map(|y| bench.tape.output(y));
    outcome.map_err(|e| e.to_string())?;
    let run = engines::run(examination.gpu, &bench.tape, &bench.state, &bench.values, examination.gpu.profile()).await;
    let found = run.map_err(|e| e.to_string())?.0;
    let expected = engines::on_cpu(&bench.tape, &bench.state, &bench.values);
    let pairs: Vec<(f64, f64)> = expected.concat().into_iter().zip(found.concat()).collect();
    match pairs.iter().position(|(expected, found)| !agrees(*expected, *found)) {
        Some(i) => Err(format!("value {i}: {} expected, found {}", pairs[i].0, pairs[i].1)),
        None => Ok(format!("{} values", pairs.len())),
    }
}

/// Whether the device has stayed.
pub(super) async fn examine(examination: &mut Examination<'_>) -> bool {
    for case in CASES {
        let found = check(examination, case).await;
        if !examination.alive(case.name) {
            return false;
        }
        examination.add(Finding::of(PART, case.name, found));
    }
    true
}
