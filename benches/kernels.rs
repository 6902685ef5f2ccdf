//! Kernels on this machine's adapter: `cargo bench --bench kernels`. Each run lasts from its submission until the
//! device is done; the adapter's own peaks stand beside them. `mexhat bench` prints the same as shares of the peak.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mexhat::bench::{Peak, Runner};
use mexhat::gpu::Gpu;
use mexhat::ops::{self, ConvOptions};
use mexhat::tape::{Tape, Type, Var};
use mexhat::{Error, Result};
use std::hint::black_box;
use std::time::Duration;

/// A tape with its output, recorded by `record`.
fn runner(gpu: &Gpu, record: impl Fn(&mut Tape) -> Result<Var>) -> Result<Runner> {
    let mut tape = Tape::new();
    let out = record(&mut tape)?;
    tape.output(out);
    Runner::new(gpu, &tape, &[])
}

fn matmul(tape: &mut Tape, n: usize) -> Result<Var> {
    let [a, b] = ["a", "b"].map(|name| tape.resident(name, Type::vec4(&[1, n, n]), false));
    ops::matmul(tape, a, b)
}

/// [32,64,32,32] to 64 channels, 3x3: forward, or the gradient of the input or of the weight.
fn conv(tape: &mut Tape, wanted: Option<&str>) -> Result<Var> {
    let x = tape.resident("x", Type::vec4(&[32, 64, 32, 32]), wanted == Some("x"));
    let w = tape.resident("w", Type::plain(&[64, 64, 3, 3]), wanted == Some("w"));
    let y = ops::conv2d(tape, x, w, None, ConvOptions { padding: 1, ..ConvOptions::default() })?;
    gradient(tape, (x, w), y, wanted)
}

/// [32,64,32,32], a 3x3 kernel for each channel: as `conv`. Its floor is what `relu` takes, which reads and writes the
/// same.
fn depthwise(tape: &mut Tape, wanted: Option<&str>) -> Result<Var> {
    let x = tape.resident("x", Type::vec4(&[32, 64, 32, 32]), wanted == Some("x"));
    let w = tape.resident("w", Type::plain(&[64, 1, 3, 3]), wanted == Some("w"));
    let y = ops::conv2d(tape, x, w, None, ConvOptions { padding: 1, groups: 64, ..ConvOptions::default() })?;
    gradient(tape, (x, w), y, wanted)
}

/// `y`, or with a seed for it the gradient of x or w.
fn gradient(tape: &mut Tape, (x, w): (Var, Var), y: Var, wanted: Option<&str>) -> Result<Var> {
    let Some(wanted) = wanted else { return Ok(y) };
    let seed = tape.resident("gy", Type::vec4(&[32, 64, 32, 32]), false);
    let gradients = tape.backward_from(&[(y, seed)])?;
    let of = if wanted == "x" { x } else { w };
    gradients.get(of).ok_or_else(|| Error::Run("a convolution without a gradient".into()))
}

fn relu(tape: &mut Tape) -> Result<Var> {
    let x = tape.resident("x", Type::vec4(&[32, 64, 32, 32]), false);
    ops::relu(tape, x)
}

fn all(criterion: &mut Criterion) -> Result<()> {
    let gpu = Gpu::open_by(|name| std::env::var(name).ok())?;
    let mut peak = Peak::new(&gpu)?;
    let mut group = criterion.benchmark_group("kernels");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    group.throughput(Throughput::Elements(peak.flops() as u64));
    group.bench_function("peak", |b| b.iter(|| black_box(peak.gflops().expect("a working device"))));
    let conv_flops = 2 * 32 * 32 * 32 * 64 * 64 * 9;
    let mut cases = vec![
        ("conv 3x3 forward".to_owned(), conv_flops, runner(&gpu, |tape| conv(tape, None))?),
        ("conv 3x3 input gradient".to_owned(), conv_flops, runner(&gpu, |tape| conv(tape, Some("x")))?),
        ("conv 3x3 weight gradient".to_owned(), conv_flops, runner(&gpu, |tape| conv(tape, Some("w")))?),
    ];
    let depthwise_flops = conv_flops / 64;
    cases.extend([
        ("depthwise 3x3 forward".to_owned(), depthwise_flops, runner(&gpu, |tape| depthwise(tape, None))?),
        ("depthwise 3x3 input gradient".to_owned(), depthwise_flops, runner(&gpu, |tape| depthwise(tape, Some("x")))?),
        ("depthwise 3x3 weight gradient".to_owned(), depthwise_flops, runner(&gpu, |tape| depthwise(tape, Some("w")))?),
        ("relu, the floor of depthwise".to_owned(), 32 * 64 * 32 * 32, runner(&gpu, relu)?),
    ]);
    for n in [64usize, 512, 1024] {
        cases.push((format!("matmul {n}"), 2 * n.pow(3) as u64, runner(&gpu, |tape| matmul(tape, n))?));
    }
    for (name, flops, runner) in &mut cases {
        group.throughput(Throughput::Elements(*flops));
        group.bench_function(name.as_str(), |b| b.iter(|| black_box(runner.once().expect("a working device"))));
    }
    group.finish();
    Ok(())
}

fn kernels(criterion: &mut Criterion) {
    all(criterion).unwrap_or_else(|e| panic!("{e}"));
}

criterion_group!(benches, kernels);
criterion_main!(benches);
