//! Updates of many small parameters become one launch.
//!
//! The [`State`](super::State) keeps small parameters, and the moments of each kind, next to each other in one buffer. Where all of a
//! run are updated by the same rule, their gradients are given a buffer in which they lie likewise, and one launch updates the run. Its
//! gaps hold nothing that is ever read.

use super::Place;
use crate::gpu::{Buffer, Dispatch, Program, Slot, SlotInfo, SlotKind, flat_grid};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What updates must have in common: kernel, parameters but the number of elements, other inputs, and buffers of the state.
type Rule = (String, Vec<u8>, Vec<Slot>, Vec<usize>);

/// Updates whose states are neighbours: places in the list of dispatches, in the order of their offsets.
type Run = Vec<(u64, usize)>;

/// Joins the updates of `program` as far as possible; `places` are those of its state.
pub(super) fn merge_updates(program: &mut Program, places: &HashMap<Slot, Place>) {
    let mut joined: HashMap<usize, Option<Dispatch>> = HashMap::new();
    for run in runs(program, places) {
        if run.len() > 1 && independent(program, &run) {
            let last = run.iter().map(|(_, index)| *index).max();
            joined.extend(run.iter().map(|(_, index)| (*index, None)));
            let whole = join(program, &run);
            joined.extend(last.map(|last| (last, Some(whole))));
        }
    }
    let dispatches = std::mem::take(&mut program.dispatches).into_iter().enumerate();
    program.dispatches = dispatches.filter_map(|(index, own)| joined.remove(&index).unwrap_or(Some(own))).collect();
}

fn runs(program: &Program, places: &HashMap<Slot, Place>) -> Vec<Run> {
    let mut rules: BTreeMap<Rule, Run> = BTreeMap::new();
    let mut gradients = HashSet::new();
    for (index, dispatch) in program.dispatches.iter().enumerate().filter(|(_, dispatch)| dispatch.update) {
        let states: Option<Vec<Place>> = dispatch.writes.iter().map(|slot| places.get(slot).copied()).collect();
        let (Some(states), Some((gradient, others))) = (states, dispatch.reads.split_first()) else { continue };
        let owned = matches!(program.slots[gradient.0].kind, SlotKind::Transient | SlotKind::Output);
        let offset = states[0].offset;
        if !owned || !gradients.insert(*gradient) || states.iter().any(|place| place.offset != offset) {
            continue;
        }
        let buffers = states.iter().map(|place| place.buffer).collect();
        let rule = (dispatch.kernel.key(), dispatch.params[4..].to_vec(), others.to_vec(), buffers);
        rules.entry(rule).or_default().push((offset, index));
    }
    let end = |(offset, index): (u64, usize)| {
        let bytes = program.slots[program.dispatches[index].writes[0].0].bytes;
        (offset + bytes).next_multiple_of(Buffer::ALIGN)
    };
    let mut runs: Vec<Run> = Vec::new();
    for mut updates in rules.into_values() {
        updates.sort_unstable();
        for pair in updates.chunk_by(|before, after| end(*before) == after.0) {
            runs.push(pair.to_vec());
        }
    }
    runs
}

/// Whether no launch reads one gradient and writes another, which one buffer would forbid, and nothing that comes between the updates
/// meets their state.
fn independent(program: &Program, run: &Run) -> bool {
    let indices: HashSet<usize> = run.iter().map(|(_, index)| *index).collect();
    let updates = || indices.iter().map(|index| &program.dispatches[*index]);
    let gradients: HashSet<Slot> = updates().map(|update| update.reads[0]).collect();
    let states: HashSet<Slot> = updates().flat_map(|update| update.writes.clone()).collect();
    let first = indices.iter().min().copied().unwrap_or(0);
    let meets = |slots: &[Slot], set: &HashSet<Slot>| slots.iter().any(|slot| set.contains(slot));
    program.dispatches.iter().enumerate().filter(|(index, _)| !indices.contains(index)).all(|(index, dispatch)| {
        let mixes = meets(&dispatch.reads, &gradients) && meets(&dispatch.writes, &gradients);
        let between = index > first && (meets(&dispatch.reads, &states) || meets(&dispatch.writes, &states));
        !mixes && !between
    })
}

/// Makes the buffers of `run` parts of larger ones; returns the launch over those.
fn join(program: &mut Program, run: &Run) -> Dispatch {
    let start = run[0].0;
    let mut whole = program.dispatches[run[0].1].clone();
    let (last_offset, last) = run[run.len() - 1];
    let bytes = last_offset - start + program.slots[program.dispatches[last].writes[0].0].bytes;
    let parts = |program: &Program, place: fn(&Dispatch) -> &[Slot], at: usize| -> Vec<(u64, Slot)> {
        run.iter().map(|(offset, index)| (*offset, place(&program.dispatches[*index])[at])).collect()
    };
    let gradients = parts(program, |update| &update.reads, 0);
    whole.reads[0] = span(program, &gradients, start, bytes);
    for at in 0..whole.writes.len() {
        let states = parts(program, |update| &update.writes, at);
        whole.writes[at] = span(program, &states, start, bytes);
    }
    let elements = bytes / 4;
    whole.params[..4].copy_from_slice(&(elements as u32).to_le_bytes());
    whole.grid = flat_grid(elements.div_ceil(4) as usize);
    whole
}

/// A new slot that the `parts`, by their offsets, are part of.
fn span(program: &mut Program, parts: &[(u64, Slot)], start: u64, bytes: u64) -> Slot {
    let infos = || parts.iter().map(|(_, slot)| &program.slots[slot.0]);
    let first = &program.slots[parts[0].1.0];
    let kept = infos().any(|info| info.kind == SlotKind::Output);
    let kind = if kept { SlotKind::Output } else { first.kind };
    let label = format!("{} and {} more", first.label, parts.len() - 1);
    let whole = Slot(program.slots.len());
    program.slots.push(SlotInfo::new(bytes, kind, label));
    for (offset, slot) in parts {
        program.slots[slot.0].within = Some((whole, offset - start));
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
