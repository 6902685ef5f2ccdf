//! Deconvolution kernels of a picture, and the picture through them: the paper's Figure 2, live.

use crate::picture::{Picture, regularised};
use crate::seen::{largest, rooted};
use crate::thrown::{numbers, object, thrown};
use js_sys::{Float32Array, Uint8ClampedArray};
use mexhat::gpu::Gpu;
use mexhat::study::{Deconvolver, Spectrum, inverse_root, whitened};
use mexhat::viz::image::{robust_scale, signed_picture, sparse_picture};
use mexhat::viz::{StreamingHistogram, central_kernels, dead_leaves};
use mexhat::{Error, Result, json};
use wasm_bindgen::prelude::*;
use web_time::Instant;

/// Bars of each histogram, over +-4 standard deviations.
const BINS: usize = 65;

/// How a picture is looked at.
#[derive(serde::Deserialize)]
struct Look {
    k: usize,
    iterations: usize,
    eps: f64,
    grey: bool,
}

/// Looks at pictures on a device of its own.
#[wasm_bindgen]
pub struct Viewer {
    gpu: Gpu,
}

pub fn rgba(samples: &[u8]) -> Uint8ClampedArray {
    let pixels: Vec<u8> = samples.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect();
    Uint8ClampedArray::from(&pixels[..])
}

#[wasm_bindgen]
impl Viewer {
    /// Opens the GPU.
    pub async fn open() -> Result<Viewer, JsValue> {
        Ok(Self { gpu: Gpu::open_async(None).await.map_err(thrown)? })
    }

    /// A generated picture with the statistics of photographs, `{ pixels, width, height }`, RGBA.
    pub fn generate(&self, seed: u32, width: usize, height: usize) -> js_sys::Object {
        let pixels = rgba(dead_leaves(u64::from(seed), width, height).to_image().as_raw());
        object(&[("pixels", pixels.into()), ("width", (width as u32).into()), ("height", (height as u32).into())])
    }

    /// Kernels of an RGBA picture and what they make of it:
    /// `{ channels, kernel, values, colours, scale, deconvolved, sparse, before, after, conditions, kurtoses, patches,
    /// ms }`. `options` is JSON, `{ k, iterations, eps, grey }`: the kernels' side, Newton-Schulz steps, what is added
    /// to the diagonal, in variances of the picture, and whether it is looked at without its colours.
    ///
    /// `values` are (channels,channels,k,k), colour out, colour in, row, column; the pictures are RGBA; `before` and
    /// `after` are densities.
    pub async fn look(&self, pixels: Vec<u8>, width: usize, height: usize, options: &str) -> Result<JsValue, JsValue> {
        let begun = Instant::now();
        let wrong = |e: serde_json::Error| thrown(Error::Usage(format!("the page's options: {e}")));
        let options: Look = json::read(options).map_err(wrong)?;
        let picture = Picture::new(&pixels, [width, height], options.grey).map_err(thrown)?;
        let seen = self.seen(&picture, options).await.map_err(thrown)?;
        let _ = js_sys::Reflect::set(&seen, &"ms".into(), &(begun.elapsed().as_secs_f64() * 1e3).into());
        Ok(seen.into())
    }
}

impl Viewer {
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    async fn seen(&self, picture: &Picture, Look { k, iterations, eps, .. }: Look) -> Result<js_sys::Object> {
        let (patches, channels) = (picture.patches(&self.gpu, k).await?, picture.channels);
        let d = patches.d;
        let a = regularised(&patches.covariance, d, eps);
        let deconv = inverse_root(&self.gpu, &a, d, iterations).await?;
        if !deconv.iter().all(|v| v.is_finite()) {
            return Err(Error::Run(format!(
                "Newton-Schulz diverged after {iterations} iterations with eps {eps}: use fewer iterations or a larger eps"
            )));
        }
        let kernels = central_kernels(&deconv, channels, k)?;
        let mut deconvolver = Deconvolver::new(&self.gpu, &for_colours(&kernels, channels, k), k, patches.color)?;
        let deconvolved = deconvolver.apply(&picture.photo).await?;

        let exact: Vec<f64> = a.iter().map(|v| f64::from(*v)).collect();
        let conditions = [&exact, &whitened(&exact, &deconv, d)].map(|matrix| Spectrum::of(matrix, d).condition());
        let mut histograms = [StreamingHistogram::new(), StreamingHistogram::new()];
        histograms[0].add(&picture.photo.planes().data);
        histograms[1].add(&deconvolved.data);
        let scale = largest(&kernels);
        let robust = robust_scale(&deconvolved.data);
        let kurtoses = histograms.each_ref().map(StreamingHistogram::kurtosis);
        Ok(object(&[
            ("channels", (channels as u32).into()),
            ("kernel", (k as u32).into()),
            ("scale", scale.into()),
            ("conditions", numbers(conditions)),
            ("kurtoses", numbers(kurtoses)),
            ("before", numbers(histograms[0].density(BINS, 4.0))),
            ("after", numbers(histograms[1].density(BINS, 4.0))),
            ("patches", (patches.count as f64).into()),
            ("values", Float32Array::from(&kernels[..]).into()),
            ("colours", rooted(&kernels, scale).into()),
            ("deconvolved", rgba(signed_picture(&deconvolved, robust).as_raw()).into()),
            ("sparse", rgba(sparse_picture(&deconvolved, robust).as_raw()).into()),
        ]))
    }
}

/// Kernels (3,3,k,k): of one colour, each of three gets the same and nothing from the others.
fn for_colours(kernels: &[f32], channels: usize, k: usize) -> Vec<f32> {
    if channels == 3 {
        return kernels.to_vec();
    }
    let area = k * k;
    let mut all = vec![0.0; 9 * area];
    (0..3).for_each(|c| all[4 * c * area..][..area].copy_from_slice(kernels));
    all
}
