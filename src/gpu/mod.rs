//! The only room that speaks wgpu: adapters, buffers, pipelines, submissions, read-back, timing.
//!
//! It knows nothing of networks. What it executes is a [`Program`]: a flat list of [`Dispatch`]es over
//! numbered buffers, which [`plan`](crate::tape::plan) has laid out beforehand. Everything that can be slow
//! (buffers, pipelines, bind groups) happens in [`Executable::new`]; [`Executable::submit`] only encodes and submits.

mod adapter;
#[cfg(not(target_arch = "wasm32"))]
mod cache;
mod counters;
mod device;
#[cfg(not(target_arch = "wasm32"))]
mod exchange;
mod executable;
mod failure;
#[cfg(reference)]
mod half;
mod image;
mod known;
#[cfg(not(target_arch = "wasm32"))]
mod poll;
mod processes;
mod profile;
mod program;
mod reopen;
pub(crate) mod rewrite;
mod ring;
mod room;
#[cfg(not(target_arch = "wasm32"))]
mod schedule;
mod shader;
mod timing;
mod unroll;
#[cfg(not(target_arch = "wasm32"))]
mod warm;

pub(crate) use adapter::choose as choose_adapter;
pub use adapter::{AdapterKind, AdapterSummary, adapters, no_adapter_help};
pub use counters::Counters;
pub(crate) use device::params_bytes;
pub use device::{Buffer, Gpu, KernelCache};
pub use executable::{Executable, Pool, PoolSizes, Ticket};
#[cfg(reference)]
pub(crate) use half::rounded as rounded_to_f16;
pub use image::{ImageLayout, Storage, Texel};
pub use processes::Processes;
pub use profile::{Profile, Tile, Tiles, crossed};
pub use program::{Average, Dispatch, Kernel, Params, Program, Shader, Slot, SlotInfo, SlotKind, flat_grid};
pub(crate) use ring::DEPTH as RING_DEPTH;
pub(crate) use shader::whole;
pub use shader::{SHADERS, TextPass, specialize};
pub use timing::Timings;
