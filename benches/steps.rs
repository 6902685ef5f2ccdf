//! Whole training steps on this machine's adapter: `cargo bench --bench steps`. SGD with momentum on random images,
//! each step from its submission to its loss.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mexhat::Result;
use mexhat::gpu::Gpu;
use mexhat::train::{BenchOptions, NetOptions, Precision, bench_step};
use std::time::Duration;

fn all(criterion: &mut Criterion) -> Result<()> {
    let gpu = Gpu::open_by(|name| std::env::var(name).ok())?;
    let mut group = criterion.benchmark_group("steps");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for (model, norm, forward) in [
        ("yardstick", "batch", false),
        ("yardstick", "batch", true),
        ("yardstick", "deconv", false),
        ("lenet", "deconv", false),
    ] {
        let net = NetOptions { model: model.into(), norm: norm.parse()?, ..NetOptions::default() };
        let options = BenchOptions {
            net,
            input: [1, 28, 28],
            batch_size: 64,
            steps: 1,
            warm_up: 2,
            forward,
            precision: Precision::F32,
            profile: false,
        };
        let name = format!("{model} {norm}{}", if forward { " forward" } else { "" });
        group.throughput(Throughput::Elements(64));
        group.bench_function(name, |b| {
            b.iter_custom(|steps| {
                let options = BenchOptions { steps: steps as usize, ..options.clone() };
                let found = pollster::block_on(bench_step(&gpu, &options)).expect("a working device");
                Duration::from_secs_f64(found.median_ms * 1e-3 * steps as f64)
            });
        });
    }
    group.finish();
    Ok(())
}

fn steps(criterion: &mut Criterion) {
    all(criterion).unwrap_or_else(|e| panic!("{e}"));
}

criterion_group!(benches, steps);
criterion_main!(benches);
