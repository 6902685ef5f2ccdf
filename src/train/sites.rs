//! The whitenings of a network on a tape, and covariances before and after them.

use crate::gpu::Gpu;
use crate::models::Model;
use crate::nn::{self, Forward, Mode};
use crate::ops;
use crate::tape::{Session, Source, State, Tape, Var};
use crate::{Error, Result};

/// One whitening on a tape: rows (S,R,d), covariance and D (S,d,d).
// A page does not inspect, and so needs less of it.
#[cfg_attr(target_arch = "wasm32", allow(dead_code))]
pub(crate) struct Site {
    /// The layer.
    pub name: String,
    /// Its tensor of the running D.
    pub running: String,
    /// S, R, d.
    pub shape: [usize; 3],
    pub rows: Var,
    pub covariance: Var,
    pub deconv: Var,
}

/// Every whitening that feeds a running average, in the order of the forward pass.
pub(crate) fn sites(tape: &Tape) -> Vec<Site> {
    let mut found = Vec::new();
    for node in tape.nodes().iter().filter(|node| ops::is_newton_schulz(&*node.op)) {
        let (covariance, deconv) = (node.inputs[0], node.outputs[0]);
        let label = tape.nodes().iter().find_map(|n| {
            let target = n.outputs.first().filter(|v| matches!(tape.vars()[v.0].source, Source::State(_)))?;
            let label = &tape.vars()[target.0].label;
            let same = n.inputs.first().is_some_and(|v| tape.root(*v) == tape.root(deconv));
            (same && label.ends_with(".running_deconv")).then(|| label.clone())
        });
        let producer = tape.nodes().iter().find(|n| n.outputs.contains(&covariance));
        let (Some(running), Some(producer)) = (label, producer) else { continue };
        let rows = if ops::is_covariance(&*producer.op) { producer.outputs[2] } else { producer.inputs[0] };
        let [s, r, d] = tape.shape(rows)[..] else { continue };
        let name = running.trim_end_matches(".running_deconv").to_owned();
        found.push(Site { name, running, shape: [s, r, d], rows, covariance, deconv });
    }
    found
}

/// What one deconvolution makes of the first of its covariances.
///
/// ```
/// use mexhat::nn::Network;
/// use mexhat::train::{Learner, Sgd};
/// let mut net = Network::new([1, 8, 8]);
/// net.flatten().linear(2);
/// let mut learner = Learner::new(&mexhat::Gpu::open(None)?, net, Sgd::new(0.1))?;
/// let images: Vec<f32> = (0..16 * 64).map(|i| (i * i % 251) as f32 / 251.0).collect();
/// for pair in learner.covariances(&images)? {
///     println!("{}: A of {} rows begins with {}, D A D with {}", pair.name, pair.d, pair.before[0], pair.after[0]);
/// }
/// # Ok::<(), mexhat::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CovariancePair {
    /// Name of the layer.
    pub name: String,
    /// Blocks with a covariance of their own.
    pub statistics: usize,
    /// Side of each matrix.
    pub d: usize,
    /// `A = Cov + eps I`, (d,d).
    pub before: Vec<f32>,
    /// `D A D`, (d,d): the identity, if D were exact.
    pub after: Vec<f32>,
}

/// Sends `count` normalised images through the network as in training, without changing `state`, and returns the
/// covariance of each deconvolution before and after it. S d^3 multiply-adds a layer beside the forward pass.
///
/// # Errors
/// The images do not have the network's size, or the device failed.
pub async fn covariances(
    gpu: &Gpu,
    model: &Model,
    state: &State,
    images: &[f32],
    count: usize,
) -> Result<Vec<CovariancePair>> {
    let mut tape = Tape::new();
    let input = nn::images(&mut tape, count, model.input);
    model.forward(&mut Forward { tape: &mut tape, state, mode: Mode::Train }, input)?;
    let sites = sites(&tape);
    if sites.is_empty() {
        return Ok(Vec::new());
    }
    for site in &sites {
        let half = ops::matmul(&mut tape, site.deconv, site.covariance)?;
        let after = ops::matmul(&mut tape, half, site.deconv)?;
        tape.output(site.covariance);
        tape.output(after);
    }
    // A session of its own: running averages of this pass are dropped with it.
    let mut compiled = Session::new(gpu, state)?.compile(&[&tape])?;
    let Some(compiled) = compiled.first_mut() else { return Ok(Vec::new()) };
    compiled.submit(&[bytemuck::cast_slice(images)]).await?;
    let outputs = compiled.take().await?.map(|(_, outputs)| outputs).unwrap_or_default();
    if outputs.len() != 2 * sites.len() {
        return Err(Error::Run("the device returned too few covariances".into()));
    }
    let pair = |(site, both): (&Site, &[Vec<f32>])| {
        let [statistics, _, d] = site.shape;
        let first = |values: &Vec<f32>| values[..d * d].to_vec();
        CovariancePair { name: site.name.clone(), statistics, d, before: first(&both[0]), after: first(&both[1]) }
    };
    Ok(sites.iter().zip(outputs.chunks(2)).map(pair).collect())
}
