//! Buffers and images by lifetime: which values may share memory, known before anything is allocated.

use crate::gpu::{PoolSizes, Program, Slot, SlotKind, Storage};
use crate::order::ordered;

/// Where each buffer of a program goes.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// For every slot its place in the pool; meaningless for state and for buffers nobody uses.
    pub places: Vec<usize>,
    /// What each place must be.
    pub sizes: PoolSizes,
}

impl Plan {
    /// Bytes of the pool that this plan needs.
    pub fn bytes(&self) -> u64 {
        self.sizes.bytes()
    }

    /// Gives the places of several plans, which never run at the same time, one pool: the largest places of each that
    /// are alike share one, then the second largest, and so on. Returns the sizes of that pool.
    pub fn share(plans: &mut [Self]) -> PoolSizes {
        let mut sizes: Vec<(Storage, u64)> = Vec::new();
        for plan in plans {
            let own = &plan.sizes.places;
            let order = ordered(0..own.len(), &|a, b| own[b].1.cmp(&own[a].1));
            let mut moved = vec![usize::MAX; order.len()];
            for place in order {
                let (storage, bytes) = own[place];
                let found = (0..sizes.len()).find(|to| sizes[*to].0 == storage && !moved.contains(to));
                let to = found.unwrap_or_else(|| {
                    sizes.push((storage, 0));
                    sizes.len() - 1
                });
                sizes[to].1 = sizes[to].1.max(bytes);
                moved[place] = to;
            }
            for place in &mut plan.places {
                if let Some(to) = moved.get(*place) {
                    *place = *to;
                }
            }
        }
        PoolSizes { places: sizes }
    }
}

/// First and last dispatch that touch each slot; `None` when nothing does.
fn lifetimes(program: &Program) -> Vec<Option<(usize, usize)>> {
    let end = program.dispatches.len();
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; program.slots.len()];
    for slot in &program.inputs {
        lives[slot.0] = Some((0, 0));
    }
    for (time, dispatch) in program.dispatches.iter().enumerate() {
        let copied = dispatch.copies.iter().flat_map(|(from, to)| [from, to]);
        for slot in copied.chain(&dispatch.reads).chain(&dispatch.writes) {
            let life = lives[slot.0].get_or_insert((time, time));
            life.1 = time;
        }
    }
    for (slot, info) in program.slots.iter().enumerate() {
        if info.kind == SlotKind::Output {
            lives[slot] = Some((lives[slot].map_or(0, |life| life.0), end));
        }
    }
    for Slot(slot) in &program.outputs {
        if program.slots[*slot].kind == SlotKind::Input {
            lives[*slot] = Some((0, end));
        }
    }
    lives
}

/// Assigns places greedily in order of birth: the free place that fits best, or the largest free one enlarged, or a
/// new one. Two values share a place only when their lifetimes do not touch.
pub fn plan(program: &Program) -> Plan {
    let lives = lifetimes(program);
    let placed = (0..program.slots.len())
        .filter(|slot| lives[*slot].is_some() && !matches!(program.slots[*slot].kind, SlotKind::State(_)));
    let bytes = |slot: usize| program.slots[slot].bytes;
    let order = ordered(placed, &|a, b| lives[a].cmp(&lives[b]).then(bytes(b).cmp(&bytes(a))));
    let mut places = vec![usize::MAX; program.slots.len()];
    let mut sizes: Vec<(Storage, u64)> = Vec::new();
    let mut busy_until: Vec<usize> = Vec::new();
    for slot in order {
        let Some((first, last)) = lives[slot] else { continue };
        let (storage, bytes) = (program.slots[slot].storage, program.slots[slot].bytes);
        let pinned = matches!(program.slots[slot].kind, SlotKind::Input | SlotKind::Output);
        let place = (!pinned).then(|| best_place(&sizes, &busy_until, first, (storage, bytes))).flatten();
        let place = place.unwrap_or_else(|| {
            sizes.push((storage, 0));
            busy_until.push(0);
            sizes.len() - 1
        });
        sizes[place].1 = sizes[place].1.max(bytes);
        busy_until[place] = if pinned { usize::MAX } else { last };
        places[slot] = place;
    }
    Plan { places, sizes: PoolSizes { places: sizes } }
}

fn best_place(
    sizes: &[(Storage, u64)],
    busy_until: &[usize],
    from: usize,
    (storage, bytes): (Storage, u64),
) -> Option<usize> {
    let free = || (0..sizes.len()).filter(|place| busy_until[*place] < from && sizes[*place].0 == storage);
    let roomy = free().filter(|place| sizes[*place].1 >= bytes).min_by_key(|place| sizes[*place].1);
    roomy.or_else(|| free().max_by_key(|place| sizes[*place].1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Dispatch, Kernel, Shader, SlotInfo};

    crate::kernel_params! {
        struct NoParams { items: u32 }
    }
    static SHADER: Shader = Shader::new::<NoParams>("none.wgsl", 0, 1);

    fn program(lives: &[(usize, usize, u64)]) -> Program {
        let mut program = Program::default();
        for (_, _, bytes) in lives {
            program.slots.push(SlotInfo::new(*bytes, SlotKind::Transient, ""));
        }
        let end = lives.iter().map(|life| life.1).max().unwrap_or(0);
        for time in 0..=end {
            let touched: Vec<Slot> =
                (0..lives.len()).filter(|i| lives[*i].0 == time || lives[*i].1 == time).map(Slot).collect();
            program.dispatches.push(Dispatch {
                op: "test",
                kernel: Kernel::new(&SHADER, 0),
                copies: Vec::new(),
                params: Vec::new(),
                reads: Vec::new(),
                writes: touched,
                grid: [1, 1, 1],
                average: None,
            });
        }
        program
    }

    #[test]
    fn values_alive_together_never_share() {
        let lives = [(0, 3, 64), (1, 2, 32), (3, 5, 32), (4, 6, 128), (5, 6, 16), (6, 7, 64)];
        let plan = plan(&program(&lives));
        for a in 0..lives.len() {
            for b in 0..a {
                let together = lives[a].0 <= lives[b].1 && lives[b].0 <= lives[a].1;
                assert!(!together || plan.places[a] != plan.places[b], "{a} and {b} share");
            }
            assert!(plan.sizes.places[plan.places[a]].1 >= lives[a].2);
        }
        assert!(plan.bytes() < lives.iter().map(|life| life.2).sum(), "nothing was shared");
    }

    #[test]
    fn a_shared_pool_fits_every_plan() {
        let mut plans =
            [plan(&program(&[(0, 1, 64), (0, 1, 16)])), plan(&program(&[(0, 2, 32), (1, 2, 48), (2, 3, 128)]))];
        let before = plans.clone();
        let sizes = Plan::share(&mut plans);
        for (old, new) in before.iter().zip(&plans) {
            for (was, is) in old.places.iter().zip(&new.places) {
                assert!(sizes.places[*is].1 >= old.sizes.places[*was].1);
            }
        }
    }
}
