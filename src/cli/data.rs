//! `mexhat data`.

use super::{say, say_json};
use crate::Result;
use crate::data::fetch;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct DataArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Download a public data set, checked and resumable
    Fetch(FetchArgs),
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  mexhat data fetch mnist\n  mexhat data fetch cifar10\n  mexhat data fetch mnist --out web/dist/data"
)]
struct FetchArgs {
    /// Data set: mnist, fashion-mnist, cifar10 or cifar100
    name: String,
    /// Folder for the files [default: where `--data NAME` looks for them]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Folder of another web server with the same files
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &DataArgs) -> Result<()> {
    let What::Fetch(args) = &args.what;
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None => fetch::default_folder(&args.name)?,
    };
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::no_length() };
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}") {
        bar.set_style(style);
    }
    fetch::fetch(&args.name, args.from.as_deref(), &folder, |file, done, total| {
        bar.set_message(file.to_owned());
        bar.set_length(total.unwrap_or(done));
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    if args.json {
        return say_json(&serde_json::json!({ "data": args.name, "folder": folder }));
    }
    say(&format!("{} is in {}", args.name, folder.display()));
    Ok(())
}
