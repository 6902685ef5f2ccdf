//! What keeps the statistics of a network's layers in order.

use crate::named::named;

named! {
    /// What stands in a network's joints.
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
