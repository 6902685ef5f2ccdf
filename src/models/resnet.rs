//! ResNet-18 for 32x32 images: four stages of two basic blocks, no first pooling.

use super::ModelOptions;
use crate::nn::{Conv, Network};

/// conv 3x3, relu, conv 3x3, plus the shortcut (1x1 where the shape changes), relu.
fn block(net: &mut Network, channels: usize, outputs: usize, stride: usize) {
    if stride > 1 || channels != outputs {
        net.residual_with(
            |b| b.conv(Conv::new(outputs, 3).stride(stride)).relu().conv(Conv::new(outputs, 3)),
            |s| s.conv(Conv::new(outputs, 1).stride(stride)).named("shortcut"),
        );
    } else {
        net.residual(|b| b.conv(Conv::new(outputs, 3)).relu().conv(Conv::new(outputs, 3)));
    }
}

pub(super) fn resnet18(net: &mut Network, options: &ModelOptions) {
    net.conv(Conv::new(64, 3)).relu();
    let mut channels = 64;
    for (stage, outputs) in [64, 128, 256, 512].into_iter().enumerate() {
        for index in 0..2 {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            block(net, channels, outputs, stride);
            net.named(format!("layer{}.{index}", stage + 1)).relu();
            channels = outputs;
        }
    }
    net.global_avg_pool().flatten().linear(options.classes).named("fc");
}

#[cfg(test)]
mod tests {
    use crate::Result;
    use crate::gpu::Profile;
    use crate::models::{ModelOptions, Norm, build};
    use crate::nn::{Forward, Mode};
    use crate::tape::{State, Tape, lower};

    /// How often `op` is launched in a forward pass of ResNet-18 with `norm`.
    fn launches(norm: Norm, op: &str) -> Result<usize> {
        let mut state = State::new();
        let options = ModelOptions { norm, input: [3, 32, 32], ..ModelOptions::default() };
        let model = build("resnet18", &options, &mut state)?;
        let mut tape = Tape::new();
        let images = crate::nn::images(&mut tape, 2, [3, 32, 32]);
        let mut ctx = Forward { tape: &mut tape, state: &state, mode: Mode::Train };
        let logits = model.forward(&mut ctx, images)?;
        tape.output(logits);
        let program = lower(&tape, Profile::GPU)?;
        Ok(program.dispatches.iter().filter(|dispatch| dispatch.op == op).count())
    }

    #[test]
    fn convolutions_end_residual_blocks_in_their_own_kernel() -> Result<()> {
        assert_eq!(launches(Norm::None, "add_relu")?, 0);
        assert_eq!(launches(Norm::Deconv, "add_relu")?, 0);
        // Batch norm stands between the convolution and the sum: one pass for each of the eight blocks.
        assert_eq!(launches(Norm::Batch, "add_relu")?, 8);
        Ok(())
    }
}
