//! Kernels of generated photographs against plain loops in `f64`, and the files that are made of them.

use mexhat::Result;
use mexhat::gpu::Gpu;
use mexhat::study::{
    Deconvolver, ExperimentOptions, Folder, InspectOptions, KernelOptions, KernelStudy, PhotoSet, Runs, Source,
    descend, inspect, iterates, patch_statistics, reproduce, residuals, whiten_rows, whitened,
};
use mexhat::viz::{Photo, dead_leaves, kurtosis};
use std::rc::Rc;
use std::sync::OnceLock;

fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open_by(|name| std::env::var(name).ok()).unwrap_or_else(|e| panic!("{e}")))
}

fn leaves(seed: u64, width: usize, height: usize) -> Rc<Photo> {
    let image = dead_leaves(seed, width, height).to_image();
    Rc::new(Photo::from_rgb8(width, height, image.into_raw()).unwrap())
}

fn set(photos: &[Rc<Photo>]) -> PhotoSet {
    PhotoSet::new(photos.iter().map(|p| ("leaves".to_owned(), Source::Memory(Rc::clone(p)))).collect())
}

/// Sample (c, y, x) of a photograph, from 0 to 1.
fn samples(photo: &Photo) -> impl Fn(usize, usize, usize) -> f64 {
    let (width, bytes) = (photo.width(), photo.to_image().into_raw());
    move |c, y, x| f64::from(bytes[(y * width + x) * 3 + c]) / 255.0
}

/// Mean and `C + eps I` of all patches, entries (c, kh, kw).
fn statistics(photos: &[Rc<Photo>], k: usize, eps: f64) -> (Vec<f64>, Vec<f64>) {
    let d = 3 * k * k;
    let each = |visit: &mut dyn FnMut(&[f64])| {
        let mut patch = vec![0.0; d];
        for photo in photos {
            let at = samples(photo);
            for (y, x) in (0..=photo.height() - k).flat_map(|y| (0..=photo.width() - k).map(move |x| (y, x))) {
                for (i, v) in patch.iter_mut().enumerate() {
                    *v = at(i / (k * k), y + i / k % k, x + i % k);
                }
                visit(&patch);
            }
        }
    };
    let (mut mean, mut rows) = (vec![0.0; d], 0.0);
    each(&mut |patch| {
        rows += 1.0;
        mean.iter_mut().zip(patch).for_each(|(m, v)| *m += v);
    });
    mean.iter_mut().for_each(|m| *m /= rows);
    let mut a = vec![0.0; d * d];
    each(&mut |patch| {
        for (i, line) in a.chunks_mut(d).enumerate() {
            line.iter_mut().enumerate().for_each(|(j, v)| *v += (patch[i] - mean[i]) * (patch[j] - mean[j]));
        }
    });
    a.iter_mut().for_each(|v| *v /= rows);
    (0..d).for_each(|i| a[i * d + i] += eps);
    (mean, a)
}

fn product(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let mut out = vec![0.0; d * d];
    for (row, out) in a.chunks(d).zip(out.chunks_mut(d)) {
        for (v, line) in row.iter().zip(b.chunks(d)) {
            out.iter_mut().zip(line).for_each(|(o, w)| *o += v * w);
        }
    }
    out
}

/// The coupled iteration as written (method, section 5).
fn inverse_root(a: &[f64], d: usize, iterations: usize) -> Vec<f64> {
    let s = a.iter().map(|v| v * v).sum::<f64>().sqrt();
    let mut y: Vec<f64> = a.iter().map(|v| v / s).collect();
    let mut z: Vec<f64> = (0..d * d).map(|i| f64::from(u8::from(i / d == i % d))).collect();
    for _ in 0..iterations {
        let mut u = product(&z, &y, d);
        u.iter_mut().enumerate().for_each(|(i, v)| *v = (3.0 * f64::from(u8::from(i / d == i % d)) - *v) / 2.0);
        (y, z) = (product(&y, &u, d), product(&u, &z, d));
    }
    z.iter().map(|v| v / s.sqrt()).collect()
}

fn error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    found.iter().zip(expected).fold(0.0f64, |m, (f, e)| m.max((f64::from(*f) - e).abs())) / largest
}

#[test]
fn kernels_equal_a_computation_in_double_precision() -> Result<()> {
    let photos = [leaves(3, 93, 61), leaves(4, 40, 77)];
    for (k, cases) in [(5, [(5, 1e-4), (15, 1e-2)]), (3, [(5, 1e-4), (15, 1e-2)]), (1, [(5, 1e-4), (15, 1e-3)])] {
        let (mean, a) = statistics(&photos, k, 1e-5);
        for (iterations, tolerance) in cases {
            let options = KernelOptions { kernel_size: k, iterations, eps: 1e-5 };
            let study = pollster::block_on(KernelStudy::run(gpu(), &set(&photos), options, |_, _| ()))?;
            let found: Vec<f32> = study.statistics.mean.iter().map(|v| *v as f32).collect();
            let expected = inverse_root(&a, 3 * k * k, iterations);
            let errors = [error(&found, &mean), error(&study.covariance, &a), error(&study.deconv, &expected)];
            println!("k {k}, T {iterations}: mean, covariance, D: {errors:?}");
            assert!(errors[0] < 1e-6 && errors[1] < 1e-5 && errors[2] < tolerance, "k {k}, T {iterations}: {errors:?}");
        }
    }
    Ok(())
}

#[test]
fn tiles_change_nothing() -> Result<()> {
    // 700 x 300 patches of 75 entries are four tiles.
    let photo = [leaves(9, 704, 304)];
    let (mean, a) = statistics(&photo, 5, 0.0);
    let found = pollster::block_on(patch_statistics(gpu(), &set(&photo), 5, |_, _| ()))?;
    assert_eq!(found.patches, 700 * 300);
    let narrow = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<_>>();
    let errors = [error(&narrow(&found.mean), &mean), error(&narrow(&found.covariance), &a)];
    assert!(errors[0] < 1e-6 && errors[1] < 1e-5, "{errors:?}");
    Ok(())
}

#[test]
fn pictures_are_convolved_with_repeated_borders() -> Result<()> {
    let (width, height, k) = (53, 31, 5);
    let photo = leaves(6, width, height);
    let kernels: Vec<f32> = (0..9 * k * k).map(|i| (i as f32 * 0.7).sin()).collect();
    let color = [0.3, 0.5, 0.25];
    let found = pollster::block_on(Deconvolver::new(gpu(), &kernels, k, color)?.apply(&photo))?;
    let at = samples(&photo);
    let near = |v: usize, tap: usize, size: usize| (v + tap).saturating_sub(k / 2).min(size - 1);
    let expected: Vec<f64> = (0..3 * height * width)
        .map(|i| {
            let (o, y, x) = (i / (height * width), i / width % height, i % width);
            let term = |t: usize| {
                let (c, u, v) = (t / (k * k), t / k % k, t % k);
                f64::from(kernels[o * 3 * k * k + t]) * (at(c, near(y, u, height), near(x, v, width)) - color[c])
            };
            (0..3 * k * k).map(term).sum()
        })
        .collect();
    let worst = error(&found.data, &expected);
    assert!(worst < 1e-5, "{worst}");
    Ok(())
}

#[test]
fn generated_pictures_have_center_surround_kernels_and_become_sparse() -> Result<()> {
    let photos = PhotoSet::leaves(1, 4, 160);
    let study = pollster::block_on(KernelStudy::run(gpu(), &photos, KernelOptions::default(), |_, _| ()))?;
    for center in study.centers.into_iter().flatten() {
        assert!(center.center > 0.0 && center.ring_mean < 0.0 && center.ratio() >= 3.0, "{center:?}");
    }
    assert!(study.centers.is_some() && study.after.condition() < 0.01 * study.before.condition());
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path().join("new"))?;
    let reports = pollster::block_on(study.write(gpu(), &photos, &folder, |_| ()))?;
    for report in &reports {
        assert!(report.kurtosis_after > report.kurtosis_before, "{report:?}");
    }
    let mut names: Vec<String> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut expected: Vec<String> =
        ["covariance.png", "histogram.svg", "kernels.png", "kernels.safetensors"].map(String::from).to_vec();
    expected.extend((1..=4).flat_map(|i| ["deconvolved", "sparse"].map(|kind| format!("leaves-{i}-{kind}.png"))));
    expected.sort();
    assert_eq!(names, expected);

    let bytes = std::fs::read(folder.path().join("kernels.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (name, shape) in
        [("covariance", &[75, 75][..]), ("deconv", &[75, 75]), ("mean", &[75]), ("kernels", &[3, 3, 5, 5])]
    {
        assert_eq!(tensors.tensor(name).unwrap().shape(), shape, "{name}");
    }
    let picture = photos.load(0, 5)?.planes();
    assert!((kurtosis(&picture.data) - reports[0].kurtosis_before).abs() < 1.0);
    Ok(())
}

#[test]
fn what_cannot_be_studied_is_named() {
    let run = |photos: &PhotoSet, options| {
        pollster::block_on(KernelStudy::run(gpu(), photos, options, |_, _| ())).unwrap_err()
    };
    let flat = Rc::new(Photo::from_rgb8(20, 20, vec![77; 1200]).unwrap());
    let dot = Rc::new(Photo::from_rgb8(1, 1, vec![1, 2, 3]).unwrap());
    let good = PhotoSet::leaves(1, 1, 32);
    let options = KernelOptions::default();
    let cases = [
        (run(&set(&[flat]), options), "flat"),
        (run(&set(&[dot]), options), "5 x 5"),
        (run(&PhotoSet::files(&["missing.png".into()]), options), "missing.png"),
        (run(&PhotoSet::new(Vec::new()), options), "at least one"),
        (run(&good, KernelOptions { kernel_size: 0, ..options }), "`kernel_size`"),
        (run(&good, KernelOptions { iterations: 0, ..options }), "`iterations`"),
        (run(&good, KernelOptions { eps: f64::NAN, ..options }), "`eps`"),
    ];
    for (error, text) in cases {
        assert!(error.to_string().contains(text) && error.exit_code() == 2, "{error}");
    }
}

#[test]
fn identities_of_the_paper_hold_on_this_adapter() -> Result<()> {
    for name in ["fig7", "a8", "sec5"] {
        let options = ExperimentOptions { photos: Some(PhotoSet::leaves(3, 1, 128)), ..Default::default() };
        let found = pollster::block_on(reproduce(gpu(), name, &options))?;
        let wrong: Vec<_> = found.checks.iter().filter(|check| !check.shown).collect();
        assert!(wrong.is_empty() && found.all_shown(), "{name}: {wrong:?}");
        assert!(!found.rows.is_empty() && found.rows.iter().all(|row| row.len() == found.heading.len()), "{name}");
        assert!(serde_json::to_string(&found).unwrap().contains(name));
    }
    Ok(())
}

#[test]
fn deconvolution_at_rate_1_is_first_in_linear_regression() -> Result<()> {
    let options = ExperimentOptions { data: Some("glyphs".into()), ..Default::default() };
    let found = pollster::block_on(reproduce(gpu(), "fig5a", &options))?;
    // How batch norm and vanilla end is measured and reported; what must hold is the start, and Proposition 1.
    for part in ["after 5 steps", "Proposition 1"] {
        let check = found.checks.iter().find(|check| check.claim.contains(part)).expect(part);
        assert!(check.shown, "{check:?}");
    }
    // Every norm has been given the same rates.
    let rates = |norm: &str| -> Vec<&str> {
        found.rows.iter().filter(|row| row[0] == norm).map(|row| row[1].as_str()).collect()
    };
    assert!(rates("vanilla").len() > 3 && rates("vanilla") == rates("batch norm"));
    assert_eq!(rates("vanilla"), rates("deconvolution"));
    let unknown = pollster::block_on(reproduce(gpu(), "fig99", &options)).unwrap_err();
    assert!(unknown.to_string().contains("fig7") && unknown.exit_code() == 2, "{unknown}");
    Ok(())
}

#[test]
fn a_table_has_both_norms_with_mean_and_deviation_over_seeds() -> Result<()> {
    let runs = Runs {
        models: vec!["lenet".into()],
        limit_train: Some(96),
        limit_test: Some(32),
        batch_size: Some(32),
        seeds: Some(2),
        ..Runs::default()
    };
    let options = ExperimentOptions { data: Some("glyphs".into()), runs, ..Default::default() };
    let found = pollster::block_on(reproduce(gpu(), "table1", &options))?;
    assert_eq!(found.rows.iter().map(|row| row[1].as_str()).collect::<Vec<_>>(), ["batch norm", "deconvolution"]);
    assert!(found.rows.iter().all(|row| row.len() == found.heading.len() && row[2].contains('±') && row[5] == "3"));
    assert_eq!((found.checks.len(), found.pictures.len(), found.pictures[0].0.as_str()), (1, 1, "table1-lenet.svg"));
    let refused = |name, options: &ExperimentOptions| {
        pollster::block_on(reproduce(gpu(), name, options)).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert!(refused("fig7", &options).contains("table1, table2, fig6, fig8a, fig8b, fig12"));
    assert!(refused("table2", &ExperimentOptions::default()).contains("`data`"));
    let runs = Runs { models: vec!["alexnet".into()], ..Runs::default() };
    let unknown = ExperimentOptions { data: Some("glyphs".into()), runs, ..Default::default() };
    assert!(refused("table1", &unknown).contains("alexnet"));
    // The name before the data, which is not there.
    let unknown = ExperimentOptions { data: Some("nowhere".into()), ..unknown };
    assert!(refused("table1", &unknown).contains("alexnet"), "{}", refused("table1", &unknown));
    let runs = Runs { seeds: Some(0), ..Runs::default() };
    let none = ExperimentOptions { data: Some("nowhere".into()), runs, ..Default::default() };
    for name in ["table1", "fig6", "fig8b"] {
        assert!(refused(name, &none).contains("`seeds` is 0; expected at least 1"), "{}", refused(name, &none));
    }
    Ok(())
}

#[test]
fn the_course_of_training_is_told_by_step_and_by_the_clock() -> Result<()> {
    let runs = Runs {
        models: vec!["lenet".into()],
        epochs: Some(2),
        limit_train: Some(96),
        limit_test: Some(32),
        batch_size: Some(32),
        ..Runs::default()
    };
    let options = ExperimentOptions { data: Some("glyphs".into()), runs, ..Default::default() };
    let losses = pollster::block_on(reproduce(gpu(), "fig8b", &options))?;
    let norms = |rows: &[Vec<String>]| rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(norms(&losses.rows), ["no norm", "batch norm", "deconvolution"]);
    assert!(losses.rows.iter().all(|row| row.len() == losses.heading.len() && row[3] == "6"));
    assert!(losses.series.iter().all(|series| series.values.len() == 6) && losses.pictures.len() == 1);
    let clock = pollster::block_on(reproduce(gpu(), "fig12", &options))?;
    assert_eq!(norms(&clock.rows), ["batch norm", "batch norm", "deconvolution", "deconvolution"]);
    let seconds: Vec<f64> = clock.rows.iter().map(|row| row[2].parse().unwrap()).collect();
    assert!(seconds[0] <= seconds[1] && seconds[2] <= seconds[3], "{seconds:?}");
    assert_eq!((clock.checks.len(), clock.series.len(), clock.pictures[0].0.as_str()), (1, 4, "fig12.svg"));
    Ok(())
}

#[test]
fn what_is_no_run_is_not_inspected() {
    let look =
        |path: &std::path::Path| pollster::block_on(inspect(gpu(), path, &InspectOptions::default())).unwrap_err();
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("model.safetensors");
    std::fs::write(&text, "not a network").unwrap();
    for (path, part) in [(dir.path().join("nothing"), "does not exist"), (text, "safetensors")] {
        let error = look(&path);
        assert!(error.to_string().contains(part) && error.exit_code() == 2, "{error}");
    }
}

/// Pairs that agree, and a number that each pair tells with some noise.
fn agreeing(count: usize) -> (Vec<f32>, Vec<f32>) {
    let mut rng = mexhat::rng::Rng::new(9);
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let first = rng.normal();
        let second = 0.95 * first + 0.3 * rng.normal();
        rows.extend([3.0 + first, second - 1.0]);
        targets.push(1.5 * second - 0.5 * first + 0.1 * rng.normal());
    }
    let mean = targets.iter().sum::<f32>() / count as f32;
    targets.iter_mut().for_each(|v| *v -= mean);
    (rows, targets)
}

/// Covariance of rows (R,2), and the weights of least squares for centred targets.
fn least_squares(rows: &[f32], targets: &[f32]) -> ([f64; 3], [f64; 2]) {
    let n = targets.len() as f64;
    let column = |i: usize| rows.iter().skip(i).step_by(2).map(|v| f64::from(*v));
    let means = [column(0).sum::<f64>() / n, column(1).sum::<f64>() / n];
    let sum =
        |i: usize, j: usize| column(i).zip(column(j)).map(|(a, b)| (a - means[i]) * (b - means[j])).sum::<f64>() / n;
    let told = |i: usize| column(i).zip(targets).map(|(a, y)| (a - means[i]) * f64::from(*y)).sum::<f64>() / n;
    let ([a, b, c], [p, q]) = ([sum(0, 0), sum(0, 1), sum(1, 1)], [told(0), told(1)]);
    let det = a * c - b * b;
    ([a, b, c], [(c * p - b * q) / det, (a * q - b * p) / det])
}

#[test]
fn whitened_rows_have_the_identity_as_covariance() {
    let (rows, targets) = agreeing(500);
    let found = pollster::block_on(whiten_rows(gpu(), &rows, 2, 1e-5, 15)).unwrap();
    let ([a, b, c], _) = least_squares(&rows, &targets);
    for (found, wanted) in found.covariance.iter().zip([a + 1e-5, b, b, c + 1e-5]) {
        assert!((f64::from(*found) - wanted).abs() < 1e-5, "{found} for {wanted}");
    }
    let ([a, b, c], _) = least_squares(&found.after, &targets);
    assert!((a - 1.0).abs() < 1e-3 && b.abs() < 1e-3 && (c - 1.0).abs() < 1e-3, "{a} {b} {c}");
    assert_eq!((found.before.len(), found.after.len()), (1000, 1000));
}

#[test]
fn one_step_of_rate_1_solves_least_squares_on_whitened_rows_alone() {
    let (rows, targets) = agreeing(500);
    let white = pollster::block_on(whiten_rows(gpu(), &rows, 2, 1e-5, 15)).unwrap();
    let away = |rows: &[f32], step: usize| {
        let path = pollster::block_on(descend(gpu(), rows, &targets, 1.0, 4)).unwrap();
        assert_eq!((path.weights.len(), path.losses.len()), (5, 5));
        let (_, best) = least_squares(rows, &targets);
        let far = |w: &[f32]| (f64::from(w[0]) - best[0]).hypot(f64::from(w[1]) - best[1]);
        far(&path.weights[step]) / far(&path.weights[0])
    };
    assert!(away(&white.after, 1) < 2e-3, "{}", away(&white.after, 1));
    assert!(away(&white.before, 4) > 0.2, "{}", away(&white.before, 4));
}

#[test]
fn both_iterations_begin_alike_and_the_coupled_one_arrives() {
    let photos = set(&[leaves(5, 96, 80)]);
    let statistics = pollster::block_on(patch_statistics(gpu(), &photos, 3, |_, _| ())).unwrap();
    let a: Vec<f32> = statistics.regularised(1e-5).iter().map(|v| *v as f32).collect();
    let exact: Vec<f64> = a.iter().map(|v| f64::from(*v)).collect();
    let run = |coupled| pollster::block_on(iterates(gpu(), &a, 27, 15, coupled)).unwrap();
    let (coupled, uncoupled) = (run(true), run(false));
    let [c, u] = [&coupled, &uncoupled].map(|deconvs| residuals(&exact, deconvs, 27));
    assert!(c[..5].iter().zip(&u).all(|(c, u)| (c - u).abs() < 1e-3 * c), "{c:?} {u:?}");
    assert!(c.windows(2).all(|pair| pair[1] < pair[0]), "{c:?}");
    let last = pollster::block_on(mexhat::study::inverse_root(gpu(), &a, 27, 15)).unwrap();
    let worst = last.iter().zip(&coupled[14]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-2 * last.iter().fold(0.0f32, |m, v| m.max(v.abs())), "{worst}");
    assert_eq!(whitened(&exact, &last, 27).len(), 729);
}
