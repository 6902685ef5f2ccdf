//! The visitor's picture, and the covariance of its patches.

use mexhat::gpu::Gpu;
use mexhat::study::{PhotoSet, Source, patch_statistics};
use mexhat::viz::Photo;
use mexhat::{Error, Result};
use std::rc::Rc;

/// A picture of three colours, or of one that stands there three times.
pub struct Picture {
    pub photo: Rc<Photo>,
    pub width: usize,
    pub height: usize,
    /// 3, or 1 where it is grey.
    pub channels: usize,
}

/// Covariance (d,d) of all k x k patches, in variances of the picture: its diagonal has the mean 1.
pub struct Patches {
    pub d: usize,
    pub covariance: Vec<f64>,
    /// Mean of each colour, 0 to 1.
    pub color: [f64; 3],
    pub count: u64,
}

/// Brightness of a colour, 0 to 255 (ITU-R BT.709).
fn luma([r, g, b, _]: &[u8; 4]) -> u8 {
    (0.2126 * f32::from(*r) + 0.7152 * f32::from(*g) + 0.0722 * f32::from(*b)).round() as u8
}

impl Picture {
    /// Of RGBA pixels; without its colours if `grey` is asked for, or if it has none.
    pub fn new(pixels: &[u8], [width, height]: [usize; 2], grey: bool) -> Result<Self> {
        let pixels = pixels.as_chunks::<4>().0;
        let grey = grey || pixels.iter().all(|[r, g, b, _]| r == g && g == b);
        let samples =
            pixels.iter().flat_map(|pixel| if grey { [luma(pixel); 3] } else { [pixel[0], pixel[1], pixel[2]] });
        let photo = Rc::new(Photo::from_rgb8(width, height, samples.collect())?);
        Ok(Self { photo, width, height, channels: if grey { 1 } else { 3 } })
    }

    /// # Errors
    /// The picture is smaller than a patch, or has one value throughout.
    pub async fn patches(&self, gpu: &Gpu, k: usize) -> Result<Patches> {
        let photos = PhotoSet::new(vec![("the picture".into(), Source::Memory(Rc::clone(&self.photo)))]);
        let found = patch_statistics(gpu, &photos, k, |_, _| {}).await?;
        let (all, d) = (found.d(), self.channels * k * k);
        // Of three equal colours the first block is that of one.
        let mut covariance: Vec<f64> = (0..d * d).map(|i| found.covariance[i / d * all + i % d]).collect();
        let variance = (0..d).map(|i| covariance[i * (d + 1)]).sum::<f64>() / d as f64;
        if variance < 1e-9 {
            return Err(flat());
        }
        covariance.iter_mut().for_each(|v| *v /= variance);
        Ok(Patches { d, covariance, color: found.color, count: found.patches })
    }

    /// `count` times so many pixels in a row, in standard deviations around the mean, spread over the picture: (count,
    /// pixels).
    ///
    /// # Errors
    /// The picture has no row so long, or one value throughout.
    pub fn runs(&self, pixels: usize, count: usize) -> Result<Vec<f32>> {
        if self.width < pixels {
            let what = format!("expected a picture at least {pixels} pixels wide, found {}", self.width);
            return Err(Error::input("the picture", what));
        }
        let plane = &self.photo.planes().data[..self.width * self.height];
        let mean = plane.iter().map(|v| f64::from(*v)).sum::<f64>() / plane.len() as f64;
        let variance = plane.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / plane.len() as f64;
        if variance < 1e-9 {
            return Err(flat());
        }
        let columns = self.width - pixels + 1;
        // Steps by the golden ratio of all places meet rows and columns evenly.
        let place = |i: usize| ((i as f64 * 0.618_033_988_749_895).fract() * (columns * self.height) as f64) as usize;
        let starts = (0..count).map(place).map(|place| place / columns * self.width + place % columns);
        let values = starts.flat_map(|start| &plane[start..start + pixels]);
        Ok(values.map(|v| ((f64::from(*v) - mean) / variance.sqrt()) as f32).collect())
    }
}

fn flat() -> Error {
    Error::input("the picture", "expected something to see, found a single flat colour, which has no covariance")
}

/// `C + eps I` in `f32`.
pub fn regularised(covariance: &[f64], d: usize, eps: f64) -> Vec<f32> {
    covariance.iter().enumerate().map(|(i, v)| (v + if i % (d + 1) == 0 { eps } else { 0.0 }) as f32).collect()
}
