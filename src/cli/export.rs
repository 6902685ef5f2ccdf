//! `mexhat export`.

use super::say;
use crate::export::{Onnx, onnx, plain};
use crate::train::{ModelSpec, Saved, model_bytes, read_model, write_whole};
use crate::{Error, Result};
use clap::Args;
use std::path::{Path, PathBuf};

/// Exports.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    mexhat export runs/20260131-120000-lenet-deconv                    model.onnx beside the network\n  \
    mexhat export model.safetensors --out net.onnx --preprocess        takes pixels of 0 to 255\n  \
    mexhat export model.safetensors --out plain.safetensors            the same without deconvolution, under PyTorch's keys")]
pub(super) struct ExportArgs {
    /// A run folder or a .safetensors file
    run: PathBuf,
    /// File to write, .onnx or .safetensors [default: model.onnx beside the network]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Let the ONNX model normalise its images: it takes pixels of 0 to 255
    #[arg(long)]
    preprocess: bool,
}

pub(super) fn run(args: &ExportArgs) -> Result<()> {
    let (path, bytes) = read_model(&args.run)?;
    let saved = Saved::read(&path, &bytes)?;
    let unknown =
        || Error::input(&path, format!("holds a network '{}', which is not known here", saved.spec.net.model));
    let network = saved.spec.network.clone().ok_or_else(unknown)?;
    let mut state = saved.state();
    network.build(&mut state).map_err(|e| saved.unusable(e))?;
    saved.restore_judged(&mut state)?;
    let out = args.out.clone().unwrap_or_else(|| path.with_file_name("model.onnx"));
    let ending = out.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    let bytes = match ending.as_deref() {
        Some("onnx") => {
            let Saved { spec: ModelSpec { normalize, class_names, .. }, .. } = &saved;
            onnx(&network, &state, &Onnx { normalize, preprocess: args.preprocess, class_names })?
        }
        Some("safetensors") if args.preprocess => {
            let what = "--preprocess is for ONNX models: tensors do not compute; leave it out";
            return Err(Error::Usage(what.into()));
        }
        Some("safetensors") => {
            let (network, state) = plain(&network, &state)?;
            model_bytes(&state, &saved.spec.clone().with_network(network))?
        }
        _ => {
            let what = "has no known ending; expected .onnx or .safetensors";
            return Err(Error::input(&out, what));
        }
    };
    same_file(&out, &path)?;
    write_whole(&out, &bytes)
        .map_err(|e| Error::input(&out, format!("cannot be written: {e}; choose another place")))?;
    say(&format!("{} is in {}", network_kind(args, ending.as_deref()), out.display()));
    Ok(())
}

/// Refuses to write over the network that is read.
fn same_file(out: &Path, path: &Path) -> Result<()> {
    let whole = |path: &Path| path.canonicalize().ok();
    if whole(out).is_some_and(|out| whole(path) == Some(out)) {
        return Err(Error::input(out, "is the network itself, which is kept; choose another file"));
    }
    Ok(())
}

fn network_kind(args: &ExportArgs, ending: Option<&str>) -> &'static str {
    match (ending, args.preprocess) {
        (Some("onnx"), true) => "the network as ONNX, for pixels of 0 to 255,",
        (Some("onnx"), false) => "the network as ONNX, for images normalised as its metadata says,",
        _ => "the network without deconvolution",
    }
}
