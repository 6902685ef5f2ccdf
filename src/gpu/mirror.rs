//! Which textures mirror which inputs of a program, and what is copied when: known before anything is allocated.
//!
//! A launch finds each of its inputs in a texture. An input is copied before its first use after it was written; a texture whose
//! content is not the launch's own is overwritten, the one that was used longest ago first.

use super::loads::{self, Loads, ROW, Texel};
use super::{Buffer, Gpu, Program, Slot, shader};
use crate::{Error, Result};
use std::collections::HashMap;

/// Elements that the textures of each kind hold, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorSizes([Vec<u64>; Texel::ALL.len()]);

impl MirrorSizes {
    /// What `program` needs.
    pub fn of(program: &Program) -> Self {
        Mirrors::plan(program).sizes
    }

    /// Bytes of all textures.
    pub fn bytes(&self) -> u64 {
        let of =
            |texel: Texel| self.0[texel as usize].iter().map(|elements| extent_bytes(*elements, texel)).sum::<u64>();
        Texel::ALL.into_iter().map(of).sum()
    }

    /// Refuses what does not fit into a texture, before it is made.
    ///
    /// # Errors
    /// [`Error::Limit`] with both sizes.
    pub fn check(&self, gpu: &Gpu) -> Result<()> {
        let of = |texel: Texel| self.0[texel as usize].iter().try_for_each(|elements| check(gpu, *elements, texel));
        Texel::ALL.into_iter().try_for_each(of)
    }

    /// The sizes that fit programs of both kinds, which never run at the same time.
    pub fn shared(mut self, other: &Self) -> Self {
        for (own, others) in self.0.iter_mut().zip(&other.0) {
            own.resize(own.len().max(others.len()), 0);
            own.iter_mut().zip(others).for_each(|(own, other)| *own = (*own).max(*other));
        }
        self
    }
}

/// Texels behind each row that hold nothing. Without them the rows of a matrix whose length is a power of two, of which a tile walks through
/// dozens at a time, would all compete for the same few lines of a core's first cache.
const GAP: u64 = 4;

/// Width and height of a texture of `elements`. Mesa's software driver compiles a kernel anew for a texture whose width or height is
/// a power of two where that of the last one was not, or the reverse; so none is one.
fn extent(elements: u64) -> [u32; 2] {
    let rows = elements.div_ceil(ROW).max(3);
    [(ROW + GAP) as u32, (rows + u64::from(rows.is_power_of_two())) as u32]
}

fn extent_bytes(elements: u64, texel: Texel) -> u64 {
    let [width, height] = extent(elements);
    u64::from(width) * u64::from(height) * texel.bytes()
}

/// A texture by its element and its place among those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mirror {
    texel: Texel,
    index: usize,
}

/// Where the launches of a program find their inputs.
#[derive(Debug, Default)]
pub(super) struct Mirrors {
    pub sizes: MirrorSizes,
    pub launches: Vec<Mirrored>,
}

/// Where one launch finds its inputs.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirrored {
    /// Textures of its inputs, in order.
    pub reads: Vec<Mirror>,
    /// What is copied before it.
    pub copies: Vec<(Slot, Mirror)>,
}

/// A texture while the program is walked through.
#[derive(Clone, Copy, Default)]
struct Held {
    elements: u64,
    content: Option<Slot>,
    used: Option<usize>,
}

impl Mirrors {
    /// Plans `program`; no textures when its kernels load from buffers.
    pub fn plan(program: &Program) -> Self {
        if program.loads == Loads::Buffers {
            let launches = vec![Mirrored::default(); program.dispatches.len()];
            return Self { launches, ..Self::default() };
        }
        let mut inputs: HashMap<&str, Vec<Texel>> = HashMap::new();
        let mut held: [Vec<Held>; Texel::ALL.len()] = Default::default();
        let mut mirrors = Self::default();
        for (time, dispatch) in program.dispatches.iter().enumerate() {
            let file = dispatch.kernel.shader.file;
            let texels = inputs.entry(file).or_insert_with(|| loads::inputs(&shader::whole(file)));
            let mut launch = Mirrored::default();
            for (slot, texel) in dispatch.reads.iter().zip(texels) {
                let elements = program.slots[slot.0].bytes / texel.bytes();
                let textures = &mut held[*texel as usize];
                let index = place(textures, *slot, elements, time);
                let mirror = Mirror { texel: *texel, index };
                if textures[index].content != Some(*slot) {
                    launch.copies.push((*slot, mirror));
                }
                let elements = textures[index].elements.max(elements);
                textures[index] = Held { elements, content: Some(*slot), used: Some(time) };
                launch.reads.push(mirror);
            }
            for texture in held.iter_mut().flatten() {
                texture.content = texture.content.filter(|slot| !dispatch.writes.contains(slot));
            }
            mirrors.launches.push(launch);
        }
        mirrors.sort(&held);
        mirrors
    }

    /// Numbers the textures by size, so that programs that share them agree.
    fn sort(&mut self, held: &[Vec<Held>; Texel::ALL.len()]) {
        let ranks = held.each_ref().map(|textures| {
            let mut order: Vec<usize> = (0..textures.len()).collect();
            order.sort_by_key(|index| std::cmp::Reverse(textures[*index].elements));
            order
        });
        for ((sizes, order), textures) in self.sizes.0.iter_mut().zip(&ranks).zip(held) {
            sizes.extend(order.iter().map(|index| textures[*index].elements));
        }
        let renumber = |mirror: &mut Mirror| {
            let order = &ranks[mirror.texel as usize];
            mirror.index = order.iter().position(|index| *index == mirror.index).unwrap_or(mirror.index);
        };
        for launch in &mut self.launches {
            launch.reads.iter_mut().chain(launch.copies.iter_mut().map(|(_, mirror)| mirror)).for_each(renumber);
        }
    }
}

/// The texture for `slot` at `time`: the one that holds it, or one that this launch does not use, large enough if there is such
/// a one, or else a new one.
fn place(textures: &mut Vec<Held>, slot: Slot, elements: u64, time: usize) -> usize {
    if let Some(index) = textures.iter().position(|texture| texture.content == Some(slot)) {
        return index;
    }
    let free = || (0..textures.len()).filter(|index| textures[*index].used != Some(time));
    let roomy = free().filter(|index| textures[*index].elements >= elements).min_by_key(|index| textures[*index].used);
    roomy.or_else(|| free().max_by_key(|index| textures[*index].elements)).unwrap_or_else(|| {
        textures.push(Held::default());
        textures.len() - 1
    })
}

/// The textures of a pool.
#[derive(Clone, Debug, Default)]
pub(super) struct Textures([Vec<wgpu::Texture>; Texel::ALL.len()]);

impl Textures {
    /// Creates what `sizes` says. A texture of vectors of four holds four times the bytes of one of single numbers.
    ///
    /// # Errors
    /// The adapter's textures are too small.
    pub fn new(gpu: &Gpu, sizes: &MirrorSizes) -> Result<Self> {
        let mut textures = Self::default();
        for texel in Texel::ALL {
            for elements in &sizes.0[texel as usize] {
                textures.0[texel as usize].push(texture(gpu, *elements, texel)?);
            }
        }
        Ok(textures)
    }

    pub fn view(&self, mirror: Mirror) -> wgpu::TextureView {
        self.0[mirror.texel as usize][mirror.index].create_view(&Default::default())
    }

    /// What [`copy`] needs to fill `mirror` with `buffer`.
    pub fn filled(&self, mirror: Mirror, buffer: &Buffer) -> Copy {
        let texture = self.0[mirror.texel as usize][mirror.index].clone();
        Copy {
            buffer: buffer.raw.clone(),
            texture,
            texel_bytes: mirror.texel.bytes(),
            elements: buffer.bytes() / mirror.texel.bytes(),
        }
    }
}

fn check(gpu: &Gpu, elements: u64, texel: Texel) -> Result<()> {
    let [_, height] = extent(elements);
    let offer = gpu.inner.device.limits().max_texture_dimension_2d;
    if height <= offer {
        return Ok(());
    }
    Err(Error::Limit {
        adapter: gpu.inner.summary.name.clone(),
        limit: "max_texture_dimension_2d",
        need: u64::from(height),
        offer: u64::from(offer),
        cure: format!(
            "a tensor of {} bytes does not fit into a texture: use a smaller batch size, or set MEXHAT_LOADS=buffers",
            elements * texel.bytes()
        ),
    })
}

fn texture(gpu: &Gpu, elements: u64, texel: Texel) -> Result<wgpu::Texture> {
    check(gpu, elements, texel)?;
    let [width, height] = extent(elements);
    let texture = gpu.raw_texture([width, height], texel.format(), extent_bytes(elements, texel));
    gpu.check()?;
    Ok(texture)
}

/// A copy of a buffer to a texture.
pub(super) struct Copy {
    buffer: wgpu::Buffer,
    texture: wgpu::Texture,
    texel_bytes: u64,
    elements: u64,
}

impl Copy {
    /// Whole rows first, then what is left of the last one.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let (rows, rest) = (self.elements / ROW, self.elements % ROW);
        let mut copy = |row: u64, width: u64, height: u64| {
            if width * height == 0 {
                return;
            }
            let layout = wgpu::TexelCopyBufferLayout {
                offset: row * ROW * self.texel_bytes,
                bytes_per_row: (height > 1).then_some((ROW * self.texel_bytes) as u32),
                rows_per_image: None,
            };
            let origin = wgpu::Origin3d { x: 0, y: row as u32, z: 0 };
            encoder.copy_buffer_to_texture(
                wgpu::TexelCopyBufferInfo { buffer: &self.buffer, layout },
                wgpu::TexelCopyTextureInfo { origin, ..self.texture.as_image_copy() },
                wgpu::Extent3d { width: width as u32, height: height as u32, depth_or_array_layers: 1 },
            );
        };
        copy(0, ROW, rows);
        copy(rows, rest, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Dispatch, Kernel, SlotInfo, SlotKind};

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
            params: Vec::new(),
            reads: vec![Slot(*a), Slot(*b)],
            writes: vec![Slot(*c)],
            grid: [1, 1, 1],
        };
        Program {
            slots: bytes.iter().map(slot).collect(),
            dispatches: launches.iter().map(dispatch).collect(),
            loads: Loads::Textures,
            ..Program::default()
        }
    }

    /// Every launch finds in its textures what was last written, in textures that are large enough and its own.
    #[test]
    fn launches_find_their_inputs_as_last_written() {
        let sizes = [64, 1 << 20, 16, 256, 64];
        let launches = [[0, 1, 2], [0, 2, 3], [3, 2, 0], [0, 1, 4], [4, 4, 1], [1, 0, 2]];
        let program = program(&sizes, &launches);
        let mirrors = Mirrors::plan(&program);
        let mut version = [0; 5];
        let mut content: HashMap<Mirror, (usize, usize)> = HashMap::new();
        for (time, [a, b, c]) in launches.into_iter().enumerate() {
            for (slot, mirror) in &mirrors.launches[time].copies {
                content.insert(*mirror, (slot.0, version[slot.0]));
            }
            for (slot, mirror) in [a, b].into_iter().zip(&mirrors.launches[time].reads) {
                assert_eq!(content.get(mirror), Some(&(slot, version[slot])), "launch {time}");
                assert!(mirrors.sizes.0[mirror.texel as usize][mirror.index] * 16 >= sizes[slot]);
            }
            version[c] += 1;
        }
        let copies: usize = mirrors.launches.iter().map(|launch| launch.copies.len()).sum();
        assert!(copies < 2 * launches.len(), "nothing was found again");
        assert_eq!(mirrors.sizes.0[0].len(), 2, "two inputs at a time need two textures");
    }

    #[test]
    fn shared_sizes_fit_both() {
        let of = |bytes: &[u64]| Mirrors::plan(&program(bytes, &[[0, 1, 2]])).sizes;
        let (a, b) = (of(&[64, 4096, 16]), of(&[1 << 20, 16, 16]));
        assert_eq!(a.clone().shared(&b).0[0], [65536, 4]);
        assert_eq!(a.shared(&b).bytes(), (17 + 3) * (ROW + GAP) * 16);
    }

    #[test]
    fn textures_are_alike_in_what_kernels_are_compiled_for() {
        for elements in [1, 5, ROW, ROW + 1, 3 * ROW, 64 * ROW, 64 * ROW + 1, 8191 * ROW] {
            let [width, height] = extent(elements);
            assert!(!width.is_power_of_two() && !height.is_power_of_two() && height < 8192, "{elements}");
            assert!(ROW * u64::from(height) >= elements, "{elements}");
        }
    }

    #[test]
    fn buffers_need_no_mirrors() {
        let program = Program { loads: Loads::Buffers, ..program(&[16, 16, 16], &[[0, 1, 2]]) };
        assert_eq!(Mirrors::plan(&program).sizes.bytes(), 0);
    }
}
