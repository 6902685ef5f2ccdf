//! The architectures (spec 12), each a short function of layers, with deconvolution, batch norm or nothing in its joints.

mod build;
mod lenet;
mod mlp;
mod resnet;
mod vgg;
mod yardstick;

pub use build::{Model, ModelOptions, Norm};

use crate::tape::State;
use crate::{Error, Result};
use build::Build;

/// Every model's name.
pub const NAMES: &[&str] = &["lenet", "mlp", "linear", "yardstick", "vgg11", "vgg13", "vgg16", "resnet18"];

/// The network called `name`, its tensors added to `state`.
///
/// # Errors
/// The name is unknown, the input is too small for the network, or the whitening's numbers are out of range.
pub fn build(name: &str, options: &ModelOptions, state: &mut State) -> Result<Model> {
    let mut build = Build::new(options, state)?;
    match name {
        "lenet" => lenet::lenet(&mut build)?,
        "mlp" => mlp::mlp(&mut build)?,
        "linear" => mlp::linear(&mut build)?,
        "yardstick" => yardstick::yardstick(&mut build)?,
        "vgg11" => vgg::vgg(&mut build, vgg::VGG11)?,
        "vgg13" => vgg::vgg(&mut build, vgg::VGG13)?,
        "vgg16" => vgg::vgg(&mut build, vgg::VGG16)?,
        "resnet18" => resnet::resnet18(&mut build)?,
        _ => return Err(Error::Usage(format!("unknown model '{name}'; expected one of {}", NAMES.join(", ")))),
    }
    Ok(build.finish(name))
}
