//! What training makes small.

use crate::data::{IGNORED, Images};
use crate::ops::{self, CrossEntropyOptions};
use crate::optim::Scalars;
use crate::tape::{DType, Tape, Var};
use crate::{Error, Result};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Appends a loss: of the network's output and the targets, one value of shape `[1]`.
type Record = dyn Fn(&mut Tape, Var, Var) -> Result<Var> + Send + Sync;

/// What training makes small, as the mean over a batch.
///
/// ```
/// use mexhat::{ops, train::Loss};
/// let halved = Loss::labels(|tape, output, labels| {
///     let loss = ops::cross_entropy(tape, output, labels, Default::default())?;
///     ops::mul(tape, loss, loss, 0.5)
/// });
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Loss {
    /// Cross-entropy of the softmax with labels. Of a map of classes, here and below, each pixel has one, and those of
    /// 255 ([`IGNORED`](crate::data::IGNORED)) do not count: the mean is over the others, and 0 where there is none.
    #[default]
    CrossEntropy,
    /// As [`Loss::CrossEntropy`], but in training this share of each label, 0 to 1, is spread over all classes. Test
    /// losses are those of the labels as they are.
    LabelSmoothing(f32),
    /// As [`Loss::LabelSmoothing`] with a weight for each class, as PyTorch's `CrossEntropyLoss(weight)`: the mean is
    /// over the weights of the labels. Test losses are without weights.
    ClassWeights {
        /// One for each class.
        weights: Arc<[f32]>,
        /// Share of each label that is spread over all classes; 0 for none.
        label_smoothing: f32,
    },
    /// `s a + (1 - s) b` of the two cross-entropies with the labels of two images, as [`Loss::LabelSmoothing`], for
    /// images that are averages of two, in shares of s and 1 - s. A trainer with
    /// [`mixup`](crate::train::Options::mixup) gives it such targets.
    #[doc(hidden)]
    #[cfg(not(target_arch = "wasm32"))]
    Mixup {
        /// Share of each label that is spread over all classes; 0 for none.
        label_smoothing: f32,
    },
    /// `1/2 |output - onehot(label)|^2`.
    LeastSquares,
    /// `mean (output - value)^2`, for values in place of labels.
    MeanSquares,
    /// A loss of the user's against labels, u32 (N).
    Labels(Arc<Record>),
    /// A loss of the user's against values of the output's shape.
    Values(Arc<Record>),
}

impl Loss {
    /// A loss of the user's against labels: appends, to the tape, a value of shape `[1]` made of the output and the
    /// labels.
    ///
    /// # Errors
    /// None here: the first step or evaluation returns those of `record`, or that its result is not of shape `[1]`.
    pub fn labels(record: impl Fn(&mut Tape, Var, Var) -> Result<Var> + Send + Sync + 'static) -> Self {
        Self::Labels(Arc::new(record))
    }

    /// As [`Loss::labels`], against values of the output's shape.
    ///
    /// # Errors
    /// As [`Loss::labels`].
    pub fn values(record: impl Fn(&mut Tape, Var, Var) -> Result<Var> + Send + Sync + 'static) -> Self {
        Self::Values(Arc::new(record))
    }

    pub(super) fn takes_labels(&self) -> bool {
        !matches!(self, Self::MeanSquares | Self::Values(_))
    }

    /// What a trained network is judged by.
    pub(super) fn judging(&self) -> &Self {
        match self {
            Self::LabelSmoothing(_) | Self::ClassWeights { .. } => &Self::CrossEntropy,
            #[cfg(not(target_arch = "wasm32"))]
            Self::Mixup { .. } => &Self::CrossEntropy,
            other => other,
        }
    }

    /// The inputs that take the targets of `images` outputs of shape `output` (without N), and behind them the weights
    /// of classes, or the labels of what is mixed in and both shares.
    pub(super) fn targets(&self, tape: &mut Tape, images: usize, output: &[usize]) -> (Var, Vec<Var>) {
        let per_image = if self.takes_labels() { &output[1..] } else { output };
        let shape: Vec<usize> = std::iter::once(images).chain(per_image.iter().copied()).collect();
        let targets = if self.takes_labels() {
            tape.input("labels", &shape, DType::U32)
        } else {
            tape.input("targets", &shape, DType::F32)
        };
        let more = match self {
            Self::ClassWeights { weights, .. } => vec![tape.input("class weights", &[weights.len()], DType::F32)],
            #[cfg(not(target_arch = "wasm32"))]
            Self::Mixup { .. } => {
                let mixed = tape.input("mixed labels", &shape, DType::U32);
                let shares = ["share", "mixed share"].map(|name| tape.input(name, &[1], DType::F32));
                std::iter::once(mixed).chain(shares).collect()
            }
            _ => Vec::new(),
        };
        (targets, more)
    }

    /// What a training step is given, in the order of its inputs.
    pub(super) fn inputs<'a>(
        &'a self,
        images: Images<'a>,
        targets: &'a [u8],
        scalars: &'a Scalars,
    ) -> Vec<Cow<'a, [u8]>> {
        let mut inputs: Vec<_> = images.inputs().map(Cow::Borrowed).collect();
        match self {
            #[cfg(not(target_arch = "wasm32"))]
            Self::Mixup { .. } => inputs.extend(mixed(targets).into_iter().map(Cow::Owned)),
            _ => inputs.push(targets.into()),
        }
        if let Self::ClassWeights { weights, .. } = self {
            inputs.push(Cow::Borrowed(bytemuck::cast_slice(weights)));
        }
        inputs.push(scalars.bytes().into());
        inputs
    }

    /// Appends the loss of `output`, and how many outputs are right where there are labels.
    pub(super) fn record(
        &self,
        tape: &mut Tape,
        output: Var,
        (targets, more): (Var, &[Var]),
    ) -> Result<(Var, Option<Var>)> {
        let ignore_index = is_map(tape.shape(output)).then_some(u32::from(IGNORED));
        if let (Self::ClassWeights { label_smoothing, .. }, &[weights]) = (self, more) {
            let options = CrossEntropyOptions { label_smoothing: *label_smoothing, ignore_index };
            let found = ops::cross_entropy_weighted(tape, output, targets, weights, options)?;
            return Ok((found.loss, Some(found.hits)));
        }
        #[cfg(not(target_arch = "wasm32"))]
        if let (&Self::Mixup { label_smoothing }, &[mixed, share, rest]) = (self, more) {
            let options = CrossEntropyOptions { label_smoothing, ..Default::default() };
            let own = ops::cross_entropy_hits(tape, output, targets, options)?;
            let other = ops::cross_entropy(tape, output, mixed, options)?;
            let (own_part, other_part) = (ops::mul(tape, own.loss, share, 1.0)?, ops::mul(tape, other, rest, 1.0)?);
            return Ok((ops::add(tape, own_part, other_part)?, Some(own.hits)));
        }
        let loss = match self {
            Self::CrossEntropy | Self::LabelSmoothing(_) | Self::ClassWeights { .. } => {
                let label_smoothing = if let Self::LabelSmoothing(share) = self { *share } else { 0.0 };
                let options = CrossEntropyOptions { label_smoothing, ignore_index };
                let found = ops::cross_entropy_hits(tape, output, targets, options)?;
                return Ok((found.loss, Some(found.hits)));
            }
            #[cfg(not(target_arch = "wasm32"))]
            Self::Mixup { .. } => return Err(Error::Run("mixed labels are missing".into())),
            Self::LeastSquares => ops::least_squares_labels(tape, output, targets)?,
            Self::MeanSquares => ops::mse_loss(tape, output, targets)?,
            Self::Labels(record) | Self::Values(record) => record(tape, output, targets)?,
        };
        if tape.shape(loss) != [1] {
            return Err(Error::shape("loss", format!("expected one value of shape [1], found {}", tape.ty(loss))));
        }
        if !self.takes_labels() {
            return Ok((loss, None));
        }
        let options = CrossEntropyOptions { ignore_index, ..Default::default() };
        let found = ops::cross_entropy_hits(tape, output, targets, options)?;
        Ok((loss, Some(found.hits)))
    }
}

/// Whether an output of this shape, with N, is a map of classes.
fn is_map(shape: &[usize]) -> bool {
    // The page's networks have none.
    cfg!(not(target_arch = "wasm32")) && shape.len() == 4
}

/// How many of these labels count, for a network that puts out `output` for an image.
pub(in crate::train) fn counted(labels: &[u32], output: &[usize]) -> usize {
    if output.len() != 3 {
        return labels.len();
    }
    labels.iter().filter(|label| **label != u32::from(IGNORED)).count()
}

/// The labels, those of what is mixed in, and both shares, from three numbers for each image: two labels and the bits
/// of the first share.
#[cfg(not(target_arch = "wasm32"))]
fn mixed(targets: &[u8]) -> [Vec<u8>; 4] {
    let images = targets.as_chunks::<12>().0;
    let column = |at: usize| images.iter().flat_map(|image| image[at..at + 4].iter().copied()).collect::<Vec<u8>>();
    // All images of a batch have the same.
    let share = images.first().map_or(1.0, |image| f32::from_le_bytes([image[8], image[9], image[10], image[11]]));
    [column(0), column(4), share.to_le_bytes().to_vec(), (1.0 - share).to_le_bytes().to_vec()]
}

impl fmt::Debug for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CrossEntropy => "CrossEntropy",
            Self::LabelSmoothing(share) => return write!(f, "LabelSmoothing({share})"),
            Self::ClassWeights { weights, .. } => return write!(f, "ClassWeights({weights:?})"),
            #[cfg(not(target_arch = "wasm32"))]
            Self::Mixup { label_smoothing } => return write!(f, "Mixup({label_smoothing})"),
            Self::LeastSquares => "LeastSquares",
            Self::MeanSquares => "MeanSquares",
            Self::Labels(_) => "Labels(..)",
            Self::Values(_) => "Values(..)",
        })
    }
}
