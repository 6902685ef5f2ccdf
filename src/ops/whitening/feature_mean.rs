//! The mean of every feature of a layer, from those of its blocks (method, section 3).

use crate::Result;
use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::expect_same;
use crate::ops::patches::blocks::BlockLayout;
use crate::tape::{Array, Backward, Launch, Op, Tape, Type, Var};

kernel_params! {
    struct FeatureMeanParams { items: u32, features: u32, blocks: u32, d: u32, d4: u32, pooled: u32, interleaved: u32 }
}

static FEATURE_MEAN: Shader = Shader::with_variants::<FeatureMeanParams>(
    "whitening/feature_mean.wgsl",
    1,
    1,
    &[&[("ADJOINT", 0)], &[("ADJOINT", 1)]],
);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&FEATURE_MEAN];

/// The mean (S,d) of a layer's blocks as that of each of its flat features, (1,F): blocks that share a statistic repeat
/// it. Reads and writes F elements, none where they lie so already.
///
/// # Errors
/// The mean is not of such blocks.
pub fn feature_mean(tape: &mut Tape, mean: Var, layout: BlockLayout) -> Result<Var> {
    expect_same("feature_mean", tape.ty(mean), &blocks(layout))?;
    let in_order = layout.blocks == 1 || (!layout.pooled && layout.d.is_multiple_of(4));
    if in_order { tape.view(mean, &[1, layout.features()]) } else { tape.apply1(FeatureMean { layout }, &[mean]) }
}

fn blocks(layout: BlockLayout) -> Type {
    Type::vec4(&[layout.statistics(), layout.d])
}

fn launch_it(launch: &mut Launch<'_>, layout: BlockLayout, adjoint: bool) {
    let (features, d4) = (layout.features(), layout.d.div_ceil(4));
    let items = if adjoint { layout.statistics() * d4 } else { features.div_ceil(4) };
    let params = FeatureMeanParams {
        items: items as u32,
        features: features as u32,
        blocks: layout.blocks as u32,
        d: layout.d as u32,
        d4: d4 as u32,
        pooled: u32::from(layout.pooled),
        interleaved: u32::from(layout.interleaved),
    };
    let (x, y) = (launch.reads[0], launch.writes[0]);
    launch.flat(Kernel::new(&FEATURE_MEAN, usize::from(adjoint)), &params, &[x], &[y], items);
}

/// For every feature, its place in the mean of the blocks.
fn places(layout: BlockLayout) -> impl Iterator<Item = (usize, usize)> {
    let entries = move |j| (0..layout.d).map(move |i| (j, i));
    let place = move |(j, i)| (layout.feature(j, i), if layout.pooled { i } else { j * layout.d + i });
    (0..layout.blocks).flat_map(entries).map(place)
}

#[derive(Debug)]
struct FeatureMean {
    layout: BlockLayout,
}

impl Op for FeatureMean {
    fn name(&self) -> &'static str {
        "feature_mean"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![Type::vec4(&[1, self.layout.features()])])
    }

    fn differentiable(&self) -> bool {
        true
    }

    fn backward(&self, context: &mut Backward<'_>) -> Result<Vec<Option<Var>>> {
        let grad = context.grad(0)?;
        Ok(vec![context.when(0, FeatureMeanGrad { layout: self.layout }, &[grad])?])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        launch_it(launch, self.layout, false);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let mut features = Array::zeros(&[1, self.layout.features()]);
        places(self.layout).for_each(|(feature, at)| features.data[feature] = inputs[0].data[at]);
        vec![features]
    }
}

/// The adjoint of [`FeatureMean`].
#[derive(Debug)]
struct FeatureMeanGrad {
    layout: BlockLayout,
}

impl Op for FeatureMeanGrad {
    fn name(&self) -> &'static str {
        "feature_mean_grad"
    }

    fn infer(&self, _: &[&Type]) -> Result<Vec<Type>> {
        Ok(vec![blocks(self.layout)])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        launch_it(launch, self.layout, true);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let mut sums = Array::zeros(&blocks(self.layout).shape);
        places(self.layout).for_each(|(feature, at)| sums.data[at] += inputs[0].data[feature]);
        vec![sums]
    }
}
