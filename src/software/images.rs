//! A pass over a recorded program: launches find their inputs in images, which their buffers are copied to before it.

use super::text;
use crate::gpu::{ImageLayout, Program, Slot, SlotInfo, SlotKind, Storage, Texel, whole};
use std::collections::HashMap;

/// Texels in a row that hold elements.
pub(super) const ROW: u64 = 4096;

/// Texels behind each row that hold nothing. Without them the rows of a matrix whose length is a power of two, of which
/// a tile walks through dozens at a time, would all compete for the same few lines of a core's first cache.
const GAP: u64 = 4;

/// An image serves launches that follow its last use within so many; later ones are given a new copy, which costs
/// little, so that what is needed again at the end of a step takes no image all the while.
const REACH: usize = 4;

/// Rows of an image of `elements`. Mesa's software driver compiles a kernel anew for a texture whose width or height is
/// a power of two where that of the last one was not, or the reverse; so none is one.
fn rows(elements: u64) -> u64 {
    let rows = elements.div_ceil(ROW).max(3);
    rows + u64::from(rows.is_power_of_two())
}

fn image(bytes: u64, texel: Texel) -> SlotInfo {
    let layout = ImageLayout { texel, row: ROW, width: ROW + GAP };
    let bytes = rows(bytes / texel.bytes()) * layout.row_bytes();
    SlotInfo { storage: Storage::Image(layout), ..SlotInfo::new(bytes, SlotKind::Transient, "image") }
}

/// A buffer's copy that holds what was last written to it.
struct Copied {
    from: Slot,
    texel: Texel,
    to: Slot,
    used: usize,
}

/// Gives each launch of `program` its inputs as images.
pub(super) fn copy_inputs(program: &mut Program) {
    let mut inputs: HashMap<&str, Vec<Texel>> = HashMap::new();
    let mut known: Vec<Copied> = Vec::new();
    for (time, dispatch) in program.dispatches.iter_mut().enumerate() {
        let file = dispatch.kernel.shader.file;
        let texels = inputs.entry(file).or_insert_with(|| text::inputs(&whole(file)));
        known.retain(|copied| copied.used + REACH >= time);
        for (read, texel) in dispatch.reads.iter_mut().zip(texels) {
            let from = *read;
            let texel = if program.slots[from.0].half { texel.halved() } else { *texel };
            *read = match known.iter_mut().find(|copied| copied.from == from && copied.texel == texel) {
                Some(copied) => {
                    copied.used = time;
                    copied.to
                }
                None => {
                    let to = Slot(program.slots.len());
                    program.slots.push(image(program.slots[from.0].bytes, texel));
                    dispatch.copies.push((from, to));
                    known.push(Copied { from, texel, to, used: time });
                    to
                }
            };
        }
        // A texture says by itself how its texels lie.
        dispatch.kernel.halves &= u32::MAX << (1 + dispatch.reads.len());
        known.retain(|copied| !dispatch.writes.contains(&copied.from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Dispatch, Kernel};
    use crate::tape::plan;

    fn mul() -> &'static crate::gpu::Shader {
        let all = || crate::ops::SHADERS.iter().flat_map(|family| family.iter());
        all().find(|shader| shader.file == "pointwise/mul.wgsl").expect("a shader that multiplies")
    }

    /// Launches of `mul`, which reads two slots and writes one.
    fn program(bytes: &[u64], launches: &[[usize; 3]]) -> Program {
        let slot = |bytes: &u64| SlotInfo::new(*bytes, SlotKind::Transient, "");
        let dispatch = |[a, b, c]: &[usize; 3]| Dispatch {
            op: "test",
            kernel: Kernel::new(mul(), 0),
            copies: Vec::new(),
            params: Vec::new(),
            reads: vec![Slot(*a), Slot(*b)],
            writes: vec![Slot(*c)],
            grid: [1, 1, 1],
            average: None,
        };
        let mut program = Program {
            slots: bytes.iter().map(slot).collect(),
            dispatches: launches.iter().map(dispatch).collect(),
            ..Program::default()
        };
        copy_inputs(&mut program);
        program
    }

    /// Every launch finds in its images what was last written, in places that are large enough and its own.
    #[test]
    fn launches_find_their_inputs_as_last_written() {
        let sizes = [64, 1 << 20, 16, 256, 64];
        let launches = [
            [0, 1, 2],
            [0, 2, 3],
            [3, 2, 0],
            [0, 1, 4],
            [4, 4, 1],
            [1, 0, 2],
            [1, 2, 4],
            [2, 2, 4],
            [2, 2, 4],
            [0, 1, 3],
        ];
        let program = program(&sizes, &launches);
        let plan = plan(&program);
        let mut version = [0; 5];
        let mut content: HashMap<usize, (usize, usize)> = HashMap::new();
        for (dispatch, [a, b, c]) in program.dispatches.iter().zip(launches) {
            for (from, to) in &dispatch.copies {
                content.insert(plan.places[to.0], (from.0, version[from.0]));
            }
            for (slot, image) in [a, b].into_iter().zip(&dispatch.reads) {
                let place = plan.places[image.0];
                assert_eq!(content.get(&place), Some(&(slot, version[slot])), "{dispatch:?}");
                let (storage, bytes) = plan.sizes.places[place];
                assert!(storage != Storage::Buffer && bytes >= sizes[slot], "{dispatch:?}");
            }
            version[c] += 1;
        }
        let copies: usize = program.dispatches.iter().map(|dispatch| dispatch.copies.len()).sum();
        assert!(copies < 2 * launches.len(), "nothing was found again");
    }

    #[test]
    fn images_are_given_back() {
        // The first input is needed again, long after.
        let far: Vec<[usize; 3]> = [[0, 1, 2]].into_iter().chain([[2, 2, 3]; 8]).chain([[0, 1, 2]]).collect();
        let program = program(&[1 << 20; 4], &far);
        assert_eq!(program.dispatches[9].copies.len(), 2);
        let images = plan(&program).sizes.places.iter().filter(|(storage, _)| *storage != Storage::Buffer).count();
        assert!(images <= 3, "{images} images");
    }

    #[test]
    fn images_are_alike_in_what_kernels_are_compiled_for() {
        for elements in [1, 5, ROW, ROW + 1, 3 * ROW, 64 * ROW, 64 * ROW + 1, 8191 * ROW] {
            let height = rows(elements);
            assert!(!height.is_power_of_two() && height < 8192 && ROW * height >= elements, "{elements}");
        }
        assert!(!(ROW + GAP).is_power_of_two());
    }
}
