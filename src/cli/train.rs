//! `mexhat train`.

use super::DeviceArgs;
use super::console::Console;
use super::output::{Side, keep_quiet, say_table};
use super::processes::World;
use super::signals::stop_flag;
use super::timings::show_timings;
use super::{note, say, say_json};
use crate::models::{ModelOptions, NetworkFile};
use crate::plural::count;
use crate::train::{EarlierRun, Event, FREE, OptimizerKind, Options, Progress, RunFolder, Trainer, summarize};
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
    /// Go on with an earlier run, exactly where its checkpoint stands; only its length and the place of its data may be
    /// changed
    #[arg(long, value_name = "DIR", conflicts_with = "out", help_heading = "Run")]
    resume: Option<PathBuf>,
    /// Show layers, shapes, parameters, flops and memory, and train nothing
    #[arg(long, conflicts_with_all = ["resume", "out"], help_heading = "Run")]
    summary: bool,
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

/// What may be given along with `--resume` beside [`FREE`], as it is of this process and not of the run.
const OWN: [&str; 5] = ["resume", "profile", "device", "json", "watch"];

/// Whether the user wrote this option.
fn given(matches: Option<&ArgMatches>, id: &str) -> bool {
    matches.is_some_and(|matches| matches.value_source(id) == Some(ValueSource::CommandLine))
}

/// Refuses an option that was given along with `--resume` although the earlier run has settled it.
fn settled_option(matches: Option<&ArgMatches>) -> Result<()> {
    let settled = |id: &&clap::Id| {
        // Groups of flattened structs are listed beside their members.
        id.as_str().starts_with(|c: char| c.is_lowercase())
            && !FREE.contains(&id.as_str())
            && !OWN.contains(&id.as_str())
    };
    let ids = matches.iter().flat_map(|matches| matches.ids());
    let Some(id) = ids.filter(|id| given(matches, id.as_str())).find(settled) else { return Ok(()) };
    let option = |id: &str| format!("--{}", id.replace('_', "-"));
    Err(Error::Usage(format!(
        "{} cannot be changed in a run that goes on; with --resume only {} may be given",
        option(id.as_str()),
        FREE.iter().chain(&OWN[1..]).map(|id| option(id)).collect::<Vec<_>>().join(", ")
    )))
}

/// A run that is ready to step, and where the first process keeps it.
type Ready = (Trainer, Option<RunFolder>);

/// The whole path of data that is no name of a set, so that the run finds it again from anywhere.
fn whole_path(data: &str) -> String {
    if data::NAMES.contains(&data) || !Path::new(data).exists() {
        return data.to_owned();
    }
    std::path::absolute(data).map_or_else(|_| data.to_owned(), |path| path.display().to_string())
}

/// What is asked for, checked, and its data. A network in a file is read before the data, whose images it is then made
/// for.
fn asked(args: &TrainArgs, matches: Option<&ArgMatches>, world: &World) -> Result<(Options, data::Splits)> {
    let mut options = Options { processes: world.count(), ..args.options.clone() };
    let file =
        if NetworkFile::is_one(&options.net.model) { Some(NetworkFile::read(&options.net.model)?) } else { None };
    let settled = file.iter().flat_map(NetworkFile::settles).find(|id| given(matches, id));
    if let Some(id) = settled {
        let (option, file) = (id.replace('_', "-"), &options.net.model);
        let what = format!("--{option} is given, but {file} settles that for itself; leave one of them out");
        return Err(Error::Usage(what));
    }
    let model = |options: &Options, input, classes| match &file {
        Some(file) => file.network(&options.net.model_options(input, classes, options.seed)).map(Some),
        None => Ok(None),
    };
    let ModelOptions { input, classes, .. } = ModelOptions::default();
    options.network = model(&options, file.as_ref().and_then(NetworkFile::input).unwrap_or(input), classes)?;
    if given(matches, "momentum") && options.optimizer != OptimizerKind::Sgd {
        let what = format!("--momentum is for --optimizer sgd; {} has its own; leave it out", options.optimizer);
        return Err(Error::Usage(what));
    }
    options.validate()?;
    options.data = whole_path(&options.data);
    let splits = data::load(&options.data, &options.load())?;
    options.network = model(&options, splits.train.shape, splits.train.classes())?;
    Ok((options, splits))
}

/// Shows the network in place of training it.
fn summary(args: &TrainArgs, matches: Option<&ArgMatches>, world: &World) -> Result<()> {
    let (options, splits) = asked(args, matches, world)?;
    let found = summarize(&args.device.open()?, &options, &splits)?;
    if args.json {
        return say_json(&found);
    }
    let shape = |sides: &[usize]| sides.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
    let mut rows = vec![["layer", "output", "parameters", "MFLOPs"].map(String::from).to_vec()];
    rows.extend(found.layers.iter().map(|layer| {
        let flops = format!("{:.3}", layer.flops as f64 * 1e-6);
        vec![layer.name.clone(), shape(&layer.output), layer.parameters.to_string(), flops]
    }));
    say_table(rows.iter(), Side::Right);
    say(&format!(
        "{} with norm {} for images of {}: {}, {:.1} MFLOPs for an image in the forward pass{}",
        found.model,
        found.norm,
        shape(&found.input),
        count(found.parameters, "parameter"),
        found.flops as f64 * 1e-6,
        if found.norm == "deconv" { ", whitening not counted" } else { "" }
    ));
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    let memory = found.memory;
    say(&format!(
        "{:.1} MiB of GPU memory in batches of {}: parameters {:.1}, running statistics {:.1}, moments {:.1}, activations and \
         gradients {:.1}, transfers {:.1}",
        mib(memory.total()),
        found.batch_size,
        mib(memory.parameters),
        mib(memory.buffers),
        mib(memory.moments),
        mib(memory.activations),
        mib(memory.transfers)
    ));
    Ok(())
}

/// A new run. Its folder is claimed before the long work begins, and given back when that fails.
fn begin(args: &TrainArgs, matches: Option<&ArgMatches>, world: &World) -> Result<Ready> {
    if !world.is_first() {
        let (options, splits) = asked(args, matches, world)?;
        return Ok((Trainer::new(&args.device.open_in(world)?, &options, splits)?, None));
    }
    if let Some(out) = &args.out {
        RunFolder::check(out)?;
    }
    let (options, splits) = asked(args, matches, world)?;
    let folder = RunFolder::create(args.out.as_deref(), &options)?;
    let ready = args.device.open_in(world).and_then(|gpu| Trainer::new(&gpu, &options, splits));
    match ready.and_then(|trainer| folder.keep_data(&trainer).map(|()| trainer)) {
        Ok(trainer) => Ok((trainer, Some(folder))),
        Err(error) => {
            folder.abandon();
            Err(error)
        }
    }
}

/// An earlier run from its last whole checkpoint; `None` when nothing is left to do.
fn go_on(args: &TrainArgs, path: &Path, matches: Option<&ArgMatches>, world: &World) -> Result<Option<Ready>> {
    let earlier = if world.is_first() { EarlierRun::open(path)? } else { EarlierRun::read(path)? };
    earlier.notes.iter().for_each(|text| note(&format!("note: {text}")));
    let saved = earlier.saved()?;
    let run = saved.as_ref().and_then(|saved| saved.run.clone());
    let mut options = match &run {
        Some(run) => match run.go_on(args.options.epochs, args.options.steps) {
            Some(options) => options,
            None if run.stopped_early() => {
                note(&format!(
                    "the run in {} stopped early after epoch {}, because the last epochs were no better than its best, so nothing is \
                     left to do",
                    earlier.path().display(),
                    run.progress.epoch
                ));
                return Ok(None);
            }
            None => {
                let why = nothing_left(&run.progress, args.options.epochs, args.options.steps);
                note(&format!("the run in {} {why}", earlier.path().display()));
                return Ok(None);
            }
        },
        None => {
            let options = earlier.options()?;
            let (epochs, steps) = (args.options.epochs.or(options.epochs), args.options.steps.or(options.steps));
            Options { epochs, steps, ..options }
        }
    };
    if given(matches, "checkpoint_every") {
        options.checkpoint_every = args.options.checkpoint_every;
    }
    options.check_numbers = args.options.check_numbers;
    if given(matches, "data") {
        options.data = whole_path(&args.options.data);
    }
    options.validate()?;
    let splits = data::load(&options.data, &options.load())?;
    let gpu = args.device.open_in(world)?;
    let trainer = match &saved {
        Some(saved) => Trainer::resume(&gpu, &options, splits, saved)?,
        None => Trainer::new(&gpu, &options, splits)?,
    };
    drop(saved);
    if !world.is_first() {
        return Ok(Some((trainer, None)));
    }
    let folder = RunFolder::resume(earlier, &options, run.map_or(0, |run| run.progress.step))?;
    folder.notes().iter().for_each(|text| note(&format!("note: {text}")));
    Ok(Some((trainer, Some(folder))))
}

/// Why a run that is asked for so many epochs or steps in all has nothing to do.
fn nothing_left(done: &Progress, epochs: Option<u64>, steps: Option<u64>) -> String {
    let found = format!("{} ({})", count(done.step, "step"), count(done.epoch, "whole epoch"));
    match (epochs, steps) {
        (_, Some(steps)) if steps <= done.step => {
            let least = done.step + 1;
            format!("has done {found}, so --steps {steps} leaves nothing to do; to go on, give {least} or more")
        }
        (Some(epochs), _) => {
            let least = done.epoch + 1;
            format!("has done {found}, so --epochs {epochs} leaves nothing to do; to go on, give {least} or more")
        }
        (None, Some(steps)) => format!(
            "has done {found}, which are all its epochs, so --steps {steps} alone leaves nothing to do; to go on, give \
             --epochs, too"
        ),
        (None, None) => format!(
            "has done {found}, all that it was to have, so nothing is left to do; to go on, give more --epochs or --steps"
        ),
    }
}

pub(super) fn run(args: &TrainArgs, matches: Option<&ArgMatches>) -> Result<()> {
    let world = World::begin()?;
    if !world.is_first() {
        keep_quiet();
    }
    world.end(run_in(args, matches, &world))
}

fn run_in(args: &TrainArgs, matches: Option<&ArgMatches>, world: &World) -> Result<()> {
    // What does not fit is found where the file is no longer at hand.
    let locate = |error| match NetworkFile::read(&args.options.net.model) {
        Ok(file) if NetworkFile::is_one(&args.options.net.model) => file.locate(error),
        _ => error,
    };
    if args.summary {
        return summary(args, matches, world).map_err(locate);
    }
    let ready = match &args.resume {
        Some(path) => {
            settled_option(matches)?;
            go_on(args, path, matches, world)?
        }
        None => Some(begin(args, matches, world).map_err(locate)?),
    };
    let Some((mut trainer, folder)) = ready else { return Ok(()) };
    let stop = stop_flag();
    let Some(mut folder) = folder else { return pollster::block_on(train_along(&mut trainer, &stop)) };
    let console = Console::new(args.json);
    #[cfg(feature = "watch")]
    let console = {
        let screen = if args.watch { super::watch::Screen::open(&stop) } else { None };
        if screen.is_some() {
            trainer.show_kernels(WATCH_STEPS, WATCH_SECONDS);
        }
        console.with_screen(screen)
    };
    pollster::block_on(follow(&mut trainer, &mut folder, console, &stop))?;
    let summary = trainer.summary();
    if let Some(report) = world.report(summary.train_seconds, summary.steps) {
        note(&report);
    }
    if args.profile {
        show_timings(&pollster::block_on(trainer.profile())?, args.json)?;
    }
    Ok(())
}

/// Trains along with the first process, which tells and keeps what happens.
async fn train_along(trainer: &mut Trainer, stop: &AtomicBool) -> Result<()> {
    loop {
        if stop.load(Ordering::SeqCst) {
            trainer.stop();
        }
        if trainer.next().await?.is_none() {
            return Ok(());
        }
    }
}

/// Shows and keeps every event until the run is over; a run that fails leaves a folder that tells how far it came.
async fn follow(trainer: &mut Trainer, folder: &mut RunFolder, mut console: Console, stop: &AtomicBool) -> Result<()> {
    let ended = until_done(trainer, folder, &mut console, stop).await;
    if ended.is_err() {
        if matches!(ended, Err(Error::DeviceLost(_)))
            && let Ok(kept) = trainer.snapshot().await
            && folder.saved() != Some(kept.step)
            && let Err(e) = folder.save(&kept)
        {
            console.warn(&format!("the last good state could not be kept: {e}"));
        }
        let summary = trainer.summary();
        if let Err(e) = folder.finish(trainer, &summary) {
            console.warn(&format!("the run folder is not complete: {e}"));
        }
        let place = folder.path().display();
        console.warn(&match folder.saved() {
            Some(step) if matches!(ended, Err(Error::DeviceLost(_))) => {
                format!(
                    "the last good state, of step {step}, is kept in {place}; go on with: mexhat train --resume {place}"
                )
            }
            Some(step) => format!("the last good state, of step {step}, is kept in {place}"),
            None => format!("what there is stands in {place}"),
        });
    }
    ended
}

async fn until_done(
    trainer: &mut Trainer,
    folder: &mut RunFolder,
    console: &mut Console,
    stop: &AtomicBool,
) -> Result<()> {
    // From here on there is something to go on from, whatever happens.
    if folder.saved().is_none() {
        folder.save(&trainer.snapshot().await?)?;
    }
    loop {
        if stop.load(Ordering::SeqCst) {
            trainer.stop();
        }
        let Some(event) = trainer.next().await? else { return Ok(()) };
        folder.record(&event)?;
        if let Event::Save { .. } = event {
            folder.save(&trainer.snapshot().await?)?;
        }
        if let Event::Best(_) = event {
            folder.save_best(&trainer.snapshot().await?)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_of_a_finished_run_is_held_against_what_was_found() {
        let done = Progress { step: 136, epoch: 2, ..Progress::default() };
        let said = |epochs, steps| nothing_left(&done, epochs, steps);
        assert!(said(None, Some(1)).starts_with("has done 136 steps (2 whole epochs), so --steps 1 leaves nothing"));
        assert!(said(None, Some(1)).ends_with("give 137 or more"));
        assert!(said(Some(1), None).contains("so --epochs 1 leaves nothing to do; to go on, give 3 or more"));
        assert!(said(Some(1), Some(200)).contains("--epochs 1"));
        assert!(said(None, Some(200)).contains("all its epochs, so --steps 200 alone"));
        assert!(said(None, None).contains("all that it was to have"));
        let one = Progress { step: 1, ..Progress::default() };
        assert!(nothing_left(&one, None, Some(1)).starts_with("has done 1 step (0 whole epochs)"));
    }
}
