//! `kernels.png`: what the first layer looks for.

use super::ModelSpec;
use crate::Result;
use crate::models::Model;
use crate::tape::State;
use crate::viz::{KernelSheet, central_kernels, png, weight_sheet};

/// The first layer's deconvolution kernels, or its weights where it has none, as a PNG; `None` when there is no layer.
pub(super) fn kernels_png(spec: &ModelSpec, model: &Model, state: &State) -> Result<Option<Vec<u8>>> {
    let title = format!("{} on {}", spec.net.model, crate::data::title(&spec.data));
    if let Some(first) = &model.first {
        let (layout, deconv) = (first.layout(), state.get(first.running().1));
        let (k, d) = (layout.kernel, layout.d);
        let channels = d / (k * k);
        let kernels = central_kernels(&deconv.values[..d * d], channels, k)?;
        let note = "the first layer's deconvolution, averaged over training steps";
        let sheet = KernelSheet { kernels: &kernels, channels, k, title: &title, note, scale: None };
        return Ok(Some(png(&sheet.draw()?)));
    }
    let Some(id) = state.parameters().into_iter().find(|id| state.get(*id).ty.shape.len() >= 2) else {
        return Ok(None);
    };
    let weight = state.get(id);
    let [c, h, w] = spec.input;
    let (outputs, inputs, k) = match weight.ty.shape[..] {
        [o, i, k, _] => (o, i, k),
        // A linear layer on pixels: its rows are pictures.
        [o, features] if features == c * h * w && h == w => (o, c, h),
        [o, features] => (o, features, 1),
        _ => return Ok(None),
    };
    let sheet = weight_sheet(&weight.values, &[], outputs, inputs, k, &title)?;
    Ok(Some(png(&sheet)))
}

impl super::Trainer {
    /// `kernels.png` as of the last snapshot.
    ///
    /// # Errors
    /// The picture could not be drawn.
    pub fn kernels_png(&self) -> Result<Option<Vec<u8>>> {
        kernels_png(self.spec(), self.model(), self.state())
    }
}
