//! `mexhat train`.

use super::DeviceArgs;
use super::console::Console;
use super::signals::stop_flag;
use super::timings::show_timings;
use crate::train::{Event, Options, RunFolder, Saved, Trainer, default_name, read_model};
use crate::{Error, Result, data};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Trains.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    mexhat train                                     a small network with deconvolution on generated digits\n  \
    mexhat train --data mnist --norm batch --lr 0.05\n  \
    mexhat train --model resnet18 --data ~/cifar10 --epochs 20 --out runs/resnet\n  \
    mexhat train --resume runs/resnet                goes on where it stopped")]
pub(super) struct TrainArgs {
    #[command(flatten)]
    options: Options,
    /// New folder for the run [default: runs/<time>-<model>-<norm>]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    out: Option<PathBuf>,
    /// Go on with an earlier run, exactly where its checkpoint stands; only its length may be changed
    #[arg(long, value_name = "DIR", conflicts_with = "out", help_heading = "Run")]
    resume: Option<PathBuf>,
    /// After the run, also time every kernel of one more step (on adapters with timestamp queries)
    #[arg(long, help_heading = "Run")]
    profile: bool,
    #[command(flatten)]
    device: DeviceArgs,
    /// Events as JSON on stdout, one object a line
    #[arg(long, help_heading = "Run")]
    json: bool,
    /// Show loss curve and first deconvolution on a screen of their own; plain lines where there is no colour terminal
    #[cfg(feature = "watch")]
    #[arg(long, conflicts_with = "json", help_heading = "Run")]
    watch: bool,
}

/// Kernels are read back for the screen at most this often: waiting for them costs about a step.
#[cfg(feature = "watch")]
const WATCH_STEPS: u64 = 10;
#[cfg(feature = "watch")]
const WATCH_SECONDS: f64 = 0.5;

/// The option that was given along with `--resume` although the earlier run has settled it.
fn settled_option(matches: Option<&ArgMatches>) -> Option<String> {
    let free = ["resume", "epochs", "steps", "profile", "device", "json", "watch"];
    let matches = matches?;
    let given = |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    let settled = |id: &&clap::Id| {
        // Groups of flattened structs are listed beside their members.
        id.as_str().starts_with(|c: char| c.is_lowercase()) && !free.contains(&id.as_str())
    };
    matches.ids().filter(given).find(settled).map(|id| format!("--{}", id.as_str().replace('_', "-")))
}

/// Path and bytes of a checkpoint.
type Checkpoint = (PathBuf, Vec<u8>);

/// The run's options, and the checkpoint with its path when it goes on.
fn options(args: &TrainArgs, matches: Option<&ArgMatches>) -> Result<(Options, Option<Checkpoint>)> {
    let Some(dir) = &args.resume else {
        args.options.validate()?;
        return Ok((args.options.clone(), None));
    };
    if let Some(option) = settled_option(matches) {
        return Err(Error::Usage(format!(
            "{option} cannot be changed in a run that goes on; with --resume only --epochs, --steps, --profile, --device, --json \
             and --watch may be given"
        )));
    }
    let (path, bytes) = read_model(dir, true)?;
    let Some((mut options, progress)) = Saved::read(&path, &bytes)?.run else {
        return Err(Error::input(path, "is a network without its run; expected a checkpoint.safetensors"));
    };
    // A limit that the earlier part has reached does not hold back the rest.
    options.steps = args.options.steps.or(options.steps.filter(|steps| progress.step < *steps));
    options.epochs = args.options.epochs.or(options.epochs);
    options.validate()?;
    Ok((options, Some((path, bytes))))
}

pub(super) fn run(args: &TrainArgs, matches: Option<&ArgMatches>) -> Result<()> {
    let (options, checkpoint) = options(args, matches)?;
    let dir = match (&args.resume, &args.out) {
        (Some(dir), _) if dir.is_dir() => dir.clone(),
        (Some(file), _) => file.parent().unwrap_or(Path::new(".")).to_owned(),
        (None, Some(out)) => out.clone(),
        (None, None) => default_name(&options),
    };
    if checkpoint.is_none() {
        RunFolder::check(&dir)?;
    }
    let splits = data::load(&options.data, &options.load())?;
    let gpu = args.device.open()?;
    let (mut trainer, folder) = match &checkpoint {
        Some((path, bytes)) => {
            let saved = Saved::read(path, bytes)?;
            let step = saved.run.as_ref().map_or(0, |(_, progress)| progress.step);
            let trainer = Trainer::resume(&gpu, &options, splits, &saved)?;
            let folder = RunFolder::resume(&dir, trainer.options(), step)?;
            (trainer, folder)
        }
        None => {
            let trainer = Trainer::new(&gpu, &options, splits)?;
            let folder = RunFolder::create(&dir, trainer.options())?;
            (trainer, folder)
        }
    };
    let stop = stop_flag();
    let console = Console::new(args.json);
    #[cfg(feature = "watch")]
    let console = {
        let screen = if args.watch { super::watch::Screen::open(&stop) } else { None };
        if screen.is_some() {
            trainer.show_kernels(WATCH_STEPS, WATCH_SECONDS);
        }
        console.with_screen(screen)
    };
    pollster::block_on(follow(&mut trainer, folder, console, &stop))?;
    if args.profile {
        show_timings(&pollster::block_on(trainer.profile())?, args.json)?;
    }
    Ok(())
}

/// Shows and keeps every event until the run is over.
async fn follow(trainer: &mut Trainer, mut folder: RunFolder, mut console: Console, stop: &AtomicBool) -> Result<()> {
    loop {
        if stop.load(Ordering::SeqCst) {
            trainer.stop();
        }
        let event = match trainer.next().await {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            Err(error) => {
                leave(trainer, &mut folder).await;
                console.line(&format!("what there is stands in {}", folder.path().display()));
                return Err(error);
            }
        };
        folder.record(&event)?;
        if let Event::Save { .. } = event {
            folder.save(&trainer.snapshot().await?)?;
        }
        if let Event::Done(summary) = &event {
            folder.finish(trainer, summary)?;
        }
        console.show(&event)?;
        if let Event::Done(summary) = &event {
            let place = folder.path().display();
            if summary.interrupted && stop.load(Ordering::SeqCst) {
                console
                    .line(&format!("interrupted; everything is in {place}; go on with: mexhat train --resume {place}"));
            } else {
                console.line(&format!("everything is in {place}"));
            }
        }
    }
}

/// Leaves a whole run folder behind a failed run, as far as the device still answers. An earlier checkpoint is kept:
/// it is from before the failure.
async fn leave(trainer: &mut Trainer, folder: &mut RunFolder) {
    let kept = match trainer.snapshot().await {
        Ok(snapshot) if !folder.has_checkpoint() => folder.save(&snapshot),
        Ok(_) => Ok(()),
        Err(e) => Err(e),
    };
    let summary = trainer.summary();
    if let Err(e) = kept.and(folder.finish(trainer, &summary)) {
        log::error!("the run folder is not complete: {e}");
    }
}
