//! ResNet-18 for 32x32 images (spec 12): four stages of two basic blocks, no first pooling.

use super::build::{Build, Conv};
use crate::Result;
use crate::nn::{Forward, GlobalAvgPool, Module};
use crate::tape::Var;

/// conv 3x3, relu, conv 3x3, plus the shortcut (1x1 where the shape changes), relu.
#[derive(Debug)]
struct BasicBlock {
    conv1: Box<dyn Module>,
    conv2: Box<dyn Module>,
    shortcut: Option<Box<dyn Module>>,
}

impl Module for BasicBlock {
    fn forward(&self, ctx: &mut Forward<'_>, x: Var) -> Result<Var> {
        let y = self.conv1.forward(ctx, x)?;
        let shortcut = match &self.shortcut {
            Some(layer) => layer.forward(ctx, x)?,
            None => x,
        };
        self.conv2.forward_added(ctx, y, shortcut)
    }
}

fn block(b: &mut Build<'_>, name: &str, outputs: usize, stride: usize) -> Result<()> {
    let channels = b.shape[0];
    let whitening = b.whitening(None);
    let conv = |outputs, kernel, stride, relu| Conv { outputs, kernel, stride, relu };
    let conv1 = b.conv_layer(&format!("{name}.conv1"), channels, conv(outputs, 3, stride, true), whitening)?;
    let conv2 = b.conv_layer(&format!("{name}.conv2"), outputs, conv(outputs, 3, 1, false), whitening)?;
    let shortcut = if stride > 1 || channels != outputs {
        Some(b.conv_layer(&format!("{name}.shortcut"), channels, conv(outputs, 1, stride, false), whitening)?)
    } else {
        None
    };
    let out = |size: usize| (size - 1) / stride + 1;
    let shape = [outputs, out(b.shape[1]), out(b.shape[2])];
    b.push(BasicBlock { conv1, conv2, shortcut }, shape);
    Ok(())
}

pub(super) fn resnet18(b: &mut Build<'_>) -> Result<()> {
    b.conv("conv1", Conv::relu(64, 3), None)?;
    for (stage, outputs) in [64, 128, 256, 512].into_iter().enumerate() {
        for index in 0..2 {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            block(b, &format!("layer{}.{index}", stage + 1), outputs, stride)?;
        }
    }
    let channels = b.shape[0];
    let classes = b.options().classes;
    b.push(GlobalAvgPool, [channels, 1, 1]).flatten().linear("fc", classes)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::Result;
    use crate::gpu::Profile;
    use crate::models::{ModelOptions, Norm, build};
    use crate::nn::{Forward, Mode};
    use crate::tape::{DType, State, Tape, lower};

    /// How often `op` is launched in a forward pass of ResNet-18 with `norm`.
    fn launches(norm: Norm, op: &str) -> Result<usize> {
        let mut state = State::new();
        let options = ModelOptions { norm, input: [3, 32, 32], ..ModelOptions::default() };
        let model = build("resnet18", &options, &mut state)?;
        let mut tape = Tape::new();
        let images = tape.input("images", &[2, 3, 32, 32], DType::F32);
        let mut ctx = Forward { tape: &mut tape, state: &state, mode: Mode::Train };
        let logits = model.forward(&mut ctx, images)?;
        tape.output(logits);
        let program = lower(&tape, Profile::PORTABLE);
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
