//! The architectures, each a short function that writes down a [`Network`], with deconvolution, batch norm or nothing in its joints.
//!
//! ```
//! use mexhat::models::{self, ModelOptions};
//! use mexhat::nn::Norm;
//! let net = models::network("resnet18", &ModelOptions { norm: Norm::Batch, input: [3, 32, 32], ..Default::default() })?;
//! assert_eq!(net.nodes[2].name.as_deref(), Some("layer1.0"));
//! # Ok::<(), mexhat::Error>(())
//! ```

mod densenet;
mod dpn;
mod efficientnet;
#[cfg(not(target_arch = "wasm32"))]
mod file;
mod lenet;
mod mlp;
mod mobilenet;
mod options;
mod pnasnet;
mod preact;
mod resnet;
mod resnext;
mod small;
mod vgg;
mod yardstick;

pub use crate::nn::{Model, Norm};
#[cfg(not(target_arch = "wasm32"))]
pub use file::NetworkFile;
pub use options::ModelOptions;

use crate::nn::Network;
use crate::tape::State;
use crate::{Error, Result};

/// An architecture: its layers, appended to a network without any, for `options.classes` outputs.
type Write = fn(&mut Network, &ModelOptions);

/// Every architecture under its name: adding one is a file and a line here.
const MODELS: [(&str, Write); 18] = [
    ("lenet", lenet::lenet),
    ("small", small::small),
    ("mlp", mlp::mlp),
    ("linear", mlp::linear),
    ("yardstick", yardstick::yardstick),
    ("vgg11", vgg::vgg11),
    ("vgg13", vgg::vgg13),
    ("vgg16", vgg::vgg16),
    ("vgg19", vgg::vgg19),
    ("resnet18", resnet::resnet18),
    ("preact18", preact::preact18),
    ("senet18", preact::senet18),
    ("densenet121", densenet::densenet121),
    ("resnext29", resnext::resnext29),
    ("mobilenetv2", mobilenet::mobilenetv2),
    ("dpn92", dpn::dpn92),
    ("pnasnet-a", pnasnet::pnasnet_a),
    ("efficientnet-b0", efficientnet::efficientnet_b0),
];

/// Every model's name.
///
/// ```
/// use mexhat::models::{self, ModelOptions};
/// for name in models::NAMES {
///     let net = models::network(name, &ModelOptions { input: [3, 32, 32], ..Default::default() })?;
///     assert_eq!(net.name, name);
/// }
/// # Ok::<(), mexhat::Error>(())
/// ```
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
/// ```
/// use mexhat::models::{self, ModelOptions};
/// let mut net = models::network("lenet", &ModelOptions::default())?;
/// net.relu(); // plain data: more layers may follow
/// let error = models::network("alexnet", &ModelOptions::default()).unwrap_err().to_string();
/// assert!(error.starts_with("unknown model 'alexnet'; expected one of lenet, small"));
/// # Ok::<(), mexhat::Error>(())
/// ```
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
/// ```
/// use mexhat::models::{self, ModelOptions};
/// let mut state = mexhat::tape::State::new();
/// let model = models::build("linear", &ModelOptions { input: [1, 28, 28], classes: 10, ..Default::default() }, &mut state)?;
/// assert_eq!(model.output, [10]);
/// assert_eq!(state.parameter_count(), 784 * 10 + 10);
/// # Ok::<(), mexhat::Error>(())
/// ```
///
/// # Errors
/// The name is unknown, the input is too small for the network, or the whitening's numbers are out of range.
pub fn build(name: &str, options: &ModelOptions, state: &mut State) -> Result<Model> {
    network(name, options)?.build(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parameters with deconvolution and with batch norm, 10 classes, 3x32x32: the paper's Table 1 and what its authors' code has.
    const PARAMETERS: [(&str, usize, usize); 10] = [
        ("vgg16", 14_719_818, 14_728_266),
        ("resnet18", 11_169_162, 11_173_962),
        ("preact18", 11_169_162, 11_171_274),
        ("densenet121", 6_883_018, 6_956_298),
        ("resnext29", 4_761_610, 4_774_218),
        ("mobilenetv2", 2_279_378, 2_296_922),
        ("dpn92", 34_179_970, 34_236_634),
        ("pnasnet-a", 128_226, 130_646),
        ("senet18", 11_258_242, 11_260_354),
        ("efficientnet-b0", 2_912_057, 2_912_089),
    ];

    #[test]
    fn networks_have_the_parameters_of_table_1() -> Result<()> {
        let count = |name, norm| {
            let mut state = State::new();
            build(name, &ModelOptions { norm, input: [3, 32, 32], ..Default::default() }, &mut state)?;
            Ok::<_, Error>(state.parameter_count())
        };
        let mut wrong = Vec::new();
        for (name, deconv, batch) in PARAMETERS {
            let found = (count(name, Norm::Deconv)?, count(name, Norm::Batch)?);
            if found != (deconv, batch) {
                wrong.push(format!("{name}: expected {:?}, found {found:?}", (deconv, batch)));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        Ok(())
    }
}
