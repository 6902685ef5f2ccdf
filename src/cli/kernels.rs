//! `mexhat kernels`.

use super::output::warn;
use super::{DeviceArgs, say, say_json};
use crate::plural::count;
use crate::study::{Folder, ImageReport, KernelOptions, KernelStudy, PhotoSet};
use crate::viz::kernels::CenterSurround;
use crate::{Error, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Generated pictures when no image is given, and their side.
const GENERATED: (usize, usize) = (8, 384);

/// Shows kernels.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    mexhat kernels\n  \
    mexhat kernels holiday/*.jpg --out holiday-kernels\n  \
    mexhat kernels photo.png --kernel-size 7 --iterations 5 --json")]
pub(super) struct KernelsArgs {
    /// PNG, JPEG or WebP photographs of any size, all studied together [default: generated pictures]
    images: Vec<PathBuf>,
    /// Side of the kernels
    #[arg(long, default_value_t = 5, value_name = "N")]
    kernel_size: usize,
    /// Newton-Schulz iterations: few of them regularise
    #[arg(long, default_value_t = 15, value_name = "N")]
    iterations: usize,
    /// Added to the diagonal of the covariance, for values of 0 to 1
    #[arg(long, default_value_t = 1e-5, allow_negative_numbers = true)]
    eps: f64,
    /// Folder for pictures and numbers
    #[arg(long, default_value = "kernels", value_name = "DIR")]
    out: PathBuf,
    /// Seed of the generated pictures
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Image<'a> {
    event: &'static str,
    #[serde(flatten)]
    report: &'a ImageReport,
}

#[derive(Serialize)]
struct Color {
    color: &'static str,
    center: f32,
    ring_mean: f32,
    ring_max: f32,
    center_to_ring: f32,
}

#[derive(Serialize)]
struct Done<'a> {
    event: &'static str,
    #[serde(flatten)]
    options: KernelOptions,
    images: usize,
    patches: u64,
    colors: Vec<Color>,
    condition_before: f64,
    condition_after: f64,
    whiteness: f64,
    seconds: f64,
    device: &'a str,
    out: &'a std::path::Path,
}

fn colors(centers: Option<[CenterSurround; 3]>) -> Vec<Color> {
    let named = centers.into_iter().flatten().zip(["red", "green", "blue"]);
    named
        .map(|(c, color)| Color {
            color,
            center: c.center,
            ring_mean: c.ring_mean,
            ring_max: c.ring_max,
            center_to_ring: c.ratio(),
        })
        .collect()
}

pub(super) fn run(args: &KernelsArgs) -> Result<()> {
    let options = KernelOptions { kernel_size: args.kernel_size, iterations: args.iterations, eps: args.eps };
    options.check()?;
    let photos = if args.images.is_empty() {
        PhotoSet::leaves(args.seed, GENERATED.0, GENERATED.1)
    } else {
        PhotoSet::files(&args.images)
    };
    // Every image is read before anything is opened or written, so that a bad one is the first thing to be heard of.
    for index in 0..photos.len() {
        photos.load(index, options.kernel_size)?;
    }
    let gpu = args.device.open()?;
    let begun = Instant::now();
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new(1) };
    bar.set_style(
        ProgressStyle::with_template("{bar:30.cyan/dim} {human_pos}/{human_len} patches, eta {eta}")
            .map_err(|e| Error::Run(e.to_string()))?,
    );
    let study = pollster::block_on(KernelStudy::run(&gpu, &photos, options, |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    }))?;
    bar.finish_and_clear();
    let (patches, features) = (study.statistics.patches, 3 * options.kernel_size * options.kernel_size);
    if patches < features as u64 {
        warn(&format!(
            "the covariance of {features} x {features} values comes from {}, fewer than its rows, so much of it is `eps` alone; \
             take larger or more pictures, or a smaller `kernel_size`",
            count(patches, "patch")
        ));
    }
    let folder = Folder::open(&args.out)?;
    let mut shown = Ok(());
    pollster::block_on(study.write(&gpu, &photos, &folder, |report| {
        if args.json {
            shown = std::mem::replace(&mut shown, Ok(())).and(say_json(&Image { event: "image", report }));
        } else {
            let ImageReport { name, width, height, kurtosis_before, kurtosis_after } = report;
            say(&format!(
                "{name} ({height} x {width}): kurtosis {kurtosis_before:.2} before, {kurtosis_after:.2} after"
            ));
        }
    }))?;
    shown?;
    let done = Done {
        event: "kernels",
        options,
        images: photos.len(),
        patches: study.statistics.patches,
        colors: colors(study.centers),
        condition_before: study.before.condition(),
        condition_after: study.after.condition(),
        whiteness: study.whiteness,
        seconds: begun.elapsed().as_secs_f64(),
        device: &gpu.adapter().name,
        out: &args.out,
    };
    if args.json {
        return say_json(&done);
    }
    for Color { color, center, ring_mean, ring_max, center_to_ring } in &done.colors {
        say(&format!(
            "{color:5}: centre {center:.2}, ring {ring_mean:.3} on average and {ring_max:.3} at most; \
             centre to ring {center_to_ring:.1}"
        ));
    }
    say(&format!(
        "condition number of the covariance {:.4e} before, {:.4e} after; distance from the identity {:.3}",
        done.condition_before, done.condition_after, done.whiteness
    ));
    say(&format!(
        "{} of {} in {:.1} s; pictures and numbers in {}",
        count(done.patches, "patch"),
        count(done.images, "image"),
        done.seconds,
        args.out.display()
    ));
    Ok(())
}
