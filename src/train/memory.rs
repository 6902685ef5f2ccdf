//! What a run needs of a device, found out on paper: nothing of the device's memory is taken. For advice that holds.

use super::learner::{Loss, record};
use super::{ModelSpec, NetOptions, RunPlan, Update};
use crate::data::Form;
use crate::gpu::Gpu;
use crate::models::{Model, Norm};
use crate::nn::Mode;
use crate::tape::{State, Tape, planned_pool};
use crate::{Error, Result};
use record::Pass;

/// Sides of images that are looked through for the least that a network takes.
const LARGEST_SIDE: usize = 1024;

/// Everything that a run will need compiled, the training step that it begins with first; `judged` are the sizes of the
/// splits that it is judged by.
pub(super) fn passes(plan: &RunPlan, model: &Model, judged: &[usize]) -> Vec<Pass> {
    let mut passes = Vec::new();
    let mut add = |pass| {
        if !passes.contains(&pass) {
            passes.push(pass);
        }
    };
    for mode in [Mode::Train, Mode::Frozen] {
        if (0..plan.steps.min(1000)).any(|step| model.mode_at(step) == mode) {
            let steps = [plan.batch_size, plan.last].into_iter();
            steps.flat_map(|images| Pass::of_step(mode, images, plan.parts, plan.form)).for_each(&mut add);
        }
    }
    for images in judged {
        let size = plan.part_size.min(*images);
        [size, images % size].into_iter().filter(|size| *size > 0).for_each(|size| add(Pass::Judge(size, Form::Bytes)));
    }
    passes
}

/// The tapes of these passes, which take nothing of the device.
pub(super) fn tapes(
    gpu: &Gpu,
    plan: &RunPlan,
    (model, state): (&Model, &mut State),
    judged: &[usize],
    update: &Update,
) -> Result<Vec<Tape>> {
    let how = (Some(update), &Loss::CrossEntropy);
    let passes = passes(plan, model, judged).into_iter();
    passes.map(|pass| record::record(pass, gpu.profile(), model, state, how)).collect()
}

/// A run that does not fit, to be varied until it does.
pub(super) struct Paper<'a> {
    pub gpu: &'a Gpu,
    pub spec: ModelSpec,
    pub plan: RunPlan,
    pub judged: Vec<usize>,
    pub update: Update,
    /// Whether the network is the user's own, so that only the batch can be another.
    pub own: bool,
}

impl Paper<'_> {
    /// The error of this run with a cure that has been tried.
    pub fn advise(&self, error: Error) -> Error {
        match error {
            Error::Limit { adapter, limit, need, offer, cure } => {
                Error::Limit { adapter, limit, need, offer, cure: self.cure(cure) }
            }
            Error::Memory { owner, need, offer, cure } => {
                // What was refused is but a part of what the run needs.
                let need = self.need(&self.spec, self.plan.part_size).map_or(need, |all| all.max(need));
                let cure = self.cure(cure);
                let cure = if self.gpu.refused().is_some() { cure.replace("this fits", "this may fit") } else { cure };
                Error::Memory { owner, need, offer, cure }
            }
            other => other,
        }
    }

    /// What would fit, each change alone; both together where neither is enough. Where nothing is found that does, what
    /// was `given` if it names a layer.
    fn cure(&self, given: String) -> String {
        let alone: Vec<String> = [self.batch(&self.spec, self.plan.part_size), self.block_fc(), self.block()]
            .into_iter()
            .flatten()
            .collect();
        if !alone.is_empty() {
            return format!("this fits: {}", alone.join(", or "));
        }
        let least = |spec: &mut ModelSpec| spec.net.block_fc = spec.net.block_fc.min(64);
        if self.whitens()
            && let Some(batch) = self.batch(&self.changed(least), self.plan.part_size)
        {
            return format!("this fits: `block_fc` 64 with {batch}");
        }
        let [_, height, width] = self.spec.input;
        let without = self.changed(|spec| spec.net.norm = Norm::Batch);
        if !self.own && self.whitens() && self.fits(&without, self.plan.part_size) {
            return "this fits: `norm` batch".into();
        }
        for part in [2, 4, 8] {
            let smaller = self.changed(|spec| spec.input = [spec.input[0], height / part, width / part]);
            if !self.own && self.fits(&smaller, self.plan.part_size) {
                return format!("this fits: images scaled down by `size` {},{}", height / part, width / part);
            }
        }
        if given.contains("layer") {
            return given;
        }
        "no smaller batch is enough; choose a smaller network, or images scaled down".into()
    }

    fn whitens(&self) -> bool {
        !self.own && self.spec.net.norm == Norm::Deconv
    }

    fn changed(&self, change: impl FnOnce(&mut ModelSpec)) -> ModelSpec {
        let mut spec = self.spec.clone();
        change(&mut spec);
        if !self.own {
            // It is written down anew from the changed options.
            spec.network = None;
        }
        spec
    }

    /// The largest batch by halves that fits.
    fn batch(&self, spec: &ModelSpec, from: usize) -> Option<String> {
        // One image has no covariance.
        let least = if matches!(self.spec.net.norm, Norm::Group | Norm::Layer | Norm::None) { 1 } else { 2 };
        let mut sizes = std::iter::successors(Some(from / 2), |size| Some(size / 2)).take_while(|size| *size >= least);
        sizes.find(|size| self.fits(spec, *size)).map(|size| format!("`batch_size` {size}"))
    }

    fn block_fc(&self) -> Option<String> {
        let smaller = |size: usize| self.changed(|spec| spec.net.block_fc = size);
        let mut sizes = [256, 128, 64, 32, 16].into_iter().filter(|size| *size < self.spec.net.block_fc);
        let fits = |size: &usize| self.fits(&smaller(*size), self.plan.part_size);
        sizes.find(|size| self.whitens() && fits(size)).map(|size| format!("`block_fc` {size}"))
    }

    fn block(&self) -> Option<String> {
        let smaller = |size: usize| self.changed(|spec| spec.net.block = size);
        let mut sizes = [32, 16, 8, 4].into_iter().filter(|size| *size < self.spec.net.block);
        let fits = |size: &usize| self.fits(&smaller(*size), self.plan.part_size);
        sizes.find(|size| self.whitens() && fits(size)).map(|size| format!("`block` {size}"))
    }

    fn fits(&self, spec: &ModelSpec, batch_size: usize) -> bool {
        self.try_on_paper(spec, batch_size).is_ok()
    }

    fn try_on_paper(&self, spec: &ModelSpec, batch_size: usize) -> Result<()> {
        self.gpu.check_room(self.need(spec, batch_size)?)
    }

    /// Bytes of everything, of which no part is too large.
    fn need(&self, spec: &ModelSpec, batch_size: usize) -> Result<u64> {
        let mut state = State::on(self.gpu);
        let model = spec.network(0)?.build(&mut state)?;
        self.update.reserve(&mut state);
        state.iter().try_for_each(|(_, tensor)| self.gpu.check_buffer(&tensor.name, tensor.ty.bytes()))?;
        let whole = batch_size * self.plan.parts;
        let last = self.plan.last.min(whole);
        let plan = RunPlan { batch_size: whole, part_size: batch_size, last, ..self.plan.clone() };
        let tapes = tapes(self.gpu, &plan, (&model, &mut state), &self.judged, &self.update)?;
        let pool = planned_pool(&tapes.iter().collect::<Vec<_>>(), self.gpu.profile())?;
        self.gpu.check_pool(&pool)?;
        Ok(state.bytes() + pool.bytes())
    }
}

/// Widths that most networks fit.
const WIDTHS: [f64; 5] = [1.0 / 16.0, 1.0 / 8.0, 0.25, 0.5, 1.0];

/// The error of a network that cannot be built, with the width or the least size of images for which it can, where one
/// of these is what is wrong.
pub(super) fn cannot_be_built(spec: &ModelSpec, error: Error) -> Error {
    let width = spec.net.width;
    let builds = |width: f64| {
        let spec = ModelSpec { net: NetOptions { width, ..spec.net.clone() }, network: None, ..spec.clone() };
        spec.network(0).and_then(|network| network.build(&mut State::new())).is_ok()
    };
    if width == 1.0 || builds(width) {
        return too_small(spec, error);
    }
    let distance = |other: f64| (other / width).ln().abs();
    match WIDTHS.into_iter().filter(|other| builds(*other)).min_by(|a, b| distance(*a).total_cmp(&distance(*b))) {
        Some(near) => Error::Usage(format!(
            "{error}; that comes of `width` {width}, at which the channels of {} no longer fit together: {near} is the nearest that does",
            spec.net.model
        )),
        None => too_small(spec, error),
    }
}

/// The same for the size of images.
fn too_small(spec: &ModelSpec, error: Error) -> Error {
    let [channels, height, width] = spec.input;
    let builds = |side: usize| {
        let spec = ModelSpec { input: [channels, height.max(side), width.max(side)], network: None, ..spec.clone() };
        spec.network(0).and_then(|network| network.build(&mut State::new())).is_ok()
    };
    if builds(0) {
        return error;
    }
    let least = height.min(width);
    let Some(large) = std::iter::successors(Some(2 * least), |side| Some(2 * side))
        .take_while(|side| *side <= LARGEST_SIDE)
        .find(|side| builds(*side))
    else {
        return error;
    };
    let (mut below, mut enough) = (large / 2, large);
    while enough - below > 1 {
        let middle = below.midpoint(enough);
        *(if builds(middle) { &mut enough } else { &mut below }) = middle;
    }
    let (h, w) = (height.max(enough), width.max(enough));
    Error::Usage(format!(
        "images of {height} x {width} (height x width) are too small for {} ({error}); expected at least {h} x {w}: scale them with \
         `size` {h},{w}, or choose another `model`",
        spec.net.model
    ))
}
