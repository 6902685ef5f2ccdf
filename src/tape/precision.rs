//! Which values lie in storage as 16-bit floats.

use super::{DType, Layout, Source, Tape};
use crate::named::named;

named! {
    /// How a training step stores activations and their gradients. All arithmetic is f32, and parameters, statistics,
    /// covariances, D, logits, losses and what the update rule keeps are stored in f32 in any case.
    ///
    /// ```
    /// use mexhat::train::{Precision, Sgd, Update};
    /// let update = Update::from(Sgd::new(0.1)).precision(Precision::F16);
    /// assert_eq!("f16".parse::<Precision>()?, update.precision);
    /// # Ok::<(), mexhat::Error>(())
    /// ```
    #[derive(Default)]
    pub enum Precision: "precision" {
        /// 32-bit floats.
        #[default]
        F32 = "f32",
        /// 16-bit floats, with gradients scaled so that small ones do not vanish (PyTorch's `GradScaler`).
        F16 = "f16",
    }
}

impl Precision {
    /// Whether maps lie in 16-bit floats. No page offers that, nor downloads what it takes.
    #[inline(always)]
    pub(crate) fn is_half(self) -> bool {
        cfg!(not(target_arch = "wasm32")) && self == Self::F16
    }
}

impl Tape {
    /// The same tape, which stores activations in `precision`.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// For each value whether it lies in f16: what operations make of maps of more than one pixel, unless one of them
    /// is [exact](super::Op::exact).
    pub(crate) fn halves(&self) -> Vec<bool> {
        if !self.precision.is_half() {
            return vec![false; self.vars().len()];
        }
        let map = |shape: &[usize]| matches!(shape, [_, _, h, w] if h * w > 1);
        let suits = |info: &super::VarInfo| {
            let ty = &info.ty;
            info.source == Source::Computed && ty.layout == Layout::Vec4 && ty.dtype == DType::F32 && map(&ty.shape)
        };
        let mut halves: Vec<bool> = self.vars().iter().map(suits).collect();
        for node in self.nodes().iter().filter(|node| node.op.exact()) {
            for var in node.inputs.iter().chain(&node.outputs) {
                halves[self.root(*var).0] = false;
            }
        }
        halves
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Result;
    use crate::gpu::{Profile, SlotKind};
    use crate::ops;
    use crate::tape::lower;

    #[test]
    fn maps_are_halved_and_logits_are_not() -> Result<()> {
        let mut tape = Tape::new().with_precision(Precision::F16);
        let x = tape.leaf("x", &[2, 4, 6, 6]);
        let weight = tape.leaf("weight", &[8, 4, 1, 1]);
        let labels = tape.input("labels", &[2, 6, 6], DType::U32);
        let x4 = ops::to_vec4(&mut tape, x)?;
        let hidden = ops::relu(&mut tape, x4)?;
        let logits = ops::conv2d(&mut tape, hidden, weight, None, Default::default())?;
        let loss = ops::cross_entropy(&mut tape, logits, labels, Default::default())?;
        let gradients = tape.backward(loss)?;
        let halves = tape.halves();
        assert_eq!(
            [x, weight, x4, hidden, logits, loss].map(|var| halves[var.0]),
            [false, false, true, true, false, false]
        );
        assert!(!halves[gradients.get(weight).expect("a gradient").0]);
        let program = lower(&tape, Profile::GPU)?;
        let bytes = |half: bool| {
            let slots = program.slots.iter().filter(|slot| slot.half == half && slot.kind == SlotKind::Transient);
            slots.map(|slot| slot.bytes).max()
        };
        // x, hidden and their gradients; logits and theirs.
        assert_eq!((bytes(true), bytes(false)), (Some(2 * 4 * 36 * 2), Some(2 * 8 * 36 * 4)));
        assert!(tape.with_precision(Precision::F32).halves().iter().all(|half| !half));
        Ok(())
    }
}
