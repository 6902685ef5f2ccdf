//! What keeps the statistics of a network's layers in order.

use crate::named::named;

named! {
    /// What stands in a network's joints.
    ///
    /// ```
    /// use mexhat::nn::{Conv, Network, Norm};
    /// let mut net = Network::new([3, 32, 32]).norm("batch".parse()?);
    /// net.conv(Conv::new(16, 3)).relu();
    /// net.conv(Conv::new(16, 1).norm(Norm::None)); // this layer alone
    /// assert_eq!(net.norm, Norm::Batch);
    /// let error = "instance".parse::<Norm>().unwrap_err().to_string();
    /// assert_eq!(error, "unknown norm 'instance'; expected one of deconv, batch, group, layer, iterative, none");
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    #[derive(Default)]
    pub enum Norm: "norm" {
        /// Every layer whitens its input (network deconvolution).
        #[default]
        Deconv = "deconv",
        /// Batch norm after every convolution, none in the classifier.
        Batch = "batch",
        /// Group norm after every convolution (Wu & He 2018), none in the classifier: each image by itself.
        Group = "group",
        /// As `Group` with one group, which is layer norm over (C,H,W) with a weight and a bias for each channel.
        Layer = "layer",
        /// Iterative norm after every convolution (Huang et al. 2019), none in the classifier: batch norm that
        /// decorrelates channels.
        Iterative = "iterative",
        /// Nothing.
        None = "none",
    }
}

impl Norm {
    /// What the name of a layer ends in that normalises another's outputs, where this norm puts one.
    pub(crate) fn behind(self) -> Option<&'static str> {
        match self {
            Self::Deconv | Self::None => None,
            Self::Batch => Some("_bn"),
            Self::Group => Some("_gn"),
            Self::Layer => Some("_ln"),
            Self::Iterative => Some("_iter"),
        }
    }
}
