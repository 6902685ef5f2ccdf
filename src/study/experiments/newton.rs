//! Figure 7: coupled and uncoupled Newton-Schulz on a photograph's covariance.

use super::{Check, Experiment, ExperimentOptions, Findings, Series};
use crate::Result;
use crate::gpu::Gpu;
use crate::study::{PhotoSet, Spectrum, iterates, patch_statistics, residuals};
use crate::viz::lines::{Line, lines_svg};

const EPS: f64 = 1e-5;

/// Iterations of the plateau's end and the drop: where the residual falls below a tenth of its start.
fn falls_at(residuals: &[f64]) -> Option<usize> {
    residuals.iter().position(|r| *r < 0.1 * residuals[0]).map(|i| i + 1)
}

pub(super) async fn fig7(gpu: &Gpu, experiment: Experiment, options: &ExperimentOptions) -> Result<Findings> {
    let generated;
    let photos = match &options.photos {
        Some(photos) => photos,
        None => {
            generated = PhotoSet::leaves(options.seed, 1, 384);
            &generated
        }
    };
    let (k, d) = (3, 27);
    let statistics = patch_statistics(gpu, photos, k, |_, _| ()).await?;
    let a: Vec<f32> = statistics.regularised(EPS).iter().map(|v| *v as f32).collect();
    let exact: Vec<f64> = a.iter().map(|v| f64::from(*v)).collect();
    let condition = Spectrum::of(&exact, d).condition();
    let (long, short) = (120, 40);
    let coupled = residuals(&exact, &iterates(gpu, &a, d, long, true).await?, d);
    let uncoupled = residuals(&exact, &iterates(gpu, &a, d, short, false).await?, d);

    let same = coupled.iter().zip(&uncoupled).take(6).all(|(c, u)| (c - u).abs() < 1e-2 * c);
    let explodes = uncoupled.iter().position(|r| !r.is_finite() || *r > 100.0 * coupled[0]).map(|i| i + 1);
    let falls = falls_at(&coupled);
    let flat = coupled[20..].iter().fold(0.0f64, |m, v| if v.is_finite() { m.max(*v) } else { f64::INFINITY });
    let text = |at: Option<usize>| at.map_or("never".to_owned(), |at| format!("iteration {at}"));
    let checks = vec![
        Check {
            claim: "both are the same at first".into(),
            shown: same,
            numbers: format!("iterations 1 to 6 differ by less than 1 %: {same}"),
        },
        Check {
            claim: "uncoupled explodes".into(),
            shown: explodes.is_some(),
            numbers: format!("beyond 100 times its first residual at {}", text(explodes)),
        },
        Check {
            claim: "coupled: a plateau, then a drop".into(),
            shown: falls.is_some_and(|at| at >= 5),
            numbers: format!("below a tenth of its first residual {:.3} at {}", coupled[0], text(falls)),
        },
        Check {
            claim: "coupled stays flat for 100 iterations".into(),
            shown: flat < 0.1 * coupled[0],
            numbers: format!("largest residual from iteration 21 to {long}: {flat:.2e}"),
        },
    ];
    let rows = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 20, 30, 40, 80, 120]
        .iter()
        .map(|t| {
            let at = |values: &[f64]| values.get(t - 1).map_or("-".into(), |v| format!("{v:.3e}"));
            vec![t.to_string(), at(&coupled), at(&uncoupled)]
        })
        .collect();
    let line = |name: &str, values: &[f64]| Line {
        name: name.into(),
        points: values.iter().take(short).enumerate().map(|(i, v)| (i as f64 + 1.0, *v)).collect(),
        dashed: false,
    };
    let lines = [line("coupled", &coupled), line("uncoupled", &uncoupled)];
    let title = "Residual of the inverse root, ||D A D - I||";
    let svg = lines_svg(title, ["iteration", "residual, logarithmic"], true, 10, &lines)?;
    Ok(Findings {
        experiment,
        note: format!("{} 3 x 3 patches, condition number {condition:.3e}, eps {EPS:e}, float32", statistics.patches),
        heading: ["iteration", "coupled", "uncoupled"].map(String::from).to_vec(),
        rows,
        checks,
        series: vec![
            Series { name: "coupled".into(), values: coupled },
            Series { name: "uncoupled".into(), values: uncoupled },
        ],
        pictures: vec![("fig7.svg".into(), svg)],
    })
}
