//! The numbers of the page's chapters, as `web/page/recordings` has them from the engine in a browser, against plain
//! loops in `f64` and against the engine on this machine's adapter.
//!
//! That a live page shows what is recorded is held by `cargo xtask test-web recorded`; the losses of the recorded
//! races, which need MNIST, by `real_data`.

mod plain;

use mexhat::Gpu;
use mexhat::data::glyphs;
use mexhat::study::{
    Deconvolver, PhotoSet, Source, Spectrum, descend, inverse_root, iterates, patch_statistics, residuals,
    symmetric_eigenvalues, whiten_rows, whitened,
};
use mexhat::viz::{Photo, StreamingHistogram, central_kernels, dead_leaves};
use plain::{
    Walk, centred, circle, condition, covariance, exact_root, identity, narrow, product, roots, walk, white, wide,
    with_eps,
};
use serde_json::Value;
use std::path::Path;
use std::rc::Rc;

const WEB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/web");
/// Distance that is allowed, of the largest number of a list: four digits are recorded, and `f32` adds its own.
const WITHIN: f64 = 1e-3;
/// What the page adds to the diagonal where a chapter has no slider for it, and its most Newton-Schulz steps.
const EPS: f64 = 1e-5;
const EXACT: usize = 15;
/// Rates of gradient descent that are compared, of those recorded: small, the page's own, one step, too large.
const RATES: [f64; 5] = [0.1, 0.7, 1.0, 1.6, 2.1];

/// A picture of the page, and what was recorded of it.
struct Picture {
    name: &'static str,
    width: usize,
    height: usize,
    /// RGB, 0 to 255.
    samples: Vec<u8>,
    recorded: Value,
}

impl Picture {
    fn both() -> Vec<Self> {
        if !Path::new(WEB).exists() {
            eprintln!("skipped: the published crate comes without the page; clone the repository for {WEB}");
            return Vec::new();
        }
        let leaves = dead_leaves(3, 256, 192).to_image().into_raw();
        vec![Self::new("generate", 256, 192, leaves), Self::new("digits", 8 * glyphs::SIDE, 6 * glyphs::SIDE, digits())]
    }

    fn new(name: &'static str, width: usize, height: usize, samples: Vec<u8>) -> Self {
        let path = format!("{WEB}/page/recordings/{name}.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let recorded: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!([&recorded["made"]["width"], &recorded["made"]["height"]], [width, height], "{name}");
        Self { name, width, height, samples, recorded }
    }

    /// The recorded answer to a question as JSON.
    fn answer(&self, question: &str) -> &Value {
        let answer = &self.recorded["answers"][question];
        assert!(answer.is_object(), "{}: no recorded answer to {question}", self.name);
        answer
    }

    /// 3, or 1 where colours are left out or there are none.
    fn channels(&self, grey: bool) -> usize {
        let colourless = self.samples.chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]);
        if grey || colourless { 1 } else { 3 }
    }

    /// The picture without its colours where there are to be none (ITU-R BT.709), RGB.
    fn seen(&self, grey: bool) -> Vec<u8> {
        if self.channels(grey) == 3 {
            return self.samples.clone();
        }
        let luma = |p: &[u8]| 0.2126 * f32::from(p[0]) + 0.7152 * f32::from(p[1]) + 0.0722 * f32::from(p[2]);
        self.samples.chunks(3).flat_map(|p| [luma(p).round() as u8; 3]).collect()
    }

    fn photo(&self, grey: bool) -> Rc<Photo> {
        Rc::new(Photo::from_rgb8(self.width, self.height, self.seen(grey)).unwrap())
    }

    /// Sample (c, y, x), 0 to 1; beyond the border the nearest one.
    fn at(&self, grey: bool) -> impl Fn(usize, isize, isize) -> f64 {
        let (samples, width, height) = (self.seen(grey), self.width as isize, self.height as isize);
        move |c, y, x| {
            let pixel = y.clamp(0, height - 1) * width + x.clamp(0, width - 1);
            f64::from(samples[pixel as usize * 3 + c]) / 255.0
        }
    }

    /// 2048 times `pixels` neighbours in a row, in standard deviations around the mean of all; places by the golden
    /// ratio.
    fn runs(&self, pixels: usize) -> Vec<f64> {
        let grey: Vec<f64> = self.seen(true).chunks(3).map(|p| f64::from(p[0]) / 255.0).collect();
        let mean = grey.iter().sum::<f64>() / grey.len() as f64;
        let variance = grey.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / grey.len() as f64;
        let columns = self.width - pixels + 1;
        let place = |i: usize| ((i as f64 * 0.618_033_988_749_895).fract() * (columns * self.height) as f64) as usize;
        let starts = (0..2048).map(place).map(|place| place / columns * self.width + place % columns);
        starts.flat_map(|start| &grey[start..start + pixels]).map(|v| (v - mean) / variance.sqrt()).collect()
    }

    /// Covariance of all k x k patches, in variances of the picture.
    fn covariance(&self, k: usize, grey: bool) -> Vec<f64> {
        let (at, d) = (self.at(grey), self.channels(grey) * k * k);
        let mut rows = Vec::new();
        for y in 0..=self.height - k {
            for x in 0..=self.width - k {
                let tap = |i: usize| at(i / (k * k), (y + i / k % k) as isize, (x + i % k) as isize);
                rows.extend((0..d).map(tap));
            }
        }
        let mut covariance = covariance(&centred(&rows, d), d);
        let variance = (0..d).map(|i| covariance[i * (d + 1)]).sum::<f64>() / d as f64;
        covariance.iter_mut().for_each(|v| *v /= variance);
        covariance
    }

    /// The same by the engine.
    fn covariance_on(&self, gpu: &Gpu, k: usize, grey: bool) -> Vec<f64> {
        let photos = PhotoSet::new(vec![("the picture".into(), Source::Memory(self.photo(grey)))]);
        let found = pollster::block_on(patch_statistics(gpu, &photos, k, |_, _| {})).unwrap();
        let (all, d) = (found.d(), self.channels(grey) * k * k);
        let mut covariance: Vec<f64> = (0..d * d).map(|i| found.covariance[i / d * all + i % d]).collect();
        let variance = (0..d).map(|i| covariance[i * (d + 1)]).sum::<f64>() / d as f64;
        covariance.iter_mut().for_each(|v| *v /= variance);
        covariance
    }
}

/// The picture of digits, 8 in a row and 6 rows, RGB.
fn digits() -> Vec<u8> {
    let (side, across) = (glyphs::SIDE, 8);
    let drawn: Vec<_> = (0..48).map(|index| glyphs::render(4, index).1).collect();
    let pixel = |at: usize| {
        let (y, x) = (at / (across * side), at % (across * side));
        drawn[y / side * across + x / side][y % side * side + x % side]
    };
    (0..6 * side * across * side).flat_map(|at| [pixel(at); 3]).collect()
}

// --- comparing ----------------------------------------------------------------------------------------------------

/// A recorded number or list; what overflowed is NaN.
fn list(value: &Value) -> Vec<f64> {
    let value = value.get("floats").unwrap_or(value);
    match value.as_array() {
        Some(list) => list.iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect(),
        None => vec![value.as_f64().unwrap_or_else(|| panic!("expected a number, found {value}"))],
    }
}

/// Every number within [`WITHIN`] of the largest wanted one; as many as are wanted.
fn near(what: &str, found: &[f64], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    assert!(!wanted.is_empty() && wanted.iter().all(|v| v.is_finite()), "{what}: {wanted:?}");
    let most = wanted.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        let off = (found - wanted).abs() / most;
        assert!(off <= WITHIN, "{what}, number {i}: {found} is not {wanted}, off by {off:.1e} of {most}");
    }
}

/// What was recorded and what this adapter finds, against plain loops.
fn agree(what: &str, recorded: &Value, here: &[f64], wanted: &[f64]) {
    near(&format!("{what}, recorded"), &list(recorded), wanted);
    near(&format!("{what}, on this adapter"), here, wanted);
}

// --- chapters -----------------------------------------------------------------------------------------------------

fn gpu() -> Gpu {
    Gpu::open_by(|name| std::env::var(name).ok()).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn neighbours_agree() {
    let gpu = gpu();
    for picture in Picture::both() {
        let said = picture.answer(r#"["neighbours"]"#);
        let runs = picture.runs(2);
        let rows = centred(&runs, 2);
        let a = with_eps(&covariance(&rows, 2), 2, EPS);
        let d = exact_root(&a, 2);
        let after = product(&rows, &d, 2);
        let here = pollster::block_on(whiten_rows(&gpu, &narrow(&runs), 2, EPS as f32, EXACT)).unwrap();
        let name = |what: &str| format!("{}: {what}", picture.name);

        agree(&name("covariance of neighbours"), &said["covariance"], &wide(&here.covariance), &a);
        agree(&name("their D"), &said["deconv"], &wide(&here.deconv), &d);
        near(&name("whitened"), &list(&said["whitened"]), &identity(2, 1.0));
        // Only the dots that are drawn are recorded.
        let dots = list(&said["before"]).len();
        assert!(dots > 1000);
        agree(&name("dots"), &said["before"], &wide(&here.before[..dots]), &rows[..dots]);
        agree(&name("dots after D"), &said["after"], &wide(&here.after[..dots]), &after[..dots]);
        let correlations: Vec<f64> = (0..=20)
            .map(|i| {
                let share = f64::from(i) / 20.0;
                let part: Vec<f64> = d.iter().zip(identity(2, 1.0 - share)).map(|(v, rest)| share * v + rest).collect();
                let at = white(&a, &part, 2);
                at[1] / (at[0] * at[3]).sqrt()
            })
            .collect();
        near(&name("correlation at each place of the slider"), &list(&said["correlations"]), &correlations);
        // Outlines at two standard deviations: of the ellipse by A's own root, of the disc the circle.
        let root = product(&a, &d, 2);
        for (i, matrix) in [root, identity(2, 1.0)].iter().enumerate() {
            let outline: Vec<f64> = circle(matrix).map(|v| 2.0 * v).collect();
            near(&name("outline"), &list(&said["outlines"][i]), &outline);
        }
    }
}

#[test]
fn gradient_descent_follows_the_recorded_path() {
    let gpu = gpu();
    for picture in Picture::both() {
        let runs = picture.runs(3);
        let pairs: Vec<f64> = runs.chunks(3).flat_map(|run| [run[0], run[1]]).collect();
        let third: Vec<f64> = runs.chunks(3).map(|run| run[2]).collect();
        let (rows, targets) = (centred(&pairs, 2), centred(&third, 1));
        let a = with_eps(&covariance(&rows, 2), 2, EPS);
        let after = product(&rows, &exact_root(&a, 2), 2);
        for rate in RATES {
            // The page writes whole numbers without a point.
            let said = picture.answer(&format!("[\"descent\",{rate}]"));
            near("correlation", &list(&said["correlation"]), &[a[1] / (a[0] * a[3]).sqrt()]);
            for (side, rows) in [("raw", &rows), ("white", &after)] {
                let name = |what: &str| format!("{}, {side}, rate {rate}: {what}", picture.name);
                let here = pollster::block_on(descend(&gpu, &narrow(rows), &narrow(&targets), rate, 24)).unwrap();
                let here: Vec<Vec<f64>> = here.weights.iter().map(|w| wide(w)).collect();
                let (path, wanted) =
                    (Walk::of(&here, rows, &targets), Walk::of(&walk(rows, &targets, rate), rows, &targets));
                let said = &said[side];
                agree(&name("path"), &said["path"], &path.places, &wanted.places);
                agree(&name("what is missing"), &said["excess"], &path.excess, &wanted.excess);
                near(&name("largest stable rate"), &list(&said["limit"]), &[wanted.limit]);
                let root = exact_root(&wanted.covariance, 2);
                let outline: Vec<f64> = circle(&root).map(|v| v * wanted.start.sqrt()).collect();
                near(&name("outline of equal loss"), &list(&said["level"]), &outline);
            }
        }
    }
}

#[test]
fn patches_have_the_recorded_covariance() {
    let gpu = gpu();
    for picture in Picture::both() {
        let said = picture.answer(r#"["covariance",3,15]"#);
        let d = 9 * picture.channels(false);
        let a = with_eps(&picture.covariance(3, false), d, EPS);
        let here = with_eps(&picture.covariance_on(&gpu, 3, false), d, EPS);
        let root = pollster::block_on(inverse_root(&gpu, &narrow(&here), d, EXACT)).unwrap();
        let name = |what: &str| format!("{}: {what}", picture.name);

        agree(&name("entries of a patch"), &said["d"], &[d as f64], &[d as f64]);
        let count = ((picture.width - 2) * (picture.height - 2)) as f64;
        near(&name("patches"), &list(&said["patches"]), &[count]);
        agree(&name("covariance"), &said["before"], &here, &a);
        agree(&name("after D"), &said["after"], &whitened(&here, &root, d), &white(&a, &exact_root(&a, d), d));
        let conditions = [&here, &whitened(&here, &root, d)].map(|matrix| Spectrum::of(matrix, d).condition());
        agree(&name("conditions"), &said["conditions"], &conditions, &[condition(&a, d), 1.0]);
    }
}

#[test]
fn newton_schulz_takes_the_recorded_steps() {
    let gpu = gpu();
    for picture in Picture::both() {
        let said = picture.answer(r#"["newtonSchulz"]"#);
        let d = 9 * picture.channels(false);
        let a = with_eps(&picture.covariance(3, false), d, EPS);
        let steps = roots(&a, d, EXACT);
        let narrow_a = narrow(&a);
        let of = |coupled| {
            let mut all = vec![narrow(&steps[0])];
            all.extend(pollster::block_on(iterates(&gpu, &narrow_a, d, EXACT, coupled)).unwrap());
            all
        };
        let (coupled, uncoupled) = (of(true), of(false));
        let distances = |deconvs: &[Vec<f32>]| -> Vec<f64> {
            residuals(&wide(&narrow_a), deconvs, d).into_iter().map(|v| v / (d as f64).sqrt()).collect()
        };
        let name = |what: &str| format!("{}: {what}", picture.name);

        agree(&name("condition"), &said["condition"], &[Spectrum::of(&a, d).condition()], &[condition(&a, d)]);
        let spectrum = |matrices: Vec<Vec<f64>>| -> Vec<f64> {
            matrices.iter().flat_map(|matrix| symmetric_eigenvalues(matrix, d)).collect()
        };
        let here = spectrum(coupled.iter().map(|deconv| whitened(&a, deconv, d)).collect());
        let wanted = spectrum(steps.iter().map(|root| white(&a, root, d)).collect());
        agree(&name("eigenvalues at each step"), &said["eigenvalues"], &here, &wanted);
        let residual = |root: &Vec<f64>| {
            let off = |(v, one): (&f64, f64)| (v - one).powi(2);
            (white(&a, root, d).iter().zip(identity(d, 1.0)).map(off).sum::<f64>() / d as f64).sqrt()
        };
        let wanted: Vec<f64> = steps.iter().map(residual).collect();
        agree(&name("residuals"), &said["coupled"], &distances(&coupled), &wanted);
        // In exact arithmetic both forms are one; f32 parts them, and then the uncoupled one explodes.
        for (what, found) in [("recorded", list(&said["uncoupled"])), ("on this adapter", distances(&uncoupled))] {
            assert_eq!(found.len(), EXACT + 1);
            near(&name(&format!("uncoupled residuals, {what}")), &found[..7], &wanted[..7]);
            let parted = found
                .iter()
                .position(|v| v.is_nan() || *v >= 2.0)
                .unwrap_or_else(|| panic!("{what}: {found:?} stays small"));
            assert!((7..=10).contains(&parted) && found[EXACT].is_nan() | (found[EXACT] > 1e6), "{what}: {found:?}");
        }
        let gains: Vec<f64> = (0..=EXACT as i32).map(|t| steps[0][0] * 1.5f64.powi(t)).collect();
        near(&name("most that D amplifies"), &list(&said["gains"]), &gains);
        let smallest = symmetric_eigenvalues(&a, d)[0];
        near(&name("what a true root amplifies"), &list(&said["wanted"]), &[1.0 / smallest.sqrt()]);
    }
}

#[test]
fn kernels_and_what_is_left_are_the_recorded_ones() {
    const K: usize = 5;
    let gpu = gpu();
    for picture in Picture::both() {
        for (steps, eps, grey) in [2, 12]
            .into_iter()
            .flat_map(|t| [0.01, 1.0].into_iter().flat_map(move |e| [true, false].map(move |g| (t, e, g))))
        {
            let options = format!(r#"{{"k":5,"iterations":{steps},"eps":{eps},"grey":{grey}}}"#);
            let said = picture.answer(&format!("[\"look\",{options}]"));
            let name = |what: &str| format!("{}, {steps} steps, eps {eps}, grey {grey}: {what}", picture.name);
            let channels = picture.channels(grey);
            let d = channels * K * K;
            let a = with_eps(&picture.covariance(K, grey), d, eps);
            let root = roots(&a, d, steps).pop().unwrap();
            let kernels: Vec<f64> = (0..channels).flat_map(|c| root[(c * 25 + 12) * d..][..d].to_vec()).collect();
            let left = convolved(&picture, &kernels, grey);

            let of = narrow(&with_eps(&picture.covariance_on(&gpu, K, grey), d, eps));
            let deconv = pollster::block_on(inverse_root(&gpu, &of, d, steps)).unwrap();
            let here = central_kernels(&deconv, channels, K).unwrap();
            let (at, area) = (picture.at(grey), (picture.width * picture.height) as f64);
            let colour = [0, 1, 2].map(|c| {
                let rows = 0..picture.height as isize;
                rows.flat_map(|y| (0..picture.width as isize).map(move |x| (y, x)))
                    .map(|(y, x)| at(c, y, x))
                    .sum::<f64>()
                    / area
            });
            let mut deconvolver = Deconvolver::new(&gpu, &for_colours(&here, channels), K, colour).unwrap();
            let left_here = pollster::block_on(deconvolver.apply(&picture.photo(grey))).unwrap().data;

            agree(&name("kernels"), &said["values"], &wide(&here), &kernels);
            let largest = kernels.iter().fold(0.0f64, |most, v| most.max(v.abs()));
            near(&name("largest tap"), &list(&said["scale"]), &[largest]);
            let conditions = [&a, &white(&a, &root, d)].map(|matrix| condition(matrix, d));
            let exact = wide(&of);
            let found = [&exact, &whitened(&exact, &deconv, d)].map(|matrix| Spectrum::of(matrix, d).condition());
            for i in 0..2 {
                agree(&name("condition"), &said["conditions"][i], &[found[i]], &[conditions[i]]);
            }
            let kurtoses = [wide(&picture.photo(grey).planes().data), left.clone()].map(|values| kurtosis(&values));
            near(&name("kurtoses"), &list(&said["kurtoses"]), &kurtoses);
            near(&name("kurtosis on this adapter"), &[kurtosis(&wide(&left_here))], &kurtoses[1..]);
            for (what, values) in [("before", picture.photo(grey).planes().data), ("after", narrow(&left))] {
                let mut histogram = StreamingHistogram::new();
                histogram.add(&values);
                near(&name(&format!("densities {what}")), &list(&said[what]), &histogram.density(65, 4.0));
            }
        }
    }
}

/// Kernels (c,c,k,k) as the engine wants them, of three colours: of one, each gets the same and nothing from the
/// others.
fn for_colours(kernels: &[f32], channels: usize) -> Vec<f32> {
    if channels == 3 {
        return kernels.to_vec();
    }
    let mut all = vec![0.0; 9 * 25];
    (0..3).for_each(|c| all[4 * c * 25..][..25].copy_from_slice(kernels));
    all
}

/// The picture less its mean colour, convolved: three planes, of which those of a grey picture are equal.
fn convolved(picture: &Picture, kernels: &[f64], grey: bool) -> Vec<f64> {
    let (at, channels) = (picture.at(grey), picture.channels(grey));
    let [width, height] = [picture.width as isize, picture.height as isize];
    let places = || (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
    let area = (width * height) as f64;
    let mean: Vec<f64> = (0..channels).map(|c| places().map(|(y, x)| at(c, y, x)).sum::<f64>() / area).collect();
    let value = |o: usize, y: isize, x: isize| -> f64 {
        let tap = |i: usize| {
            let (c, row, column) = (i / 25, (i / 5 % 5) as isize - 2, (i % 5) as isize - 2);
            kernels[o * channels * 25 + i] * (at(c, y + row, x + column) - mean[c])
        };
        (0..channels * 25).map(tap).sum()
    };
    (0..3).flat_map(|c| places().map(move |at| (c, at))).map(|(c, (y, x))| value(c % channels, y, x)).collect()
}

fn kurtosis(values: &[f64]) -> f64 {
    let rows = centred(values, 1);
    let power = |p| rows.iter().map(|v: &f64| v.powi(p)).sum::<f64>() / rows.len() as f64;
    power(4) / power(2).powi(2)
}
