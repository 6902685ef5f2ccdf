//! The architectures, each a short function that writes down a [`Network`], with deconvolution, batch norm or nothing in its joints.
//!
//! ```
//! use mexhat::models::{self, ModelOptions};
//! use mexhat::nn::Norm;
//! let net = models::network("resnet18", &ModelOptions { norm: Norm::Batch, input: [3, 32, 32], ..Default::default() })?;
//! assert_eq!(net.nodes[2].name.as_deref(), Some("layer1.0"));
//! # Ok::<(), mexhat::Error>(())
//! ```

mod lenet;
mod mlp;
mod options;
mod resnet;
mod vgg;
mod yardstick;

pub use crate::nn::{Model, Norm};
pub use options::ModelOptions;

use crate::nn::Network;
use crate::tape::State;
use crate::{Error, Result};

/// An architecture: its layers, appended to a network without any, for `options.classes` outputs.
type Write = fn(&mut Network, &ModelOptions);

/// Every architecture under its name: adding one is a file and a line here.
const MODELS: [(&str, Write); 8] = [
    ("lenet", lenet::lenet),
    ("mlp", mlp::mlp),
    ("linear", mlp::linear),
    ("yardstick", yardstick::yardstick),
    ("vgg11", vgg::vgg11),
    ("vgg13", vgg::vgg13),
    ("vgg16", vgg::vgg16),
    ("resnet18", resnet::resnet18),
];

/// Every model's name.
pub const NAMES: [&str; MODELS.len()] = {
    let (mut names, mut i) = ([""; MODELS.len()], 0);
    while i < names.len() {
        names[i] = MODELS[i].0;
        i += 1;
    }
    names
};

/// The network called `name`.
///
/// # Errors
/// The name is unknown, or there is nothing to tell apart.
pub fn network(name: &str, options: &ModelOptions) -> Result<Network> {
    let Some((_, write)) = MODELS.iter().find(|(known, _)| *known == name) else {
        return Err(Error::Usage(format!("unknown model '{name}'; expected one of {}", NAMES.join(", "))));
    };
    if options.classes == 0 {
        return Err(Error::Usage("expected at least 1 class, found 0".into()));
    }
    let mut net = Network {
        name: name.into(),
        block_fc: options.block_fc,
        ..Network::new(options.input).norm(options.norm).whitening(options.whitening).seed(options.seed)
    };
    write(&mut net, options);
    Ok(net)
}

/// The network called `name` built, its tensors added to `state`.
///
/// # Errors
/// The name is unknown, the input is too small for the network, or the whitening's numbers are out of range.
pub fn build(name: &str, options: &ModelOptions, state: &mut State) -> Result<Model> {
    network(name, options)?.build(state)
}
