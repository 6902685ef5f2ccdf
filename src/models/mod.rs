//! The architectures, each a short function that writes down a [`Network`], with deconvolution, batch norm, one of
//! their relatives or nothing in its joints.
//!
//! ```
//! use mexhat::models::{self, ModelOptions};
//! use mexhat::nn::Norm;
//! let options = ModelOptions { norm: Norm::Batch, input: [3, 32, 32], ..Default::default() };
//! let net = models::network("resnet18", &options)?;
//! assert_eq!(net.nodes[2].name.as_deref(), Some("layer1.0"));
//! # Ok::<(), mexhat::Error>(())
//! ```

mod deep;
#[cfg(all(reference, zoo))]
mod deeplab;
#[cfg(zoo)]
mod densenet;
#[cfg(zoo)]
mod dpn;
#[cfg(zoo)]
mod efficientnet;
mod file;
#[cfg(zoo)]
mod imagenet;
mod lenet;
#[cfg(not(target_arch = "wasm32"))]
mod mistakes;
mod mlp;
#[cfg(zoo)]
mod mobilenet;
mod options;
#[cfg(zoo)]
mod pnasnet;
#[cfg(zoo)]
mod preact;
#[cfg(zoo)]
mod resnet;
#[cfg(zoo)]
mod resnext;
mod small;
#[cfg(zoo)]
mod vgg;
mod yardstick;

pub use crate::nn::{Model, Norm};
pub use file::NetworkFile;
pub use options::ModelOptions;

use crate::nn::Network;
use crate::tape::State;
use crate::{Error, Result};

/// An architecture: its layers, appended to a network without any, for `options.classes` outputs.
type Write = fn(&mut Network, &ModelOptions);

/// Every architecture under its name: one more takes a file, its `mod` line above and a line here. Those of the feature
/// `zoo` no page names, which then need not download them.
const MODELS: &[(&str, Write)] = &[
    ("lenet", lenet::lenet),
    ("small", small::small),
    ("deep", deep::deep),
    ("mlp", mlp::mlp),
    ("linear", mlp::linear),
    ("yardstick", yardstick::yardstick),
    #[cfg(zoo)]
    ("vgg11", vgg::vgg11),
    #[cfg(zoo)]
    ("vgg13", vgg::vgg13),
    #[cfg(zoo)]
    ("vgg16", vgg::vgg16),
    #[cfg(zoo)]
    ("vgg19", vgg::vgg19),
    #[cfg(zoo)]
    ("resnet18", resnet::resnet18),
    #[cfg(zoo)]
    ("preact18", preact::preact18),
    #[cfg(zoo)]
    ("senet18", preact::senet18),
    #[cfg(zoo)]
    ("densenet121", densenet::densenet121),
    #[cfg(zoo)]
    ("resnext29", resnext::resnext29),
    #[cfg(zoo)]
    ("mobilenetv2", mobilenet::mobilenetv2),
    #[cfg(zoo)]
    ("dpn92", dpn::dpn92),
    #[cfg(zoo)]
    ("pnasnet-a", pnasnet::pnasnet_a),
    #[cfg(zoo)]
    ("efficientnet-b0", efficientnet::efficientnet_b0),
    #[cfg(zoo)]
    ("vgg11-imagenet", imagenet::vgg11),
    #[cfg(zoo)]
    ("resnet18-imagenet", imagenet::resnet18),
    #[cfg(zoo)]
    ("resnet50-imagenet", imagenet::resnet50),
    #[cfg(zoo)]
    ("densenet121-imagenet", imagenet::densenet121),
    // Networks that put out a map of classes, for which the page has no data.
    #[cfg(all(reference, zoo))]
    ("deeplabv3-resnet50", deeplab::deeplabv3),
    #[cfg(all(reference, zoo))]
    ("deeplabv3-resnet50-aux", deeplab::deeplabv3_aux),
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
        num_groups: options.num_groups,
        ..Network::new(options.input).norm(options.norm).whitening(options.whitening).seed(options.seed)
    };
    write(&mut net, options);
    Ok(if options.width == 1.0 { net } else { net.scale_width(options.width) })
}

/// The network called `name` built, its tensors added to `state`.
///
/// ```
/// use mexhat::models::{self, ModelOptions};
/// let mut state = mexhat::nn::State::new();
/// let options = ModelOptions { input: [1, 28, 28], classes: 10, ..Default::default() };
/// let model = models::build("linear", &options, &mut state)?;
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

    /// Parameters with deconvolution and with batch norm, 10 classes, 3x32x32: the paper's Table 1 and what its
    /// authors' code has.
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

    /// As torchvision counts them with batch norm (VGG-11 with and without), 1000 classes; with deconvolution a
    /// convolution has a bias in place of batch norm's two values for a channel, but in a ResNet's shortcut, which has
    /// all three.
    const IMAGENET: [(&str, usize, usize); 4] = [
        ("vgg11-imagenet", 132_863_336, 132_868_840),
        ("resnet18-imagenet", 11_689_512 - 4_800 + 2 * 896, 11_689_512),
        ("resnet50-imagenet", 25_557_032 - 26_560 + 2 * 3_840, 25_557_032),
        ("densenet121-imagenet", 7_978_856 - 83_648 + 10_240, 7_978_856),
    ];

    fn parameters(name: &str, options: ModelOptions) -> Result<usize> {
        let mut state = State::new();
        let model = build(name, &options, &mut state)?;
        assert_eq!(model.output, [options.classes], "{name}");
        Ok(state.parameter_count())
    }

    fn held_to(table: &[(&str, usize, usize)], options: &ModelOptions) -> Result<()> {
        let mut wrong = Vec::new();
        for (name, deconv, batch) in table {
            let count = |norm| parameters(name, ModelOptions { norm, ..options.clone() });
            let found = (count(Norm::Deconv)?, count(Norm::Batch)?);
            if found != (*deconv, *batch) {
                wrong.push(format!("{name}: expected {:?}, found {found:?}", (deconv, batch)));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        Ok(())
    }

    #[test]
    fn networks_have_the_parameters_of_table_1() -> Result<()> {
        held_to(&PARAMETERS, &ModelOptions { input: [3, 32, 32], ..Default::default() })
    }

    #[test]
    fn networks_of_table_2_have_the_parameters_of_torchvision() -> Result<()> {
        held_to(&IMAGENET, &ModelOptions { input: [3, 224, 224], classes: 1000, ..Default::default() })
    }

    #[test]
    fn deeplabv3_has_the_parameters_of_torchvision() -> Result<()> {
        let count = |name, norm| {
            let options = ModelOptions { norm, input: [3, 65, 81], classes: 21, ..Default::default() };
            let mut state = State::new();
            assert_eq!(build(name, &options, &mut state)?.output, [21, 65, 81], "{name}");
            Ok::<_, Error>(state.parameter_count())
        };
        let (whole, auxiliary) = ("deeplabv3-resnet50", "deeplabv3-resnet50-aux");
        let head = 1024 * 256 * 9 + 21 * (256 + 1);
        let batch = count(whole, Norm::Batch)?;
        assert_eq!((batch, count(auxiliary, Norm::Batch)?), (42_004_074 - head - 2 * 256, 42_004_074));
        // With deconvolution a convolution has a bias in place of batch norm's two values for a channel, but in
        // shortcuts, which have all.
        let shortcuts = 256 + 512 + 1024 + 2048;
        let others = 26_560 - shortcuts + 7 * 256;
        assert_eq!(count(whole, Norm::Deconv)?, batch - others + shortcuts);
        assert_eq!(count(auxiliary, Norm::Deconv)?, batch - others + shortcuts + head + 256);
        Ok(())
    }

    #[test]
    fn deeplabv3_can_be_narrow_and_keeps_its_classes() -> Result<()> {
        for norm in [Norm::Deconv, Norm::Batch, Norm::None] {
            let options = ModelOptions { norm, width: 0.125, input: [3, 64, 64], classes: 5, ..Default::default() };
            let model = build("deeplabv3-resnet50-aux", &options, &mut State::new())?;
            assert_eq!(model.output, [5, 64, 64]);
        }
        Ok(())
    }

    #[test]
    fn every_network_can_be_a_quarter_as_wide() -> Result<()> {
        for (name, whole, _) in PARAMETERS {
            let options = ModelOptions { width: 0.25, input: [3, 32, 32], ..Default::default() };
            let share = parameters(name, options)? as f64 / whole as f64;
            assert!((0.05..0.3).contains(&share), "{name}: {share}");
        }
        Ok(())
    }

    #[test]
    fn every_network_can_be_an_eighth_as_wide_with_every_norm() -> Result<()> {
        const NORMS: [Norm; 3] = [Norm::Deconv, Norm::Batch, Norm::None];
        for (name, norm) in NAMES.into_iter().flat_map(|name| NORMS.map(|norm| (name, norm))) {
            // 44 channels have no eighth.
            let width = if name == "pnasnet-a" { 0.25 } else { 0.125 };
            let options = ModelOptions { norm, width, input: [3, 64, 64], ..Default::default() };
            let found = network(name, &options)?.build(&mut State::new());
            assert!(
                found.is_ok(),
                "{name}, {norm}: {}",
                found.map_or_else(|error| error.to_string(), |_| String::new())
            );
        }
        Ok(())
    }

    #[test]
    fn networks_of_table_2_take_other_sides_and_any_number_of_classes() -> Result<()> {
        for (name, ..) in IMAGENET {
            for (side, classes) in [(64, 3), (192, 7)] {
                parameters(name, ModelOptions { input: [3, side, side], classes, ..Default::default() })?;
            }
        }
        Ok(())
    }
}
