//! Table 3: what the parts of a deconvolution cost, layer by layer, on this adapter.

use super::{Check, Experiment, ExperimentOptions, Findings, Series};
use crate::gpu::{Gpu, Profile, Shader};
use crate::nn::{Conv, FastDeconv, Forward, Mode, Module, Whitening};
use crate::ops::{self, BlockMode};
use crate::rng::Rng;
use crate::tape::{DType, Session, State, Tape};
use crate::viz::bars::{Bar, bars_svg};
use crate::{Error, Result};

/// The parts, in the order of the paper's columns; the weight product is not among those.
const PARTS: [&str; 5] = ["patches", "covariance", "Newton-Schulz", "weight product", "convolution"];

/// A layer, and the same parts in PyTorch on 2 CPU threads: milliseconds for 16 images, forward.
struct Layer {
    side: usize,
    channels: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    block: usize,
    torch: [f64; 5],
}

const LAYERS: [Layer; 9] = {
    const fn layer(shape: [usize; 3], cut: [usize; 3], torch: [f64; 5]) -> Layer {
        let ([side, channels, outputs], [kernel, stride, block]) = (shape, cut);
        Layer { side, channels, outputs, kernel, stride, block, torch }
    }
    [
        layer([64, 3, 64], [3, 3, 64], [0.33, 0.23, 0.09, 0.00, 8.8]),
        layer([64, 3, 64], [7, 3, 64], [1.23, 1.83, 0.67, 0.02, 12.1]),
        layer([32, 64, 128], [3, 3, 64], [1.67, 5.44, 24.0, 0.27, 8.3]),
        layer([32, 64, 128], [3, 5, 64], [0.85, 1.98, 21.6, 0.30, 8.8]),
        layer([16, 128, 256], [3, 3, 64], [1.68, 2.71, 19.7, 1.04, 8.1]),
        layer([8, 256, 512], [3, 3, 64], [0.56, 1.52, 21.2, 4.23, 8.2]),
        layer([4, 512, 512], [3, 3, 64], [0.58, 1.46, 20.3, 8.09, 3.9]),
        layer([16, 128, 256], [3, 3, 4], [1.10, 0.57, 0.09, 0.09, 7.8]),
        layer([16, 128, 256], [3, 3, 1], [1.23, 0.67, 0.09, 0.05, 8.1]),
    ]
};

impl Layer {
    fn d(&self) -> usize {
        self.channels.min(self.block) * self.kernel * self.kernel
    }

    fn name(&self) -> String {
        let Self { side, channels, outputs, kernel, stride, block, .. } = self;
        format!("{side}x{side} {channels}-{outputs} k{kernel} q{stride} B{}", channels.min(block))
    }
}

/// The part that a launch belongs to, by its operation and its kernel's key; `None` for conversions at the edge and
/// running averages.
fn part(op: &str, kernel: &str) -> Option<usize> {
    let of = |shaders: &[&Shader]| shaders.iter().any(|shader| kernel.starts_with(shader.file));
    match op {
        "covariance" if of(&[&ops::IM2COL_BLOCKS]) => Some(0),
        "covariance" => Some(1),
        "newton_schulz" => Some(2),
        "fold_weight" | "feature_mean" => Some(3),
        "conv2d" if of(ops::MEAN_SHIFTS) => Some(3),
        "conv2d" => Some(4),
        _ => None,
    }
}

/// A forward pass of `layer` in training.
fn record(profile: Profile, layer: &Layer, images: usize) -> Result<(State, Tape)> {
    let whitening = Whitening {
        mode: BlockMode::Reference,
        block: layer.block,
        sampling_stride: layer.stride,
        ..Default::default()
    };
    let mut state = State::new();
    let conv = Conv::new(layer.outputs, layer.kernel);
    let conv = FastDeconv::new(&mut state, "conv", layer.channels, &conv, whitening, Rng::new(0))?;
    let mut tape = Tape::for_adapter(profile);
    let shape = [images, layer.channels, layer.side, layer.side];
    let x = tape.input("x", &shape, DType::F32);
    let packed = ops::to_vec4(&mut tape, x)?;
    let y = conv.forward(&mut Forward { tape: &mut tape, state: &state, mode: Mode::Train }, packed)?;
    tape.output(y);
    Ok((state, tape))
}

/// Milliseconds of each part: of each kernel launch the fastest of `repeats` runs, added up.
async fn measure(gpu: &Gpu, layer: &Layer, images: usize, repeats: usize) -> Result<[f64; 5]> {
    let (state, tape) = record(gpu.profile(), layer, images)?;
    let mut compiled = Session::new(gpu, &state)?.compile(&[&tape])?;
    let compiled = compiled.first_mut().ok_or_else(|| Error::Run("table3: nothing was compiled".into()))?;
    let mut rng = Rng::new(1);
    let values: Vec<f32> = (0..images * layer.channels * layer.side * layer.side).map(|_| rng.normal()).collect();
    compiled.submit(&[bytemuck::cast_slice(&values)]).await?;
    compiled.take().await?;
    let mut fastest: Vec<f64> = Vec::new();
    let mut parts = Vec::new();
    for _ in 0..repeats {
        let timings = compiled.executable().profile().await?;
        fastest.resize(timings.dispatches.len(), f64::INFINITY);
        fastest.iter_mut().zip(&timings.dispatches).for_each(|(least, (_, _, ms))| *least = least.min(*ms));
        parts = timings.dispatches.iter().map(|(op, kernel, _)| part(op, kernel)).collect();
    }
    let mut out = [0.0; 5];
    for (part, ms) in parts.iter().zip(&fastest) {
        if let Some(part) = part {
            out[*part] += ms;
        }
    }
    Ok(out)
}

pub(super) async fn table3(gpu: &Gpu, experiment: Experiment, options: &ExperimentOptions) -> Result<Findings> {
    let (images, repeats) = if options.full { (16, 20) } else { (16, 5) };
    let mut found = Vec::new();
    for layer in &LAYERS {
        found.push(measure(gpu, layer, images, repeats).await?);
    }
    let extra = |i: usize| found[i][..4].iter().sum::<f64>();
    let sampled = |i: usize| found[i][0] + found[i][1];
    let ratio = found[2][2].max(found[3][2]) / found[2][2].min(found[3][2]);
    let shares: Vec<f64> = (0..LAYERS.len()).map(|i| extra(i) / found[i][4]).collect();
    let checks = vec![
        Check {
            claim: "Newton-Schulz takes the same time at both sampling steps".into(),
            shown: ratio < 1.25,
            numbers: format!("{:.2} ms at q = 3, {:.2} ms at q = 5; expected within 25 %", found[2][2], found[3][2]),
        },
        Check {
            claim: "patches and covariance cost less with the larger sampling step".into(),
            shown: sampled(3) < sampled(2),
            numbers: format!("{:.2} ms at q = 3, {:.2} ms at q = 5", sampled(2), sampled(3)),
        },
        Check {
            claim: "in both first layers the whole deconvolution costs less than the convolution".into(),
            shown: shares[0] < 1.0 && shares[1] < 1.0,
            numbers: format!("{:.2} and {:.2} of the convolution", shares[0], shares[1]),
        },
        Check {
            claim: "small blocks bring the cost below the convolution's in a hidden layer too".into(),
            shown: shares[7] < 1.0 && shares[8] < 1.0,
            numbers: format!(
                "16x16 128-256: {:.2} of the convolution with B = 64, {:.2} with 4, {:.2} with 1",
                shares[4], shares[7], shares[8]
            ),
        },
    ];
    let cell = |ours: f64, torch: f64| format!("{ours:.2} | {torch:.2}");
    let rows = LAYERS.iter().zip(&found).map(|(layer, ms)| {
        let cells = ms.iter().zip(&layer.torch).map(|(ours, torch)| cell(*ours, *torch));
        [layer.name(), layer.d().to_string()].into_iter().chain(cells).collect()
    });
    let bars: Vec<Bar> = LAYERS.iter().zip(&found).map(|(l, ms)| Bar { name: l.name(), parts: ms.to_vec() }).collect();
    let title = format!("Forward time of {images} images by part, ms");
    let device = &gpu.adapter().name;
    let series = LAYERS.iter().zip(&found).flat_map(|(layer, ms)| {
        [
            Series { name: format!("{}, {}", layer.name(), PARTS.join(", ")), values: ms.to_vec() },
            Series { name: format!("{}, PyTorch", layer.name()), values: layer.torch.to_vec() },
        ]
    });
    Ok(Findings {
        experiment,
        note: format!(
            "{images} images, forward, T = 5, mode reference, on {device}; of each kernel launch the fastest of {repeats}; \
             milliseconds here | PyTorch on 2 CPU threads of another day, 16 images"
        ),
        heading: ["layer", "d"].into_iter().chain(PARTS).map(String::from).collect(),
        rows: rows.collect(),
        checks,
        series: series.collect(),
        pictures: vec![("table3.svg".into(), bars_svg(&title, &PARTS, &bars)?)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::lower;

    #[test]
    fn every_part_has_launches_of_its_own() -> Result<()> {
        let (_, tape) = record(Profile::GPU, &LAYERS[2], 2)?;
        let mut launches = [0; 5];
        for dispatch in lower(&tape, Profile::GPU)?.dispatches {
            if let Some(part) = part(dispatch.op, &dispatch.kernel.key()) {
                launches[part] += 1;
            }
        }
        assert!(launches.iter().all(|count| *count > 0), "{launches:?}");
        Ok(())
    }
}
