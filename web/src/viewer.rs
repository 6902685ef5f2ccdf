//! Deconvolution kernels of a picture, and the picture through them: the paper's Figure 2, live.

use crate::seen::{largest, rooted};
use crate::thrown::{numbers, object, thrown};
use js_sys::{Float32Array, Uint8ClampedArray};
use mexhat::Result;
use mexhat::gpu::Gpu;
use mexhat::study::{Deconvolver, KernelOptions, KernelStudy, PhotoSet, Source};
use mexhat::viz::image::{robust_scale, signed_picture, sparse_picture};
use mexhat::viz::{Photo, StreamingHistogram, dead_leaves};
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use web_time::Instant;

/// Bars of each histogram, over +-4 standard deviations.
const BINS: usize = 65;

/// Looks at pictures on a device of its own.
#[wasm_bindgen]
pub struct Viewer {
    gpu: Gpu,
}

fn rgba(samples: &[u8]) -> Uint8ClampedArray {
    let pixels: Vec<u8> = samples.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect();
    Uint8ClampedArray::from(&pixels[..])
}

#[wasm_bindgen]
impl Viewer {
    /// Opens the GPU.
    pub async fn open() -> Result<Viewer, JsValue> {
        Ok(Self { gpu: Gpu::open_async(None).await.map_err(thrown)? })
    }

    /// A generated picture with the statistics of photographs, RGBA.
    pub fn generate(&self, seed: u32, width: usize, height: usize) -> Uint8ClampedArray {
        rgba(dead_leaves(u64::from(seed), width, height).to_image().as_raw())
    }

    /// Kernels of an RGBA picture and what they make of it:
    /// `{ kernel, values, colours, scale, deconvolved, sparse, before, after, whiteness, conditions, kurtoses, patches, ms }`.
    ///
    /// `values` are (3,3,k,k), output colour, input colour, row, column; the pictures are RGBA; `before` and `after` are densities.
    pub async fn look(
        &self,
        pixels: Vec<u8>,
        width: usize,
        height: usize,
        kernel_size: usize,
        iterations: usize,
        eps: f64,
    ) -> Result<JsValue, JsValue> {
        let begun = Instant::now();
        let options = KernelOptions { kernel_size, iterations, eps };
        self.seen(&pixels, [width, height], options, begun).await.map_err(thrown)
    }
}

impl Viewer {
    async fn seen(
        &self,
        pixels: &[u8],
        [width, height]: [usize; 2],
        options: KernelOptions,
        begun: Instant,
    ) -> Result<JsValue> {
        let samples = pixels.as_chunks::<4>().0.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect();
        let photo = Rc::new(Photo::from_rgb8(width, height, samples)?);
        let photos = PhotoSet::new(vec![("the picture".into(), Source::Memory(Rc::clone(&photo)))]);
        let study = KernelStudy::run(&self.gpu, &photos, options, |_, _| {}).await?;
        let k = options.kernel_size;
        let mut deconvolver = Deconvolver::new(&self.gpu, &study.kernels, k, study.statistics.color)?;
        let picture = deconvolver.apply(&photo).await?;

        let mut histograms = [StreamingHistogram::new(), StreamingHistogram::new()];
        histograms[0].add(&photo.planes().data);
        histograms[1].add(&picture.data);
        let scale = largest(&study.kernels);
        let robust = robust_scale(&picture.data);
        let kurtoses = histograms.each_ref().map(StreamingHistogram::kurtosis);
        Ok(object(&[
            ("kernel", (k as u32).into()),
            ("scale", scale.into()),
            ("whiteness", study.whiteness.into()),
            ("conditions", numbers([study.before.condition(), study.after.condition()])),
            ("kurtoses", numbers(kurtoses)),
            ("before", numbers(histograms[0].density(BINS, 4.0))),
            ("after", numbers(histograms[1].density(BINS, 4.0))),
            ("patches", (study.statistics.patches as f64).into()),
            ("ms", (begun.elapsed().as_secs_f64() * 1e3).into()),
            ("values", Float32Array::from(&study.kernels[..]).into()),
            ("colours", rooted(&study.kernels, scale).into()),
            ("deconvolved", rgba(signed_picture(&picture, robust).as_raw()).into()),
            ("sparse", rgba(sparse_picture(&picture, robust).as_raw()).into()),
        ])
        .into())
    }
}
