//! A value that is no number stays visible: the relu of each kernel passes it on, as PyTorch's does, so that a diverged
//! parameter ends in a loss that is no number.

mod common;

use common::engines::on_cpu;
use common::{Bench, on_gpu, profiles};
use mexhat::Result;
use mexhat::ops::{self, ConvOptions, NormOptions};
use mexhat::tape::{Array, Var};

/// Three values, the second of which is no number.
fn diverged(bench: &mut Bench) -> Var {
    bench.leaf_of(Array { shape: vec![3], data: vec![0.5, f64::NAN, -9.0] })
}

fn expect_one_channel_of_nan(mut bench: Bench, y: Var) -> Result<()> {
    bench.tape.output(y);
    let expected = on_cpu(&bench.tape, &bench.state, &bench.values).remove(0);
    for profile in profiles() {
        let found = on_gpu(&bench.tape, &bench.state, &bench.values, profile)?.0.remove(0);
        for values in [&expected, &found] {
            let pixels = values.len() / 6;
            for (i, value) in values.iter().enumerate() {
                assert_eq!(value.is_nan(), i / pixels % 3 == 1, "{profile:?}: element {i} is {value}");
            }
        }
    }
    Ok(())
}

#[test]
fn relu_passes_it() -> Result<()> {
    let mut bench = Bench::new(1);
    let data = (0..24).map(|i| if i / 4 % 3 == 1 { f64::NAN } else { f64::from(i - 12) }).collect();
    let leaf = bench.leaf_of(Array { shape: vec![2, 3, 2, 2], data });
    let x = ops::to_vec4(&mut bench.tape, leaf)?;
    let y = ops::relu(&mut bench.tape, x)?;
    expect_one_channel_of_nan(bench, y)
}

#[test]
fn a_convolution_with_relu_passes_it() -> Result<()> {
    for groups in [1, 3] {
        let mut bench = Bench::new(2);
        let x = bench.activation(&[2, 3, 5, 4])?;
        let (w, b) = (bench.leaf(&[3, 3 / groups, 3, 3]), diverged(&mut bench));
        let options = ConvOptions { relu: true, padding: 1, groups, ..Default::default() };
        let y = ops::conv2d(&mut bench.tape, x, w, Some(b), options)?;
        expect_one_channel_of_nan(bench, y)?;
    }
    Ok(())
}

#[test]
fn batch_norm_with_relu_passes_it() -> Result<()> {
    let mut bench = Bench::new(3);
    let x = bench.activation(&[2, 3, 5, 4])?;
    let (w, b) = (bench.leaf(&[3]), diverged(&mut bench));
    let y = ops::batch_norm(&mut bench.tape, x, w, b, NormOptions { relu: true, ..Default::default() })?.y;
    expect_one_channel_of_nan(bench, y)
}
