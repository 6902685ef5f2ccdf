//! Fully connected networks: the paper's MLP and plain regression.

use super::ModelOptions;
use crate::nn::{ChannelWhitening, Linear, Network, Norm, scaled};

/// Linear layers of 128, 128 and `classes`, sigmoids between them. A norm that follows layers stands before the
/// sigmoids, a whitening of 32 channels before each linear layer (Fig. 5c,d of the paper).
pub(super) fn mlp(net: &mut Network, options: &ModelOptions) {
    net.flatten();
    let mut features: usize = options.input.iter().product();
    for (index, outputs) in [128, 128, options.classes].into_iter().enumerate() {
        let (name, last) = (format!("fc{}", index + 1), index == 2);
        if options.norm == Norm::Deconv {
            let whitening = ChannelWhitening { block: features.min(32), ..Default::default() };
            net.channel_deconv(whitening).named(format!("{name}_deconv"));
        }
        let bias = options.norm == Norm::None || last;
        net.linear(Linear::new(outputs).norm(Norm::None).bias(bias)).named(name.clone());
        if last {
            break;
        }
        options.joint_norm(net, &format!("{name}_bn"));
        net.sigmoid();
        features = scaled(outputs, options.width);
    }
}

/// One linear layer; with a norm that follows layers, its input is normalised.
pub(super) fn linear(net: &mut Network, options: &ModelOptions) {
    net.flatten();
    options.joint_norm(net, "bn");
    net.linear(options.classes).named("fc");
}
