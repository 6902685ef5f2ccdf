//! The plain data between the tape and the GPU: kernels, dispatches and numbered buffers.

use super::Storage;
use std::fmt;

/// A parameter struct of a kernel: `#[repr(C)]`, u32 and f32 only, the same names as the WGSL struct `Params`.
pub trait Params: bytemuck::Pod {
    /// Names and WGSL types in order.
    const FIELDS: &'static [(&'static str, &'static str)];
}

/// Declares a kernel's parameter struct and its [`Params`] description in one place.
#[doc(hidden)]
#[macro_export]
macro_rules! kernel_params {
    ($(#[$doc:meta])* $vis:vis struct $name:ident { $($field:ident : $ty:ident),* $(,)? }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
        $vis struct $name { $($field: $ty),* }
        impl $crate::gpu::Params for $name {
            const FIELDS: &'static [(&'static str, &'static str)] = &[$((stringify!($field), stringify!($ty))),*];
        }
    };
}

/// A shader file with what the engine must know of it: bindings, parameters, and the variants that are shipped.
///
/// Bindings are: 0 the uniform `Params`, then `reads` read-only storage buffers, then `writes`
/// writable ones.
pub struct Shader {
    /// Path below `shaders/`.
    pub file: &'static str,
    /// Fields of the parameter struct, for the test that compares them with the WGSL.
    pub params: &'static [(&'static str, &'static str)],
    /// Read-only storage buffers.
    pub reads: u32,
    /// Writable storage buffers.
    pub writes: u32,
    /// Every shipped set of constants; the shader tests compile each.
    pub variants: &'static [&'static [(&'static str, u32)]],
}

impl Shader {
    /// A shader with the parameter struct `P` and one variant.
    pub const fn new<P: Params>(file: &'static str, reads: u32, writes: u32) -> Self {
        Self::with_variants::<P>(file, reads, writes, &[&[]])
    }

    /// A shader with the parameter struct `P` and the given variants.
    pub const fn with_variants<P: Params>(
        file: &'static str,
        reads: u32,
        writes: u32,
        variants: &'static [&'static [(&'static str, u32)]],
    ) -> Self {
        Self { file, params: P::FIELDS, reads, writes, variants }
    }
}

impl fmt::Debug for Shader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file)
    }
}

/// A shader with its constants chosen.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The shader file.
    pub shader: &'static Shader,
    /// Values for module-level constants of the file.
    pub constants: &'static [(&'static str, u32)],
    /// A bit for each binding whose array lies in storage as 16-bit floats.
    pub halves: u32,
}

impl Kernel {
    /// Variant number `variant` of `shader`.
    pub fn new(shader: &'static Shader, variant: usize) -> Self {
        Self { shader, constants: shader.variants[variant], halves: 0 }
    }

    /// Unique text of this kernel, for caches and profiles.
    pub fn key(&self) -> String {
        let halves = Some(("f16", self.halves)).filter(|(_, halves)| *halves != 0);
        let constants = self.constants.iter().copied().chain(halves);
        let constants: Vec<_> = constants.map(|(name, value)| format!("{name}={value}")).collect();
        if constants.is_empty() {
            self.shader.file.to_owned()
        } else {
            format!("{}[{}]", self.shader.file, constants.join(","))
        }
    }
}

/// Number of a buffer or image of a [`Program`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub usize);

/// How long a numbered resource lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// Lives in the session's state under this number, across programs and steps.
    State(usize),
    /// Filled from the host before the first dispatch.
    Input,
    /// Exists between its first and its last use.
    Transient,
    /// As `Transient`, and still intact after the last dispatch.
    Output,
}

/// A numbered buffer or image.
#[derive(Clone, Debug)]
pub struct SlotInfo {
    /// Size in bytes, a multiple of 16.
    pub bytes: u64,
    /// Bytes of its content: what an input is given for every step.
    pub content: u64,
    /// What it is.
    pub kind: SlotKind,
    /// What it lies in.
    pub storage: Storage,
    /// Its numbers are 16-bit floats.
    pub half: bool,
    /// Where it comes from, for people.
    pub label: String,
}

impl SlotInfo {
    /// A buffer of its own for `content` bytes.
    pub fn new(content: u64, kind: SlotKind, label: impl Into<String>) -> Self {
        let bytes = content.max(1).next_multiple_of(16);
        Self { bytes, content, kind, storage: Storage::Buffer, half: false, label: label.into() }
    }
}

/// How the processes that train as one make one of what each has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// The mean of each element.
    Mean,
    /// Of two buffers with as many means and variances: those of all processes' values together.
    Moments,
}

/// One kernel launch.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The operation it belongs to, for profiles.
    pub op: &'static str,
    /// What runs.
    pub kernel: Kernel,
    /// Buffers that are copied to images before it.
    pub copies: Vec<(Slot, Slot)>,
    /// Bytes of the parameter struct.
    pub params: Vec<u8>,
    /// Buffers and images read.
    pub reads: Vec<Slot>,
    /// Buffers written.
    pub writes: Vec<Slot>,
    /// Workgroups.
    pub grid: [u32; 3],
    /// What becomes of what it has written where several processes train as one.
    pub average: Option<Average>,
}

#[cfg(not(target_arch = "wasm32"))]
impl Dispatch {
    /// Whether it reads or writes `slot`.
    pub(crate) fn touches(&self, slot: Slot) -> bool {
        let copied = self.copies.iter().flat_map(|(from, to)| [from, to]);
        copied.chain(&self.reads).chain(&self.writes).any(|own| *own == slot)
    }
}

/// A list of dispatches over numbered buffers: all that the GPU will do in one step.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Buffers and images.
    pub slots: Vec<SlotInfo>,
    /// Launches in order.
    pub dispatches: Vec<Dispatch>,
    /// Buffers filled from the host, in upload order.
    pub inputs: Vec<Slot>,
    /// Buffers read back after the step, in read-back order.
    pub outputs: Vec<Slot>,
}

/// WebGPU's guaranteed number of workgroups in one dimension.
const MAX_GROUPS: u32 = 65_535;

/// Workgroups of 64 for `items` work items, split over y beyond 65,535; `flat_index` in
/// `shaders/shared/index.wgsl` inverts it and every kernel checks its bounds.
pub fn flat_grid(items: usize) -> [u32; 3] {
    let groups = items.div_ceil(64).max(1) as u32;
    if groups <= MAX_GROUPS {
        return [groups, 1, 1];
    }
    let rows = groups.div_ceil(MAX_GROUPS);
    [groups.div_ceil(rows), rows, 1]
}
