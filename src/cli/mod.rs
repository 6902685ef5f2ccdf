//! The `mexhat` program: arguments in, events out. Everything it does is in the library.

// Those macros panic where stdout or stderr cannot be written; `output` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod compare;
mod console;
mod data;
mod devices;
mod doctor;
mod eval;
mod export;
mod inspect;
mod kernels;
mod output;
mod predict;
mod processes;
mod reproduce;
mod signals;
mod timings;
mod train;
#[cfg(feature = "watch")]
mod watch;

use crate::gpu::{AdapterSummary, Gpu};
use crate::{Error, OpenOptions, Result};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use output::{note, say, say_json};
use processes::World;
use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::LazyLock;

#[derive(Parser)]
#[command(
    name = "mexhat",
    version,
    about = "Trains small CNNs with network deconvolution on any GPU",
    after_help = "Examples:\n  mexhat train\n  mexhat train --data mnist --norm batch --epochs 2\n  mexhat devices",
    max_term_width = 110
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the GPU adapters of this machine
    Devices(devices::DevicesArgs),
    /// Check that a GPU computes what it should
    Doctor(doctor::DoctorArgs),
    /// Train a network
    Train(Box<train::TrainArgs>),
    /// Evaluate a trained network on a test split
    Eval(eval::EvalArgs),
    /// Put finished runs side by side
    Compare(compare::CompareArgs),
    /// Say what pictures show
    Predict(predict::PredictArgs),
    /// Write a trained network for other programs: ONNX, or tensors without deconvolution
    Export(export::ExportArgs),
    /// Show what a trained network's deconvolutions do
    Inspect(inspect::InspectArgs),
    /// Show the deconvolution kernels of photographs
    Kernels(kernels::KernelsArgs),
    /// Get public data sets
    Data(data::DataArgs),
    /// Run an experiment of the paper
    Reproduce(reproduce::ReproduceArgs),
    /// Measure speed
    Bench(bench::BenchArgs),
}

/// Which adapter.
#[derive(Args)]
struct DeviceArgs {
    /// Adapter: an index or a part of its name or backend, as `mexhat devices` lists them [env: MEXHAT_DEVICE]
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
}

impl DeviceArgs {
    /// The options of this and of the environment.
    fn options(&self) -> Result<OpenOptions> {
        let options = OpenOptions::of_variables(|name| std::env::var(name).ok())?;
        let device = self.device.clone().filter(|text| !text.is_empty()).or(options.device);
        Ok(OpenOptions { device, ..options })
    }

    /// Opens the adapter, and says so when it computes on the CPU.
    fn open(&self) -> Result<Gpu> {
        self.open_with(self.options()?)
    }

    /// As [`DeviceArgs::open`] for this process of several, each on a GPU of its own as far as there are so many.
    fn open_in(&self, world: &World) -> Result<Gpu> {
        let options = self.options()?;
        let own = || world.device(&pollster::block_on(crate::gpu::adapters()));
        let device = if world.count() == 1 { options.device } else { options.device.or_else(own) };
        let gpu = self.open_with(OpenOptions { device, ..options })?;
        world.join(&gpu)?;
        Ok(gpu)
    }

    fn open_with(&self, options: OpenOptions) -> Result<Gpu> {
        let gpu = Gpu::open_with(options)?;
        if let Some(warning) = software_warning(gpu.adapter()) {
            note(&warning);
        }
        gpu.on_compile(console::compiling());
        Ok(gpu)
    }
}

/// Names of all fields that a flag sets, as the library calls them.
fn flags() -> &'static HashSet<String> {
    static FLAGS: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let mut flags = HashSet::new();
        let mut commands = vec![Cli::command()];
        while let Some(command) = commands.pop() {
            flags.extend(command.get_arguments().filter_map(|arg| Some(arg.get_long()?.replace('-', "_"))));
            commands.extend(command.get_subcommands().cloned());
        }
        flags
    });
    &FLAGS
}

fn software_warning(adapter: &AdapterSummary) -> Option<String> {
    adapter.is_software().then(|| {
        format!(
            "note: '{}' is a software adapter: it computes on the CPU, many times slower than a GPU would. \
             If this machine has a GPU, install its driver; `mexhat devices` lists what is found.",
            adapter.name
        )
    })
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error,wgpu_hal=off")).init();
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(shown) => return usage(&shown),
    };
    // A folder of data sets, each in a folder of its own name.
    if let Some(folder) = std::env::var_os("MEXHAT_DATA").filter(|folder| !folder.is_empty()) {
        crate::data::look_in(folder.into());
    }
    let run = || match Cli::from_arg_matches(&matches).map_err(|e| Error::Usage(e.to_string()))?.command {
        Command::Devices(args) => devices::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Train(args) => train::run(&args, matches.subcommand_matches("train")),
        Command::Eval(args) => eval::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Kernels(args) => kernels::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Reproduce(args) => reproduce::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    match run().and_then(|()| output::finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints what the argument parser has to say: help to stdout, errors to stderr.
fn usage(shown: &clap::Error) -> ExitCode {
    let printed = shown.print();
    if shown.use_stderr() {
        return ExitCode::from(2);
    }
    output::remember(printed);
    match output::finish() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ExitCode::from(error.exit_code()),
    }
}
