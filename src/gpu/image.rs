//! Images: resources in which a kernel finds the elements of a buffer as texels. They are filled by copies.

use super::{Buffer, Gpu};
use crate::{Error, Result};

/// What one element of a read-only input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Texel {
    /// `vec4f`.
    Vec4,
    /// `f32`.
    F32,
    /// `u32`.
    U32,
    /// `vec4f`, of 16-bit floats.
    HalfVec4,
    /// `f32`, a 16-bit float.
    Half,
}

impl Texel {
    /// Bytes of an element.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Vec4 => 16,
            Self::HalfVec4 => 8,
            Self::F32 | Self::U32 => 4,
            Self::Half => 2,
        }
    }

    fn format(self) -> wgpu::TextureFormat {
        match self {
            Self::Vec4 => wgpu::TextureFormat::Rgba32Float,
            Self::F32 => wgpu::TextureFormat::R32Float,
            Self::U32 => wgpu::TextureFormat::R32Uint,
            Self::HalfVec4 => wgpu::TextureFormat::Rgba16Float,
            Self::Half => wgpu::TextureFormat::R16Float,
        }
    }
}

/// How a buffer lies in an image: element i is texel (i mod row, i / row).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageLayout {
    /// What is in a texel.
    pub texel: Texel,
    /// Elements in a row.
    pub row: u64,
    /// Texels in a row, at least as many.
    pub width: u64,
}

impl ImageLayout {
    /// Bytes of one row.
    pub const fn row_bytes(self) -> u64 {
        self.width * self.texel.bytes()
    }
}

/// What a numbered resource of a program lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// A storage buffer.
    Buffer,
    /// An image.
    Image(ImageLayout),
}

/// Refuses an image of `bytes` that is too large, before it is made.
///
/// # Errors
/// [`Error::Limit`] with both sizes.
pub(super) fn check(gpu: &Gpu, layout: ImageLayout, bytes: u64) -> Result<()> {
    let need = layout.width.max(bytes / layout.row_bytes());
    let offer = u64::from(gpu.inner.device.limits().max_texture_dimension_2d);
    if need <= offer {
        return Ok(());
    }
    Err(Error::Limit {
        adapter: gpu.inner.summary.name.clone(),
        limit: "max_texture_dimension_2d",
        need,
        offer,
        cure: format!("a tensor of {bytes} bytes does not fit into a texture: use a smaller batch size"),
    })
}

/// An image of `bytes`, whole rows.
///
/// # Errors
/// As [`check`].
pub(super) fn create(gpu: &Gpu, layout: ImageLayout, bytes: u64) -> Result<wgpu::Texture> {
    check(gpu, layout, bytes)?;
    let size = [layout.width as u32, (bytes / layout.row_bytes()) as u32];
    let texture = gpu.raw_texture(size, layout.texel.format(), bytes);
    gpu.check()?;
    Ok(texture)
}

/// A copy of a buffer to an image.
pub(super) struct Copy {
    pub from: Buffer,
    pub to: wgpu::Texture,
    pub layout: ImageLayout,
}

impl Copy {
    /// Whole rows first, then what is left of the last one.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        let ImageLayout { texel, row, .. } = self.layout;
        let elements = self.from.bytes() / texel.bytes();
        let mut copy = |first: u64, width: u64, height: u64| {
            if width * height == 0 {
                return;
            }
            let layout = wgpu::TexelCopyBufferLayout {
                offset: first * row * texel.bytes(),
                bytes_per_row: (height > 1).then_some((row * texel.bytes()) as u32),
                rows_per_image: None,
            };
            let origin = wgpu::Origin3d { x: 0, y: first as u32, z: 0 };
            encoder.copy_buffer_to_texture(
                wgpu::TexelCopyBufferInfo { buffer: &self.from.raw, layout },
                wgpu::TexelCopyTextureInfo { origin, ..self.to.as_image_copy() },
                wgpu::Extent3d { width: width as u32, height: height as u32, depth_or_array_layers: 1 },
            );
        };
        copy(0, row, elements / row);
        copy(elements / row, elements % row, 1);
    }
}
