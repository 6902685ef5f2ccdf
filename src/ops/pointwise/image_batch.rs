//! A batch of images out of bytes: moved, mirrored, cut and normalised where it is used.

use crate::gpu::{Kernel, Shader};
use crate::kernel_params;
use crate::ops::vectors;
use crate::tape::{Array, DType, Launch, Op, Tape, Type, Var};
use crate::{Error, Result};

kernel_params! {
    struct ImageBatchParams { vectors: u32, channels: u32, height: u32, width: u32, words: u32 }
}

static IMAGE_BATCH: Shader = Shader::new::<ImageBatchParams>("pointwise/image_batch.wgsl", 3, 1);
pub(in crate::ops) const SHADERS: &[&Shader] = &[&IMAGE_BATCH];

/// Numbers of an image's view: (down, right, mirrored, 0), the part (top, left, height, width), of height 0 where there
/// is none, and the blank rectangle (top, left, bottom, right), signed.
pub(crate) const VIEW: usize = 12;

/// Words of four bytes that an image of (C, H, W) takes.
pub(crate) fn image_words(shape: [usize; 3]) -> usize {
    shape.iter().product::<usize>().div_ceil(4)
}

/// Images (N,C,H,W) from `images`, u32 (N, [`image_words`]) of bytes (C,H,W), through `views`, u32 (N, [`VIEW`]), as
/// values of `tables` (C,256), one for each byte. What a view shows from beyond an image is black, what it blanks is 0,
/// parts, which may reach beyond it, are stretched bilinearly. No gradient flows.
///
/// # Errors
/// The shapes or types do not agree.
pub(crate) fn image_batch(tape: &mut Tape, [images, views, tables]: [Var; 3], shape: [usize; 3]) -> Result<Var> {
    tape.apply1(ImageBatch { shape }, &[images, views, tables])
}

#[derive(Debug)]
struct ImageBatch {
    /// (C, H, W) of an image.
    shape: [usize; 3],
}

impl Op for ImageBatch {
    fn name(&self) -> &'static str {
        "image_batch"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let [channels, height, width] = self.shape;
        let n = inputs[0].shape[0];
        let expected = [
            (DType::U32, vec![n, image_words(self.shape)]),
            (DType::U32, vec![n, VIEW]),
            (DType::F32, vec![channels, 256]),
        ];
        for (input, (dtype, shape)) in inputs.iter().zip(expected) {
            if input.dtype != dtype || input.shape != shape {
                let what = format!("expected {dtype:?} {shape:?} for images {:?}, found {input}", self.shape);
                return Err(Error::shape(self.name(), what));
            }
        }
        Ok(vec![Type::vec4(&[n, channels, height, width])])
    }

    fn launch(&self, launch: &mut Launch<'_>) {
        let count = vectors(launch.outputs[0]);
        let [channels, height, width] = self.shape.map(|side| side as u32);
        let params =
            ImageBatchParams { vectors: count as u32, channels, height, width, words: image_words(self.shape) as u32 };
        let (reads, writes) = (launch.reads.clone(), launch.writes.clone());
        launch.flat(Kernel::new(&IMAGE_BATCH, 0), &params, &reads, &writes, count);
    }

    #[cfg(reference)]
    fn reference(&self, inputs: &[&Array]) -> Vec<Array> {
        let ([images, views, tables], [channels, height, width]) = ([inputs[0], inputs[1], inputs[2]], self.shape);
        let n = images.shape[0];
        let mut data = Vec::with_capacity(n * channels * height * width);
        for image in 0..n {
            // As the bits of signed numbers.
            let view: Vec<i64> =
                views.data[image * VIEW..][..VIEW].iter().map(|v| i64::from(*v as i64 as u32 as i32)).collect();
            let value = |c: usize, y: usize, x: usize| {
                let at = (c * height + y) * width + x;
                let word = images.data[image * image_words(self.shape) + at / 4] as u32;
                tables.data[c * 256 + usize::from(word.to_le_bytes()[at % 4])]
            };
            for (c, y, x) in places(self.shape) {
                let (row, column) = (y as i64, x as i64);
                let seen = if view[2] == 1 { width - 1 - x } else { x };
                let (down, across) = (row + view[0], seen as i64 + view[1]);
                data.push(if (view[8]..view[10]).contains(&row) && (view[9]..view[11]).contains(&column) {
                    0.0
                } else if view[6] > 0 {
                    match (around(y, height, view[4], view[6]), around(seen, width, view[5], view[7])) {
                        (Some(([above, below], share)), Some(([left, right], part))) => {
                            let row = |y| value(c, y, left) * (1.0 - part) + value(c, y, right) * part;
                            row(above) * (1.0 - share) + row(below) * share
                        }
                        _ => tables.data[c * 256],
                    }
                } else if (0..height as i64).contains(&down) && (0..width as i64).contains(&across) {
                    value(c, down as usize, across as usize)
                } else {
                    tables.data[c * 256]
                });
            }
        }
        vec![Array { shape: vec![n, channels, height, width], data }]
    }
}

#[cfg(reference)]
fn places([channels, height, width]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..channels * height * width).map(move |i| (i / (height * width), i / width % height, i % width))
}

/// The pixels between which place `i` of `size` lies when `part` pixels from `start` on are stretched over it, and the
/// second's share; nothing beyond the image.
#[cfg(reference)]
fn around(i: usize, size: usize, start: i64, part: i64) -> Option<([usize; 2], f64)> {
    let at = (i as f64 + 0.5) * part as f64 / size as f64 - 0.5;
    let (begin, end) = (-start, (size as i64 - start).min(part));
    if !(begin..end).contains(&((2 * i as i64 + 1) * part / (2 * size as i64))) {
        return None;
    }
    let at = at.clamp(begin.max(0) as f64, (end - 1) as f64);
    let first = at.floor() as i64;
    Some(([first, (first + 1).min(end - 1)].map(|pixel| (start + pixel) as usize), at - at.floor()))
}
