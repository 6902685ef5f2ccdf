//! When what several processes average goes over the network: statistics at once, gradients in parts while the GPU
//! computes.
//!
//! A step is cut where something is averaged. What is needed before the next cut is averaged before anything else is
//! computed. What has time, as gradients have until the update, is averaged in equal shares while the GPU computes up
//! to the next cut.

use super::{Average, Program, Slot, SlotKind};
use std::ops::Range;

/// Fewer bytes are not worth a message of their own, or a cut. 25 Gbit/s carry them in 0.1 ms.
const LEAST: u64 = 256 * 1024;

/// Bytes of the gradient of a layer that takes a while to compute.
const WEIGHTS: u64 = 32 * 1024;

/// Bytes of each of these slots, one of a mean, and two of moments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub average: Average,
    pub pieces: Vec<(Slot, Range<u64>)>,
}

/// A place between two launches where something is averaged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// Launches of the step before it.
    pub end: usize,
    /// What is averaged before the next launch is submitted.
    pub due: Vec<Part>,
    /// What is averaged while the GPU computes up to the next cut.
    pub ahead: Vec<Part>,
}

/// What has been written to be averaged.
struct Written {
    average: Average,
    slots: Vec<Slot>,
    bytes: u64,
    /// Those that earlier cuts have taken.
    taken: u64,
    /// Launches until it is there.
    end: usize,
    /// Launches before the first that needs it.
    by: usize,
}

impl Written {
    /// The next `bytes` of it. Moments are never parted.
    fn take(&mut self, bytes: u64) -> Part {
        let range = self.taken..self.taken + bytes;
        self.taken = range.end;
        Part { average: self.average, pieces: self.slots.iter().map(|slot| (*slot, range.clone())).collect() }
    }

    fn left(&self) -> u64 {
        self.bytes - self.taken
    }
}

/// The cuts of a step of `program`, in order. They depend on it alone, so that all processes average the same in the
/// same order.
pub(super) fn cuts(program: &Program) -> Vec<Cut> {
    let mut written = written(program);
    let needed = needed(&written);
    let mut ends = needed.clone();
    ends.extend(spare(&written, &needed));
    ends.sort_unstable();
    let mut cuts = Vec::new();
    for end in ends.iter().copied() {
        let mut cut = Cut { end, ..Default::default() };
        let next = needed.iter().copied().find(|next| *next > end);
        let waits = |one: &Written| one.average == Average::Mean && next.is_some_and(|next| next <= one.by);
        let mut there: Vec<&mut Written> = written.iter_mut().filter(|one| one.end <= end && one.left() > 0).collect();
        if needed.contains(&end) {
            cut.due = there.iter_mut().filter(|one| !waits(one)).map(|one| one.take(one.left())).collect();
        }
        there.retain(|one| one.left() > 0 && waits(one));
        // Nothing is computed behind the last cut before they are needed.
        let by = there.iter().map(|one| one.by).min().unwrap_or(end);
        let shares = ends.iter().filter(|cut| (end..=by).contains(*cut)).count().saturating_sub(1);
        let all: u64 = there.iter().map(|one| one.left()).sum();
        let mut share = all.div_ceil(shares.max(1) as u64).next_multiple_of(16).max(LEAST).min(all);
        if share >= LEAST {
            for one in there {
                let bytes = one.left().min(share);
                share -= bytes;
                cut.ahead.extend((bytes > 0).then(|| one.take(bytes)));
            }
        }
        if !(cut.due.is_empty() && cut.ahead.is_empty()) {
            cuts.push(cut);
        }
    }
    cuts
}

/// What `program` averages and reads again, in the order in which it is written.
fn written(program: &Program) -> Vec<Written> {
    let mut found = Vec::new();
    for (at, dispatch) in program.dispatches.iter().enumerate() {
        let Some(average) = dispatch.average else { continue };
        let parts = match average {
            Average::Mean => dispatch.writes.chunks(1),
            Average::Moments => dispatch.writes.chunks(2),
        };
        for slots in parts {
            let behind = &program.dispatches[at + 1..];
            let first = behind.iter().position(|later| slots.iter().any(|slot| later.touches(*slot)));
            let stays = slots.iter().any(|slot| program.slots[slot.0].kind != SlotKind::Transient);
            let Some(by) = first.map(|first| at + 1 + first).or(stays.then_some(program.dispatches.len())) else {
                continue;
            };
            let bytes = program.slots[slots[0].0].bytes;
            found.push(Written { average, slots: slots.to_vec(), bytes, taken: 0, end: at + 1, by });
        }
    }
    found
}

/// Cuts without which something would be read before it is averaged: as few as possible.
fn needed(written: &[Written]) -> Vec<usize> {
    let mut cuts = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    for one in written {
        open = match open {
            Some((end, by)) if one.end > by => {
                cuts.push(end);
                Some((one.end, one.by))
            }
            Some((_, by)) => Some((one.end, by.min(one.by))),
            None => Some((one.end, one.by)),
        };
    }
    cuts.extend(open.map(|(end, _)| end));
    cuts
}

/// Cuts behind gradients of weights that no other follows before the next, as in layers without statistics: there are
/// as many parts to compute beside as there are layers. Biases have too little to compute beside them.
fn spare(written: &[Written], needed: &[usize]) -> Vec<usize> {
    let weights = |one: &&Written| one.average == Average::Mean && one.bytes >= WEIGHTS;
    let ends: Vec<usize> = written.iter().filter(weights).map(|one| one.end).collect();
    let lone = |pair: &[usize]| !needed.iter().any(|cut| (pair[0]..pair[1]).contains(cut));
    ends.windows(2).filter(|pair| lone(pair)).map(|pair| pair[0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Dispatch, Kernel, Shader, SlotInfo};

    crate::kernel_params! {
        struct NoParams { items: u32 }
    }
    static SHADER: Shader = Shader::new::<NoParams>("none.wgsl", 0, 1);

    /// A launch that reads and writes, and what is averaged of it.
    type Launch<'a> = (&'a [usize], &'a [usize], Option<Average>);
    const MEAN: Option<Average> = Some(Average::Mean);

    fn program(bytes: &[u64], launches: &[Launch<'_>]) -> Program {
        let slots = |list: &[usize]| list.iter().copied().map(Slot).collect::<Vec<_>>();
        Program {
            slots: bytes.iter().map(|bytes| SlotInfo::new(*bytes, SlotKind::Transient, "")).collect(),
            dispatches: launches
                .iter()
                .map(|(reads, writes, average)| Dispatch {
                    op: "test",
                    kernel: Kernel::new(&SHADER, 0),
                    copies: Vec::new(),
                    params: Vec::new(),
                    reads: slots(reads),
                    writes: slots(writes),
                    grid: [1, 1, 1],
                    average: *average,
                })
                .collect(),
            ..Default::default()
        }
    }

    fn mean(slot: usize, range: Range<u64>) -> Part {
        Part { average: Average::Mean, pieces: vec![(Slot(slot), range)] }
    }

    #[test]
    fn gradients_go_in_shares_while_later_layers_are_computed() {
        let big = 4 * LEAST;
        // Gradients 0, 1, 2 of three layers, each with a launch between, and an update that needs all.
        let launches: &[Launch<'_>] = &[
            (&[], &[0], MEAN),
            (&[], &[3], None),
            (&[3], &[1], MEAN),
            (&[3], &[3], None),
            (&[3], &[2], MEAN),
            (&[0, 1, 2], &[3], None),
        ];
        let found = cuts(&program(&[big, big, big, 16], launches));
        let expected = [
            Cut { end: 1, due: vec![], ahead: vec![mean(0, 0..big / 2)] },
            Cut { end: 3, due: vec![], ahead: vec![mean(0, big / 2..big), mean(1, 0..big)] },
            Cut { end: 5, due: vec![mean(2, 0..big)], ahead: vec![] },
        ];
        assert_eq!(found, expected);
        // Small ones wait for the last cut: a step of small layers is cut once.
        let found = cuts(&program(&[64, 64, 64, 16], launches));
        assert_eq!(found, [Cut { end: 5, due: (0..3).map(|slot| mean(slot, 0..64)).collect(), ahead: vec![] }]);
    }

    #[test]
    fn statistics_are_averaged_at_once_and_gradients_beside_them() {
        let big = 2 * LEAST;
        // Moments 1, 2 are read at once; gradient 0 is there before them and needed at the end.
        let found = cuts(&program(
            &[big, 32, 32, 16, 16, 64],
            &[
                (&[], &[0], MEAN),
                (&[], &[1, 2], Some(Average::Moments)),
                (&[1, 2], &[3], None),
                (&[3], &[4], MEAN),
                (&[4], &[3], None),
                (&[3], &[3], None),
                // Nobody reads it.
                (&[3], &[5], MEAN),
                (&[0], &[3], None),
            ],
        ));
        let moments = Part { average: Average::Moments, pieces: vec![(Slot(1), 0..32), (Slot(2), 0..32)] };
        let expected = [
            Cut { end: 2, due: vec![moments], ahead: vec![mean(0, 0..big)] },
            Cut { end: 4, due: vec![mean(4, 0..16)], ahead: vec![] },
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn outputs_are_averaged_before_the_end() {
        let mut program = program(&[16, 16], &[(&[], &[0], MEAN), (&[], &[1], None)]);
        program.slots[0].kind = SlotKind::Output;
        assert_eq!(cuts(&program), [Cut { end: 1, due: vec![mean(0, 0..16)], ahead: vec![] }]);
    }

    #[test]
    fn what_reads_an_average_to_average_it_again_waits() {
        let found = cuts(&program(&[16, 16, 16], &[(&[], &[0], MEAN), (&[0], &[1], MEAN), (&[1], &[2], None)]));
        let due = |end, slot| Cut { end, due: vec![mean(slot, 0..16)], ahead: vec![] };
        assert_eq!(found, [due(1, 0), due(2, 1)]);
    }
}
