//! What a trained network's deconvolutions do to its own activations: `mexhat inspect` (Figures 10 and 11 of the
//! paper).

use std::path::Path;

use serde::Serialize;

use super::eigen::{Spectrum, whitened, whiteness};
use crate::data::{LoadOptions, fill, load};
use crate::gpu::Gpu;
use crate::nn::{self, Forward, Mode};
use crate::ops::{self, BlockMode};
use crate::tape::{Session, Tape};
use crate::train::{Saved, Site, read_model, sites};
use crate::viz::lines::{Line, lines_svg};
use crate::viz::{KernelSheet, MatrixMap, Report, StreamingHistogram, central_kernels, histogram_svg, png};
use crate::{Error, Result};

/// Images that are sent through the network.
const IMAGES: usize = 64;
/// Side beyond which a map's matrix is shown by its upper left part.
const MOST_SHOWN: usize = 576;

/// What is inspected, beside the run.
#[derive(Clone, Debug, Default)]
pub struct InspectOptions {
    /// Data set in place of the one it was trained on.
    pub data: Option<String>,
    /// Seed of generated data.
    pub seed: u64,
}

/// One deconvolution in numbers. Of a layer with a statistic per block the spectrum is that of the first block.
#[derive(Clone, Debug, Serialize)]
pub struct LayerReport {
    /// Name of the layer.
    pub name: String,
    /// Statistics, S: blocks with a covariance of their own.
    pub statistics: usize,
    /// Side of each covariance, d.
    pub d: usize,
    /// Sampled rows of each covariance.
    pub rows: usize,
    /// Mean distance of the covariances from the identity.
    pub whiteness_before: f64,
    /// The same after this batch's own D, as in training.
    pub whiteness_after: f64,
    /// The same after the running D, as in evaluation.
    pub whiteness_after_running: f64,
    /// Condition number of the first covariance.
    pub condition_before: f64,
    /// Condition number after D.
    pub condition_after: f64,
    /// Kurtosis of the inputs.
    pub kurtosis_before: f64,
    /// Kurtosis after D.
    pub kurtosis_after: f64,
    /// Eigenvalues of the first covariance, ascending.
    pub eigenvalues_before: Vec<f64>,
    /// Eigenvalues after D, ascending.
    pub eigenvalues_after: Vec<f64>,
}

/// A page, its pictures and its numbers.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// In the order of the forward pass.
    pub layers: Vec<LayerReport>,
    /// The page with all pictures inside.
    pub html: String,
    /// Name and bytes of each picture.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Sends a batch of test images through the trained network of a run folder or `.safetensors` file and looks at each
/// deconvolution.
///
/// # Errors
/// The run or its data cannot be read; the network has no deconvolution.
pub async fn inspect(gpu: &Gpu, run: &Path, options: &InspectOptions) -> Result<Inspection> {
    let (path, bytes) = read_model(run)?;
    let saved = Saved::read(&path, &bytes)?;
    let mut state = saved.state();
    let model = saved.build(&mut state)?;
    saved.restore_judged(&mut state)?;
    let spec = &saved.spec;
    let data = options.data.as_deref().unwrap_or(&spec.data);
    let limits =
        LoadOptions { limit_train: Some(1), limit_test: Some(IMAGES), seed: options.seed, ..Default::default() };
    let test = load(data, &limits)?.test;
    if test.shape != spec.input || test.is_empty() {
        let what =
            format!("expected test images of {:?} (C,H,W), found {} of {:?}", spec.input, test.len(), test.shape);
        return Err(Error::input(data, what));
    }
    let count = test.len().min(IMAGES);
    let mut images = Vec::new();
    fill(&test, &spec.normalize, &(0..count).collect::<Vec<_>>(), &mut images)?;

    let mut tape = Tape::new();
    let input = nn::images(&mut tape, count, test.shape);
    model.forward(&mut Forward { tape: &mut tape, state: &state, mode: Mode::Train }, input)?;
    let sites = sites(&tape);
    if sites.is_empty() {
        let what = format!(
            "this network has no deconvolution (model {}, norm {}); expected one that was trained with `norm` deconv",
            spec.net.model, spec.net.norm
        );
        return Err(Error::input(run, what));
    }
    for site in &sites {
        let white = ops::matmul(&mut tape, site.rows, site.deconv)?;
        for var in [site.rows, white, site.covariance, site.deconv] {
            tape.output(var);
        }
    }
    let mut compiled = Session::new(gpu, &state)?.compile(&[&tape])?;
    compiled[0].submit(&[bytemuck::cast_slice(&images)]).await?;
    let outputs = compiled[0].take().await?.map(|(_, outputs)| outputs).unwrap_or_default();

    let title = format!("{} on {data}: what its deconvolutions do", spec.net.model);
    let mut page = Page { report: Report::new(&title), files: Vec::new(), layers: Vec::new() };
    page.report.text(&format!(
        "{count} test images went through the network as in training. Each layer's inputs are multiplied with D, the approximate \
         inverse square root of their covariance: the nearer the covariance comes to the identity (whiteness 0), the whiter they are."
    ));
    for (site, values) in sites.iter().zip(outputs.chunks(4)) {
        let running = state.find(&site.running).map(|id| state.get(id).values.clone()).unwrap_or_default();
        let weight = state.find(&format!("{}.weight", site.name)).map(|id| state.get(id).ty.shape.clone());
        page.layer(site, values, &running, weight.as_deref(), spec.net.mode)?;
    }
    page.finish()
}

struct Page {
    report: Report,
    files: Vec<(String, Vec<u8>)>,
    layers: Vec<LayerReport>,
}

impl Page {
    fn picture(&mut self, name: String, picture: &image::RgbImage, alt: &str) {
        self.report.picture(picture, alt, "");
        self.files.push((name, png(picture)));
    }

    fn svg(&mut self, name: String, svg: String, alt: &str) {
        self.report.svg(&svg, alt, "");
        self.files.push((name, svg.into_bytes()));
    }

    fn layer(
        &mut self,
        site: &Site,
        values: &[Vec<f32>],
        running: &[f32],
        weight: Option<&[usize]>,
        mode: BlockMode,
    ) -> Result<()> {
        let [s, rows, d] = site.shape;
        let [inputs, white, a, deconv] = values else {
            return Err(Error::Run(format!("{}: the device returned too few results", site.name)));
        };
        let wide: Vec<f64> = a.iter().map(|v| f64::from(*v)).collect();
        let after_of = |deconv: &[f32]| -> Vec<f64> {
            let blocks = wide.chunks(d * d).zip(deconv.chunks(d * d));
            blocks.flat_map(|(a, deconv)| whitened(a, deconv, d)).collect()
        };
        let mean = |all: &[f64]| all.chunks(d * d).map(|a| whiteness(a, d)).sum::<f64>() / s as f64;
        let after = after_of(deconv);
        let (first, last) = (Spectrum::of(&wide[..d * d], d), Spectrum::of(&after[..d * d], d));
        let (mut before_hist, mut after_hist) = (StreamingHistogram::new(), StreamingHistogram::new());
        before_hist.add(inputs);
        after_hist.add(white);
        let report = LayerReport {
            name: site.name.clone(),
            statistics: s,
            d,
            rows,
            whiteness_before: mean(&wide),
            whiteness_after: mean(&after),
            whiteness_after_running: mean(&after_of(running)),
            condition_before: first.condition(),
            condition_after: last.condition(),
            kurtosis_before: before_hist.kurtosis(),
            kurtosis_after: after_hist.kurtosis(),
            eigenvalues_before: first.eigenvalues,
            eigenvalues_after: last.eigenvalues,
        };
        let name = site.name.clone();
        self.report.section(&name);
        self.report.text(&format!(
            "{s} covariance{} of {d} x {d} from {rows} rows. Whiteness {:.3} before, {:.3} after (running D: {:.3}); condition number \
             {:.3e} before, {:.3e} after; kurtosis {:.2} before, {:.2} after.",
            if s == 1 { "" } else { "s" },
            report.whiteness_before,
            report.whiteness_after,
            report.whiteness_after_running,
            report.condition_before,
            report.condition_after,
            report.kurtosis_before,
            report.kurtosis_after
        ));
        self.kernels(&name, &running[..d * d], weight, mode, d)?;
        let narrow = |values: &[f64]| -> Vec<f32> {
            let side = d.min(MOST_SHOWN);
            (0..side * side).map(|i| values[i / side * d + i % side] as f32).collect()
        };
        for (kind, matrix, number) in
            [("before", &wide, report.whiteness_before), ("after", &after, report.whiteness_after)]
        {
            let title = format!("Covariance {kind} deconvolution");
            let note = format!("{name}, whiteness {number:.3}");
            let block =
                weight.filter(|w| w.len() == 4 && w[2] > 1 && d / (w[2] * w[3]) <= 16).map_or(0, |w| w[2] * w[3]);
            let shown = narrow(matrix);
            let map =
                MatrixMap { values: &shown, side: d.min(MOST_SHOWN), block, title: &title, note: &note, labels: &[] };
            let picture = map.draw()?;
            self.picture(format!("{name}-covariance-{kind}.png"), &picture, &format!("{title} of {name}"));
        }
        let line = |name: &str, values: &[f64]| Line {
            name: name.into(),
            points: values.iter().rev().enumerate().map(|(i, v)| (i as f64 + 1.0, *v)).collect(),
            dashed: false,
        };
        let lines = [line("before", &report.eigenvalues_before), line("after", &report.eigenvalues_after)];
        let title = format!("Eigenvalues of the covariance, largest first ({name})");
        let svg = lines_svg(&title, ["number", "eigenvalue, logarithmic"], true, 30, &lines)?;
        self.svg(format!("{name}-spectrum.svg"), svg, &title);
        let title = format!("Inputs before and after deconvolution ({name})");
        // A dead layer has nothing to count; the other pictures show that it is dead.
        if let Ok(svg) = histogram_svg(&before_hist, &after_hist, &title) {
            self.svg(format!("{name}-histogram.svg"), svg, &title);
        }
        self.layers.push(report);
        Ok(())
    }

    /// The kernels of the running D, where its entries are taps of whole channels.
    fn kernels(
        &mut self,
        name: &str,
        deconv: &[f32],
        weight: Option<&[usize]>,
        mode: BlockMode,
        d: usize,
    ) -> Result<()> {
        let Some([_, inputs, k, _]) = weight else { return Ok(()) };
        let (k, channels) = (*k, d / (k * k));
        if k < 3 {
            return Ok(());
        }
        if mode == BlockMode::Reference && channels < *inputs {
            self.report.text("Its blocks interleave taps of neighbouring channels, so D has no kernels to show.");
            return Ok(());
        }
        let kernels = central_kernels(deconv, channels, k)?;
        let title = format!("Deconvolution kernels of {name}");
        let sheet =
            KernelSheet { kernels: &kernels, channels, k, title: &title, note: "running D", scale: None }.draw()?;
        self.picture(format!("{name}-kernels.png"), &sheet, &title);
        Ok(())
    }

    fn finish(mut self) -> Result<Inspection> {
        self.report.section("All layers");
        let number = |v: f64| format!("{v:.3}");
        let rows: Vec<Vec<String>> = self
            .layers
            .iter()
            .map(|l| {
                let sizes = [l.name.clone(), l.statistics.to_string(), l.d.to_string(), l.rows.to_string()];
                let white = [l.whiteness_before, l.whiteness_after, l.whiteness_after_running].map(number);
                let condition = [l.condition_before, l.condition_after].map(|v| format!("{v:.3e}"));
                let kurtosis = [l.kurtosis_before, l.kurtosis_after].map(number);
                sizes.into_iter().chain(white).chain(condition).chain(kurtosis).collect()
            })
            .collect();
        let heading = [
            "layer",
            "blocks",
            "d",
            "rows",
            "whiteness before",
            "after",
            "after, running D",
            "condition before",
            "after",
            "kurtosis before",
            "after",
        ];
        self.report.table(&heading, &rows);
        Ok(Inspection { layers: self.layers, html: self.report.html(), files: self.files })
    }
}
