//! Fully connected networks: the paper's MLP and plain regression.

use super::build::{Build, Norm};
use crate::Result;
use crate::nn::{Activate, BatchNorm, ChannelDeconv, Linear};
use crate::ops::Activation;

/// Linear layers of 128, 128 and `classes`, sigmoids between them. Batch norm stands before the sigmoids, a ChannelDeconv of 32
/// channels before each linear layer (spec 11, Fig. 5c,d).
pub(super) fn mlp(b: &mut Build<'_>) -> Result<()> {
    b.flatten();
    let (norm, rng, classes) = (b.options().norm, b.rng(), b.options().classes);
    for (index, outputs) in [128, 128, classes].into_iter().enumerate() {
        let (name, features) = (format!("fc{}", index + 1), b.shape[0]);
        if norm == Norm::Deconv {
            let block = features.min(32);
            let layer = ChannelDeconv::new(b.state, &format!("{name}_deconv"), features, block, 1e-2, 5, 3, 0.1)?;
            b.push(layer, [features, 1, 1]);
        }
        let bias = norm == Norm::None || outputs == classes;
        let layer = Linear::new(b.state, &name, features, outputs, bias, rng);
        b.push(layer, [outputs, 1, 1]);
        if index == 2 {
            break;
        }
        if norm == Norm::Batch {
            let layer = BatchNorm::new(b.state, &format!("{name}_bn"), outputs);
            b.push(layer, [outputs, 1, 1]);
        }
        b.push(Activate(Activation::Sigmoid), [outputs, 1, 1]);
    }
    Ok(())
}

/// One linear layer; with batch norm, its input is normalised.
pub(super) fn linear(b: &mut Build<'_>) -> Result<()> {
    b.flatten();
    if b.options().norm == Norm::Batch {
        let features = b.shape[0];
        let layer = BatchNorm::new(b.state, "bn", features);
        b.push(layer, [features, 1, 1]);
    }
    let classes = b.options().classes;
    b.linear("fc", classes)?;
    Ok(())
}
