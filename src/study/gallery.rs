//! The files of `mexhat kernels`.

use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;

use super::deconvolver::Deconvolver;
use super::kernels::KernelStudy;
use super::photos::PhotoSet;
use crate::gpu::Gpu;
use crate::viz::image::{robust_scale, signed_picture, sparse_picture};
use crate::viz::{KernelSheet, MatrixMap, Photo, StreamingHistogram, histogram_svg, png};
use crate::{Error, Result};

/// What deconvolution did to one photograph.
#[derive(Clone, Debug, Serialize)]
pub struct ImageReport {
    /// Name of the photograph, and beginning of its files.
    pub name: String,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Kurtosis of its values less the mean colour: 3 for a normal distribution.
    pub kurtosis_before: f64,
    /// Kurtosis of its deconvolved values.
    pub kurtosis_after: f64,
}

/// A folder to write results to; made when it is not there.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes sure that the folder is there and can be written to.
    ///
    /// # Errors
    /// It is a file, or cannot be made or written to.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        std::fs::create_dir_all(&path).map_err(|e| {
            Error::input(&path, format!("the output folder cannot be made: {e}; name another with `out`"))
        })?;
        let probe = path.join(".mexhat-probe");
        std::fs::write(&probe, b"")
            .and_then(|()| std::fs::remove_file(&probe))
            .map_err(|e| Error::input(&path, format!("cannot be written to: {e}; name another folder with `out`")))?;
        Ok(Self { path })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file whole or not at all.
    ///
    /// # Errors
    /// The disk is full or the folder is gone.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (to, partial) = (self.path.join(name), self.path.join(format!(".{name}.partial")));
        std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, &to)).map_err(|e| {
            // What was begun is of no use; that it cannot be removed either changes nothing.
            let _ = std::fs::remove_file(&partial);
            Error::input(&to, format!("cannot be written: {e}; check that the folder exists and has room"))
        })
    }

    /// Writes any value as readable JSON.
    ///
    /// # Errors
    /// As [`Folder::write`].
    pub fn json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string_pretty(value).map_err(|e| Error::Run(format!("{name}: {e}")))?;
        text.push('\n');
        self.write(name, text.as_bytes())
    }
}

/// `f32` tensors as a safetensors file.
pub(super) fn safetensors(tensors: &[(&str, &[usize], &[f32])]) -> Result<Vec<u8>> {
    let failed = |e: safetensors::SafeTensorError| Error::Run(format!("safetensors: {e}"));
    let mut views = Vec::with_capacity(tensors.len());
    for (name, shape, values) in tensors {
        let view = TensorView::new(Dtype::F32, shape.to_vec(), bytemuck::cast_slice(values)).map_err(failed)?;
        views.push((*name, view));
    }
    safetensors::serialize(views, None).map_err(failed)
}

impl KernelStudy {
    /// Writes `kernels.png`, `kernels.safetensors`, `covariance.png`, `histogram.svg` and, for each photograph,
    /// `NAME-deconvolved.png` and `NAME-sparse.png`; `done` is told of each photograph.
    ///
    /// # Errors
    /// A file cannot be written, or a photograph has vanished in the meantime.
    pub async fn write(
        &self,
        gpu: &Gpu,
        photos: &PhotoSet,
        folder: &Folder,
        mut done: impl FnMut(&ImageReport),
    ) -> Result<Vec<ImageReport>> {
        let (k, options) = (self.options.kernel_size, self.options);
        let d = self.statistics.d();
        let data = match photos.len() {
            1 => photos.name(0).to_owned(),
            n => format!("{n} images"),
        };
        let note =
            format!("{data}, {} patches, T = {}, eps = {:e}", self.statistics.patches, options.iterations, options.eps);
        let title = "What each colour is multiplied with";
        let sheet = KernelSheet { kernels: &self.kernels, channels: 3, k, title, note: &note, scale: None }.draw()?;
        let map = MatrixMap {
            values: &self.covariance,
            side: d,
            block: k * k,
            title: "Covariance of the patches",
            note: &format!("condition {:.3e}; deconvolved {:.3e}", self.before.condition(), self.after.condition()),
            labels: &["red", "green", "blue"],
        };
        let map = map.draw()?;
        let mean: Vec<f32> = self.statistics.mean.iter().map(|v| *v as f32).collect();
        let tensors = safetensors(&[
            ("covariance", &[d, d], &self.covariance),
            ("deconv", &[d, d], &self.deconv),
            ("mean", &[d], &mean),
            ("kernels", &[3, 3, k, k], &self.kernels),
        ])?;
        folder.write("kernels.png", &png(&sheet))?;
        folder.write("kernels.safetensors", &tensors)?;
        folder.write("covariance.png", &png(&map))?;

        let mut deconvolver = Deconvolver::new(gpu, &self.kernels, k, self.statistics.color)?;
        let (mut before, mut after) = (StreamingHistogram::new(), StreamingHistogram::new());
        let mut reports = Vec::with_capacity(photos.len());
        for index in 0..photos.len() {
            let photo = photos.load(index, k)?;
            let white = deconvolver.apply(&photo).await?;
            let name = photos.name(index).to_owned();
            let scale = robust_scale(&white.data);
            folder.write(&format!("{name}-deconvolved.png"), &png(&signed_picture(&white, scale)))?;
            folder.write(&format!("{name}-sparse.png"), &png(&sparse_picture(&white, scale)))?;
            let report = ImageReport {
                name,
                width: photo.width(),
                height: photo.height(),
                kurtosis_before: self.count_pixels(&photo, &mut before),
                kurtosis_after: count(&white.data, &mut after),
            };
            done(&report);
            reports.push(report);
        }
        let title = format!("Pixel values before and after deconvolution ({data})");
        folder.write("histogram.svg", histogram_svg(&before, &after, &title)?.as_bytes())?;
        Ok(reports)
    }

    /// Counts a photograph's values less the mean colour into `all`; returns their kurtosis.
    fn count_pixels(&self, photo: &Photo, all: &mut StreamingHistogram) -> f64 {
        const LINES: usize = 64;
        let mut own = StreamingHistogram::new();
        for top in (0..photo.height()).step_by(LINES) {
            let mut lines = photo.tile(0, top, photo.width(), LINES);
            let area = lines.width * lines.height;
            for (plane, mean) in lines.data.chunks_mut(area).zip(self.statistics.color) {
                plane.iter_mut().for_each(|v| *v = (f64::from(*v) - mean) as f32);
            }
            own.add(&lines.data);
            all.add(&lines.data);
        }
        own.kurtosis()
    }
}

fn count(values: &[f32], all: &mut StreamingHistogram) -> f64 {
    let mut own = StreamingHistogram::new();
    own.add(values);
    all.add(values);
    own.kurtosis()
}
