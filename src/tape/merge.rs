//! Updates of many small parameters become one launch.
//!
//! The [`State`](super::State) keeps small parameters, and the moments of each kind, next to each other in one buffer. Where all of a
//! run are updated by the same rule, their gradients are given a buffer in which they lie likewise, and one launch updates the run. Its
//! gaps hold nothing that is ever read. Pages do without.

use super::Place;
use crate::gpu::{Buffer, Dispatch, Program, Slot, SlotInfo, SlotKind, flat_grid};

/// Updates whose states are neighbours: the first byte of each in the shared buffers, and its place in the list of dispatches.
type Run = Vec<(u64, usize)>;

/// Joins the updates of `program` as far as possible; `places` are those of its state.
pub(super) fn merge_updates(program: &mut Program, places: &[(Slot, Place)]) {
    let mut joined = vec![false; program.dispatches.len()];
    for run in runs(program, places) {
        if run.len() > 1 && independent(program, &run) {
            let whole = join(program, &run);
            let (_, last) = run[run.len() - 1];
            run.iter().for_each(|(_, index)| joined[*index] = *index != last);
            program.dispatches[last] = whole;
        }
    }
    let mut joined = joined.into_iter();
    program.dispatches.retain(|_| joined.next() != Some(true));
}

/// In the order of the list, in which an optimiser updates one parameter after the other.
fn runs(program: &Program, places: &[(Slot, Place)]) -> Vec<Run> {
    let place = |slot: &Slot| places.iter().find(|(known, _)| known == slot).map(|(_, place)| *place);
    let mut runs: Vec<Run> = Vec::new();
    let (mut gradients, mut last) = (Vec::new(), Vec::new());
    for (index, dispatch) in program.dispatches.iter().enumerate().filter(|(_, dispatch)| dispatch.update) {
        let states: Vec<Place> = dispatch.writes.iter().filter_map(place).collect();
        let Some(Place { offset, .. }) = states.first().copied() else { continue };
        let alike = states.len() == dispatch.writes.len() && states.iter().all(|place| place.offset == offset);
        let buffers: Vec<usize> = states.iter().map(|place| place.buffer).collect();
        let gradient = dispatch.reads[0];
        let owned = matches!(program.slots[gradient.0].kind, SlotKind::Transient | SlotKind::Output);
        if !alike || !owned || gradients.contains(&gradient) {
            continue;
        }
        gradients.push(gradient);
        match runs.last_mut() {
            Some(run) if last == buffers && follows(program, run[run.len() - 1], (offset, index)) => {
                run.push((offset, index));
            }
            _ => runs.push(vec![(offset, index)]),
        }
        last = buffers;
    }
    runs
}

/// Whether update `b` is as `a` but for its gradient and state, which lie behind those of `a`.
fn follows(program: &Program, a: (u64, usize), b: (u64, usize)) -> bool {
    let [before, after] = [a, b].map(|(_, index)| &program.dispatches[index]);
    let end = (a.0 + program.slots[before.writes[0].0].bytes).next_multiple_of(Buffer::ALIGN);
    end == b.0
        && before.kernel.shader.file == after.kernel.shader.file
        && before.kernel.constants == after.kernel.constants
        && before.params[4..] == after.params[4..]
        && before.reads[1..] == after.reads[1..]
}

/// Whether no launch reads one gradient and writes another, which one buffer would forbid, and nothing that comes between the updates
/// meets their state.
fn independent(program: &Program, run: &Run) -> bool {
    let updates = || run.iter().map(|(_, index)| &program.dispatches[*index]);
    let gradients: Vec<Slot> = updates().map(|update| update.reads[0]).collect();
    let states: Vec<Slot> = updates().flat_map(|update| update.writes.iter().copied()).collect();
    let meets = |slots: &[Slot], set: &[Slot]| slots.iter().any(|slot| set.contains(slot));
    let own = |index: usize| run.iter().any(|(_, of_run)| *of_run == index);
    program.dispatches.iter().enumerate().filter(|(index, _)| !own(*index)).all(|(index, dispatch)| {
        let mixes = meets(&dispatch.reads, &gradients) && meets(&dispatch.writes, &gradients);
        let between = index > run[0].1 && (meets(&dispatch.reads, &states) || meets(&dispatch.writes, &states));
        !mixes && !between
    })
}

/// Makes the buffers of `run` parts of larger ones; returns the launch over those.
fn join(program: &mut Program, run: &Run) -> Dispatch {
    let ((start, first), (offset, last)) = (run[0], run[run.len() - 1]);
    let bytes = offset - start + program.slots[program.dispatches[last].writes[0].0].bytes;
    let mut whole = program.dispatches[first].clone();
    whole.reads[0] = span(program, run, bytes, 0);
    for at in 0..whole.writes.len() {
        whole.writes[at] = span(program, run, bytes, at + 1);
    }
    let elements = bytes / 4;
    whole.params[..4].copy_from_slice(&(elements as u32).to_le_bytes());
    whole.grid = flat_grid(elements.div_ceil(4) as usize);
    whole
}

/// A new slot of `bytes` that one slot of each update is part of: the gradient for `place` 0, then each state.
fn span(program: &mut Program, run: &Run, bytes: u64, place: usize) -> Slot {
    let whole = Slot(program.slots.len());
    program.slots.push(SlotInfo::new(bytes, SlotKind::Transient, "run"));
    for (offset, index) in run.iter().rev() {
        let update = &program.dispatches[*index];
        let part = if place == 0 { update.reads[0] } else { update.writes[place - 1] };
        let kind = program.slots[part.0].kind;
        program.slots[part.0].within = Some((whole, offset - run[0].0));
        // Of states the first counts, which comes last here; of gradients whatever is not transient.
        if kind != SlotKind::Transient {
            program.slots[whole.0].kind = kind;
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use crate::gpu::{Profile, SlotKind};
    use crate::ops::{self, SgdOptions};
    use crate::tape::{State, Tape, Type, lower, plan};
    use crate::{Error, Result};

    /// Launches of updates for parameters of these sizes, and the number of slots that became parts.
    fn updates(sizes: &[usize], skipped: Option<usize>, kept: Option<usize>) -> Result<(usize, usize)> {
        let mut state = State::new();
        let ids: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(i, size)| state.parameter(&format!("p{i}"), &[*size], vec![0.5; *size]))
            .collect();
        let mut tape = Tape::new();
        for (i, id) in ids.iter().enumerate().filter(|(i, _)| Some(*i) != skipped) {
            let parameter = tape.state(&state, *id);
            let moment = state.moment("momentum", *id);
            let moment = tape.state(&state, moment);
            let gradient = ops::constant(&mut tape, Type::plain(&[sizes[i]]), 1.0)?;
            if kept == Some(i) {
                tape.output(gradient);
            }
            let options = SgdOptions { momentum: 0.9, ..Default::default() };
            ops::sgd(&mut tape, parameter, gradient, Some(moment), options)?;
        }
        let program = lower(&tape, Profile::PORTABLE);
        let plan = plan(&program);
        let mut parts = 0;
        for (index, slot) in program.slots.iter().enumerate() {
            let Some((whole, offset)) = slot.within else { continue };
            parts += 1;
            let room = program.slots[whole.0].bytes;
            if offset + slot.bytes > room || !offset.is_multiple_of(256) {
                return Err(Error::Run(format!("slot {index} of {} bytes at {offset} of {room}", slot.bytes)));
            }
            if !matches!(slot.kind, SlotKind::State(_)) {
                assert!(plan.sizes.buffers[plan.places[whole.0]] >= room);
            }
        }
        Ok((program.dispatches.iter().filter(|dispatch| dispatch.update).count(), parts))
    }

    #[test]
    fn small_neighbours_are_updated_together() -> Result<()> {
        assert_eq!(updates(&[3, 64, 65, 1], None, None)?, (1, 12));
        assert_eq!(updates(&[3, 64, 65, 1], None, Some(2))?, (1, 12));
        // One without a gradient parts its neighbours, a large one is alone.
        assert_eq!(updates(&[3, 64, 65, 7, 1], Some(2), None)?, (2, 12));
        assert_eq!(updates(&[3, 5000, 65], None, None)?, (2, 6));
        assert_eq!(updates(&[3], None, None)?, (1, 0));
        Ok(())
    }
}
