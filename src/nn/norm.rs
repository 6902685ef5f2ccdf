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
    /// let error = "layer".parse::<Norm>().unwrap_err().to_string();
    /// assert_eq!(error, "unknown norm 'layer'; expected one of deconv, batch, none");
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    #[derive(Default)]
    pub enum Norm: "norm" {
        /// Every layer whitens its input (network deconvolution).
        #[default]
        Deconv = "deconv",
        /// Batch norm after every convolution, none in the classifier.
        Batch = "batch",
        /// Nothing.
        None = "none",
    }
}
