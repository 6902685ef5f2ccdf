//! The classes of a picture's pixels in a PNG of one grey or palette value each.
//!
//! What a palette's colours are does not matter: PNG readers that show a picture look them up, which loses the class.

use std::io::Cursor;

use super::dataset::IGNORED;
use super::nearest::nearest;

/// Most pixels of a mask: those of a picture.
const MAX_PIXELS: u64 = 100_000_000;

/// One value for each pixel.
pub(crate) struct Mask {
    pub width: u32,
    pub height: u32,
    /// (H, W).
    pub values: Vec<u8>,
}

/// The mask in these bytes, or why there is none.
pub(crate) fn read(bytes: &[u8]) -> Result<Mask, String> {
    let damaged =
        |e: png::DecodingError| format!("is no whole PNG ({e}); masks are PNG files of one value for each pixel");
    let limits = png::Limits { bytes: 1 << 30 };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let info = reader.info();
    let (width, height, bits) = (info.width, info.height, info.bit_depth as usize);
    if !matches!(info.color_type, png::ColorType::Grayscale | png::ColorType::Indexed) || bits > 8 {
        return Err(format!(
            "is a PNG of {:?} with {bits} bits; expected one grey or palette value of at most 8 bits for each pixel, which is its class",
            info.color_type
        ));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!(
            "has {height} x {width} pixels (height x width); expected at most {} megapixels",
            MAX_PIXELS / 1_000_000
        ));
    }
    let size = reader.output_buffer_size().ok_or("has more pixels than are read")?;
    let mut packed = vec![0; size];
    let line = reader.next_frame(&mut packed).map_err(damaged)?.line_size;
    let mut values = Vec::with_capacity(width as usize * height as usize);
    for row in packed.chunks_exact(line.max(1)).take(height as usize) {
        // Below 8 bits several values share a byte, the first in the highest bits.
        let value = |x: usize| (row[x * bits / 8] >> (8 - bits - x * bits % 8)) & (0xff >> (8 - bits));
        values.extend((0..width as usize).map(value));
    }
    Ok(Mask { width, height, values })
}

impl Mask {
    /// Stretched to `width` x `height`: each pixel takes the value nearest to its middle, for classes have no mean.
    pub fn scaled(self, width: u32, height: u32) -> Self {
        let from = [self.height as usize, self.width as usize];
        Self { values: nearest(&self.values, from, [height as usize, width as usize]), width, height }
    }
}

/// The colour that class `i` is shown in: near ones differ most, class 0 is black and what has no class white, as the
/// public sets have it.
pub(crate) fn colour(class: u8) -> [u8; 3] {
    if class == IGNORED {
        return [255; 3];
    }
    let bit = |at: u8| (class >> at) & 1;
    // PASCAL VOC's: the bits of the class in turn to red, green and blue, from the highest down.
    std::array::from_fn(|c| (0..3).filter(|k| 3 * k + c < 8).fold(0, |v, k| v | (bit((3 * k + c) as u8) << (7 - k))))
}

/// A PNG of these classes (H, W), in colours.
#[cfg(feature = "cli")]
pub(crate) fn write(values: &[u8], [height, width]: [usize; 2]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette((0..=255).flat_map(colour).collect::<Vec<u8>>());
    let mut writer = encoder.write_header()?;
    writer.write_image_data(values)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(colour: png::ColorType, depth: png::BitDepth, size: [u32; 2], data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, size[0], size[1]);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if colour == png::ColorType::Indexed {
            encoder.set_palette(vec![9; 3 * 16]);
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    #[test]
    fn values_are_classes_whatever_the_palette_and_the_bits() {
        use png::{BitDepth, ColorType};
        let four = packed(ColorType::Indexed, BitDepth::Four, [3, 2], &[0x12, 0x30, 0x45, 0x60]);
        assert_eq!(read(&four).unwrap().values, [1, 2, 3, 4, 5, 6]);
        let two = packed(ColorType::Grayscale, BitDepth::Two, [5, 1], &[0b00_01_10_11, 0b01_000000]);
        assert_eq!(read(&two).unwrap().values, [0, 1, 2, 3, 1]);
        let eight = packed(ColorType::Grayscale, BitDepth::Eight, [2, 1], &[7, 255]);
        assert_eq!(read(&eight).unwrap().values, [7, 255]);
        for bad in [
            packed(ColorType::Rgb, BitDepth::Eight, [1, 1], &[1, 1, 1]),
            packed(ColorType::Grayscale, BitDepth::Sixteen, [1, 1], &[0, 1]),
        ] {
            assert!(read(&bad).err().unwrap().contains("expected one grey or palette value"));
        }
        assert!(read(&eight[..40]).err().unwrap().contains("no whole PNG"));
        assert!(read(b"GIF89a").is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let values = [0, 1, 20, 255, 3, 2];
        let bytes = write(&values, [2, 3]).unwrap();
        let found = read(&bytes).unwrap();
        assert_eq!((found.width, found.height, &found.values[..]), (3, 2, &values[..]));
        assert_eq!([colour(0), colour(1), colour(2), colour(8)], [[0; 3], [128, 0, 0], [0, 128, 0], [64, 0, 0]]);
    }
}
