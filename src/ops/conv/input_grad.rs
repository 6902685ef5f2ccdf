//! The gradient of a convolution's input.

use super::kind::Kind;
use super::weight::Weight;
use super::{grouped, implicit, pointwise, reference};
use crate::Result;
use crate::ops::patches::geometry::{ConvOptions, Geometry};
use crate::tape::{Array, Launch, Op, Type};

/// `gx = conv_transpose(gy, w)`, shape of `x`, added to what a third input has gathered.
#[derive(Debug)]
pub(super) struct ConvInputGrad {
    pub options: ConvOptions,
    pub x: Type,
    pub weight: Weight,
}

impl Op for ConvInputGrad {
    fn name(&self) -> &'static str {
        "conv2d_input_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.x.clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let groups = self.options.groups;
        let shape = self.weight.shape(self.name(), launch.inputs[1], groups);
        let Some(g) = launch.or_refuse(shape.and_then(|w| Geometry::new(self.name(), &self.x.shape, w, self.options)))
        else {
            return;
        };
        match Kind::launched(&g, &self.weight, launch.profile, launch.reads.len() > 2) {
            Kind::Grouped => {
                let weight = self.weight.launch_rows(launch, launch.reads[1], groups);
                grouped::launch_input_grad(launch, &g, weight);
            }
            Kind::Product => pointwise::launch_input_grad(launch, &g, self.weight.lies_in_rows()),
            Kind::Implicit => implicit::launch_input_grad(launch, &g, &self.weight),
        }
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let weight = self.weight.rows(inputs[1], self.options.groups);
        let gx = reference::input_grad(inputs[0], &weight, &self.x.shape, self.options);
        vec![inputs.get(2).map_or_else(|| gx.clone(), |gathered| gx.zip(gathered, |a, b| a + b))]
    }
}
