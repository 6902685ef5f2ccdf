//! From operations to kernel launches over numbered buffers.

use super::{Source, Tape, Type, Var};
use crate::gpu::{Average, Dispatch, Kernel, Params, Profile, Program, Slot, SlotInfo, SlotKind, flat_grid};
use crate::{Error, Result};
use std::collections::HashMap;

/// What an operation's launch sees: types and buffers of its values, the adapter's profile, and where to put launches.
pub struct Launch<'a> {
    /// Types of the inputs.
    pub inputs: Vec<&'a Type>,
    /// Types of the outputs.
    pub outputs: Vec<&'a Type>,
    /// Buffers of the inputs.
    pub reads: Vec<Slot>,
    /// Buffers of the outputs.
    pub writes: Vec<Slot>,
    /// What kernel choice depends on.
    pub profile: Profile,
    op: &'static str,
    program: &'a mut Program,
    failure: &'a mut Option<Error>,
}

impl Launch<'_> {
    /// A buffer that exists from its first to its last use within this step; `elements` f32.
    pub fn scratch(&mut self, label: &str, elements: usize) -> Slot {
        let label = format!("{}.{label}", self.op);
        self.program.slots.push(SlotInfo::new(elements as u64 * 4, SlotKind::Transient, label));
        Slot(self.program.slots.len() - 1)
    }

    /// Says why this operation cannot be launched; the first reason ends [`lower`].
    pub fn refuse(&mut self, what: String) {
        self.failure.get_or_insert(Error::shape(self.op, what));
    }

    /// Refuses the operation where an invocation would take more `rounds` of its loops, nested ones multiplied, than
    /// the adapter's driver lets it: what such a driver leaves out would be missing without a word.
    pub fn takes_rounds(&mut self, rounds: usize) {
        let most = self.profile.rounds;
        if rounds > most {
            self.refuse(format!(
                "an invocation would loop {rounds} times, and drivers that compute on the CPU may end loops after {most}; expected \
                 smaller windows, kernels or maps, or a GPU"
            ));
        }
    }

    /// What was found; where that failed the operation is refused for that reason.
    pub fn or_refuse<T>(&mut self, found: Result<T>) -> Option<T> {
        found.map_err(|reason| *self.failure = self.failure.take().or(Some(reason))).ok()
    }

    /// Appends a launch of `kernel` over `grid` workgroups, which finds each buffer as it lies in storage.
    pub fn dispatch<P: Params>(&mut self, kernel: Kernel, params: &P, reads: &[Slot], writes: &[Slot], grid: [u32; 3]) {
        self.append(kernel, crate::gpu::params_bytes(params), reads, writes, grid);
    }

    /// One for all kinds of parameters, once in a page's download.
    #[inline(never)]
    fn append(&mut self, kernel: Kernel, params: Vec<u8>, reads: &[Slot], writes: &[Slot], grid: [u32; 3]) {
        let (found, expected) =
            ([reads.len(), writes.len()], [kernel.shader.reads, kernel.shader.writes].map(|count| count as usize));
        if found != expected {
            let file = kernel.shader.file;
            return self.refuse(format!("{file} takes {expected:?} buffers to read and to write, found {found:?}"));
        }
        if grid.contains(&0) {
            return;
        }
        let slots = &self.program.slots;
        let halves = (1..).zip(reads.iter().chain(writes)).filter(|(_, slot)| slots[slot.0].half);
        let kernel = Kernel { halves: halves.map(|(binding, _)| 1u32 << binding).sum(), ..kernel };
        self.program.dispatches.push(Dispatch {
            op: self.op,
            kernel,
            copies: Vec::new(),
            params,
            reads: reads.to_vec(),
            writes: writes.to_vec(),
            grid,
            average: None,
        });
    }

    /// Averages what the last launch has written over the processes that train as one, where there are several.
    pub fn average(&mut self, average: Average) {
        if self.profile.processes > 1
            && let Some(last) = self.program.dispatches.last_mut()
        {
            last.average = Some(average);
        }
    }

    /// [`Launch::dispatch`] of workgroups of 64 over `items` work items.
    pub fn flat<P: Params>(&mut self, kernel: Kernel, params: &P, reads: &[Slot], writes: &[Slot], items: usize) {
        self.dispatch(kernel, params, reads, writes, flat_grid(items));
    }
}

/// Asks every operation for its launches on an adapter of this profile.
///
/// Operations whose outputs nobody uses are left out, so a gradient that is not wanted costs nothing.
///
/// # Errors
/// The tape was recorded for an adapter of another profile, or there is no kernel for an operation.
pub fn lower(tape: &Tape, profile: Profile) -> Result<Program> {
    if let Some(own) = tape.profile().filter(|own| *own != profile) {
        return Err(Error::Usage(format!(
            "a tape that was recorded for an adapter of {own:?} cannot run on one of {profile:?}; record it for that one"
        )));
    }
    let mut failure = None;
    let mut program = Program::default();
    let mut slots: HashMap<Var, Slot> = HashMap::new();
    let halves = tape.halves();
    for (index, info) in tape.vars().iter().enumerate() {
        let kind = match info.source {
            Source::View(_) => continue,
            Source::Input => SlotKind::Input,
            Source::State(id) => SlotKind::State(id.0),
            Source::Computed => SlotKind::Transient,
        };
        let slot = Slot(program.slots.len());
        let half = halves[index];
        let bytes = info.ty.stored() as u64 * if half { 2 } else { 4 };
        program.slots.push(SlotInfo { half, ..SlotInfo::new(bytes, kind, &info.label) });
        slots.insert(Var(index), slot);
        if kind == SlotKind::Input {
            program.inputs.push(slot);
        }
    }
    let slot = |var: &Var| slots[&tape.root(*var)];
    for var in tape.outputs() {
        let out = slot(var);
        if program.slots[out.0].kind == SlotKind::Transient {
            program.slots[out.0].kind = SlotKind::Output;
        }
        program.outputs.push(out);
    }
    let live = live_nodes(tape);
    for (node, _) in tape.nodes().iter().zip(live).filter(|(_, live)| *live) {
        let mut launch = Launch {
            inputs: node.inputs.iter().map(|var| tape.ty(*var)).collect(),
            outputs: node.outputs.iter().map(|var| tape.ty(*var)).collect(),
            reads: node.inputs.iter().map(slot).collect(),
            writes: node.outputs.iter().map(slot).collect(),
            profile,
            op: node.op.name(),
            program: &mut program,
            failure: &mut failure,
        };
        node.op.launch(&mut launch);
        if let Some(failure) = failure.take() {
            return Err(failure);
        }
    }
    #[cfg(not(target_arch = "wasm32"))]
    if profile.processes > 1 {
        hoist(&mut program.dispatches);
    }
    (profile.program)(&mut program);
    Ok(program)
}

/// Moves what is averaged over processes to where it is ready, gradients to the layers that they are of: they are
/// averaged while the layers before are computed, and what they are copies of need not be kept.
#[cfg(not(target_arch = "wasm32"))]
fn hoist(dispatches: &mut [Dispatch]) {
    for at in 0..dispatches.len() {
        let moved = &dispatches[at];
        if moved.average.is_none() {
            continue;
        }
        let follows = |before: &Dispatch| {
            let reads_it = moved.reads.iter().any(|slot| before.writes.contains(slot));
            reads_it || moved.writes.iter().any(|slot| before.touches(*slot))
        };
        let to = dispatches[..at].iter().rposition(follows).map_or(0, |last| last + 1);
        dispatches[to..=at].rotate_right(1);
    }
}

/// A node is live when it updates state or when something live reads it.
fn live_nodes(tape: &Tape) -> Vec<bool> {
    let mut wanted: Vec<bool> = tape.vars().iter().map(|info| matches!(info.source, Source::State(_))).collect();
    for var in tape.outputs() {
        wanted[tape.root(*var).0] = true;
    }
    let mut live = vec![false; tape.nodes().len()];
    for (index, node) in tape.nodes().iter().enumerate().rev() {
        if node.outputs.iter().any(|var| wanted[tape.root(*var).0]) {
            live[index] = true;
            for var in &node.inputs {
                wanted[tape.root(*var).0] = true;
            }
        }
    }
    live
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;
    use crate::tape::DType;

    #[test]
    fn averages_follow_what_they_are_of() -> Result<()> {
        let mut tape = Tape::new();
        let x = tape.input("x", &[64], DType::F32);
        let first = ops::mul(&mut tape, x, x, 1.0)?;
        let second = ops::add(&mut tape, first, x)?;
        let third = ops::mul(&mut tape, second, x, 1.0)?;
        let means = ops::averaged_copies(&mut tape, &[second, third, first])?;
        means.into_iter().for_each(|mean| tape.output(mean));
        let ops = |processes| -> Result<Vec<&str>> {
            let program = lower(&tape, Profile { processes, ..Profile::GPU })?;
            Ok(program.dispatches.iter().map(|dispatch| dispatch.op).collect())
        };
        assert_eq!(ops(1)?, ["mul", "add", "mul", "average", "average", "average"]);
        assert_eq!(ops(2)?, ["mul", "average", "add", "average", "mul", "average"]);
        // Each is still that of its own value.
        let program = lower(&tape, Profile { processes: 2, ..Profile::GPU })?;
        for pair in program.dispatches.chunks(2) {
            assert_eq!(pair[0].writes, pair[1].reads);
        }
        Ok(())
    }
}
