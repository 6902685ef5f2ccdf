//! Room for D, which grows with the fourth power of a kernel's side and the square of a block: a layer whose weight is
//! small may have one that no adapter takes.

use crate::ops::BlockLayout;
use crate::tape::State;
use crate::{Error, Result};

/// Most values of D: 4 GiB.
const MOST_VALUES: usize = 1 << 30;

/// Refuses the D of the layer `name` where it would not fit, before it is made.
///
/// # Errors
/// [`Error::Limit`], [`Error::Memory`] or [`Error::Usage`], with what makes D as large and what makes it smaller.
pub(super) fn room_for_d(state: &State, name: &str, layout: &BlockLayout) -> Result<()> {
    let (s, d) = (layout.statistics(), layout.d);
    let values = d.checked_mul(d).and_then(|values| values.checked_mul(s));
    if values.is_none_or(|values| values > MOST_VALUES) {
        return Err(Error::Usage(format!("{}, more than {MOST_VALUES} values", about(name, layout))));
    }
    state.room_for(&[s, d, d]).map_err(|error| match error {
        Error::Limit { adapter, limit, need, offer, .. } => {
            Error::Limit { adapter, limit, need, offer, cure: about(name, layout) }
        }
        Error::Memory { owner, need, offer, .. } => Error::Memory { owner, need, offer, cure: about(name, layout) },
        other => other,
    })
}

/// How large D is, why, and what to do.
fn about(name: &str, layout: &BlockLayout) -> String {
    let BlockLayout { kernel, d, .. } = *layout;
    let block = d / (kernel * kernel);
    let each = match layout.statistics() {
        1 => String::new(),
        s => format!(" for each of {s} blocks"),
    };
    let (from, smaller) = match (kernel, block) {
        (1, _) => (format!("the {block} features of a block"), "a smaller block"),
        (_, 1) => (format!("1 channel in a block x {kernel} x {kernel} taps"), "a smaller kernel"),
        _ => (format!("{block} channels in a block x {kernel} x {kernel} taps"), "a smaller kernel, a smaller block"),
    };
    format!(
        "the deconvolution of layer '{name}' has a D of {d} x {d}{each}, {from}: give it {smaller} or norm batch; batch size \
         and sampling stride do not change D"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{BlockMode, Conv, Network, Whitening};

    #[test]
    fn a_d_that_cannot_be_is_refused_with_its_kernel_and_block() {
        let refused = |channels: usize, kernel: usize, block: usize| {
            let whitening = Whitening { mode: BlockMode::Paper, block, ..Default::default() };
            let mut net = Network::new([channels, 8, 8]).whitening(whitening);
            net.conv(Conv::new(1, kernel));
            net.build(&mut State::new()).unwrap_err().to_string()
        };
        let error = refused(1, 999, 64);
        assert!(
            error.contains("layer 'conv1' has a D of 998001 x 998001, 1 channel in a block x 999 x 999"),
            "{error}"
        );
        assert!(error.contains("give it a smaller kernel or norm batch"), "{error}");
        let error = refused(8, 99, 2);
        assert!(error.contains("19602 x 19602 for each of 4 blocks, 2 channels in a block x 99 x 99"), "{error}");
        assert!(error.contains("a smaller kernel, a smaller block or norm batch"), "{error}");
    }
}
