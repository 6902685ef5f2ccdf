//! The networks for large images learn: an update with each norm reaches every weight. At 64x64, which a CPU bears.

#[path = "common/skip.rs"]
mod skip;

use mexhat::models::{ModelOptions, Norm, network};
use mexhat::rng::Rng;
use mexhat::train::{Batch, Learner, Sgd, Targets};
use mexhat::{Gpu, Result};

const SIDE: usize = 64;
const IMAGES: usize = 4;

/// Noise around a grey of each image's own class.
fn batch() -> Batch {
    let (mut rng, labels) = (Rng::new(3), vec![0u32, 1, 2, 0]);
    let image =
        |label: &u32| (0..3 * SIDE * SIDE).map(|_| *label as f32 - 1.0 + 0.5 * rng.normal()).collect::<Vec<_>>();
    Batch { images: labels.iter().flat_map(image).collect(), targets: Targets::Labels(labels) }
}

fn weights(learner: &mut Learner) -> Result<Vec<(String, Vec<f32>)>> {
    let names: Vec<String> = learner.tensors().into_iter().map(String::from).collect();
    let names = names.into_iter().filter(|name| name.ends_with(".weight"));
    names.map(|name| learner.tensor(&name).map(|tensor| (name, tensor.values))).collect()
}

fn updates(gpu: &Gpu, model: &str, norm: Norm) -> Result<()> {
    let options = ModelOptions { norm, input: [3, SIDE, SIDE], classes: 3, ..ModelOptions::default() };
    let mut learner = Learner::new(gpu, network(model, &options)?, Sgd::new(0.01))?;
    let before = weights(&mut learner)?;
    let step = pollster::block_on(async {
        learner.submit(&batch(), 0.01, 0).await?;
        learner.take().await
    })?;
    let loss = step.map_or(f32::NAN, |step| step.loss);
    assert!(loss > 0.2 && loss < 5.0, "{model}, {norm}: loss {loss} of {IMAGES} images in 3 classes");
    for ((name, old), (_, new)) in before.iter().zip(weights(&mut learner)?) {
        assert!(new.iter().all(|v| v.is_finite()), "{model}, {norm}: {name} holds what is no number");
        assert!(*old != new, "{model}, {norm}: {name} has not changed");
    }
    Ok(())
}

/// One after the other: together they would take the memory of many.
#[test]
fn one_update_reaches_every_weight() -> Result<()> {
    let gpu = Gpu::open_by(|name| std::env::var(name).ok())?;
    for model in ["resnet18-imagenet", "resnet50-imagenet", "densenet121-imagenet", "vgg11-imagenet"] {
        // The first of VGG's linear layers has 25,088 inputs.
        if model == "vgg11-imagenet" && gpu.largest_buffer() < 4 * 25_088 * 4_096 {
            skip::skipped(&format!("{model} needs larger buffers than {} bytes", gpu.largest_buffer()));
            continue;
        }
        for norm in [Norm::Deconv, Norm::Batch] {
            updates(&gpu, model, norm)?;
        }
    }
    Ok(())
}
