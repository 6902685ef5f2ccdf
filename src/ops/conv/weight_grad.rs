//! The gradient of a convolution's weight.

use super::kind::Kind;
use super::weight::Weight;
use super::weight_columns::{columns_of, launch_columns};
use super::{grouped, implicit_weight_grad, pointwise, reference};
use crate::Result;
use crate::ops::patches::geometry::{ConvOptions, Geometry};
use crate::tape::{Array, Launch, Op, Type};

/// `gw[o,c,u,v] = sum over positions of x gy`, of type `w`; inputs: x, gy and, where there is one, the mean that is
/// taken off x.
#[derive(Debug)]
pub(super) struct ConvWeightGrad {
    pub options: ConvOptions,
    pub w: Type,
    pub weight: Weight,
}

impl Op for ConvWeightGrad {
    fn name(&self) -> &'static str {
        "conv2d_weight_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![self.w.clone()])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let (groups, write) = (self.options.groups, launch.writes[0]);
        let x_ty = launch.inputs[0];
        let shape = self.weight.shape(self.name(), &self.w, groups);
        let Some(g) = launch.or_refuse(shape.and_then(|w| Geometry::new(self.name(), &x_ty.shape, w, self.options)))
        else {
            return;
        };
        match Kind::launched(&g, &self.weight, launch.profile, false) {
            Kind::Grouped => match &self.weight {
                Weight::Rows => grouped::launch_weight_grad(launch, &g, write),
                Weight::Columns(shape) => {
                    let rows = launch.scratch("rows", shape.iter().product());
                    grouped::launch_weight_grad(launch, &g, rows);
                    launch_columns(launch, rows, shape, groups, write);
                }
            },
            Kind::Product => pointwise::launch_weight_grad(launch, &g, self.weight.lies_in_rows()),
            Kind::Implicit => implicit_weight_grad::launch_weight_grad(launch, g, &self.weight),
        }
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let groups = self.options.groups;
        let shape = if let Weight::Columns(shape) = &self.weight { shape } else { &self.w.shape };
        let mut gw = reference::weight_grad(inputs[0], inputs[1], shape, self.options);
        if let Some(mean) = inputs.get(2) {
            reference::center_weight_grad(&mut gw, mean, inputs[1], groups);
        }
        vec![if self.weight.lies_in_rows() { gw } else { columns_of(&gw, groups) }]
    }
}
