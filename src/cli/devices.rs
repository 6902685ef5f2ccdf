//! `mexhat devices`.

use super::{DeviceArgs, note, say, say_json, software_warning};
use crate::gpu::{AdapterSummary, adapters, no_adapter_help};
use crate::{Error, Result};
use clap::Args;

/// Lists adapters.
#[derive(Args)]
#[command(after_help = "Example:\n  mexhat devices\n  mexhat train --device 0")]
pub(super) struct DevicesArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

fn megabytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn describe(adapter: &AdapterSummary) {
    let mark = if adapter.default { "  (default)" } else { "" };
    say(&format!("{}: {}{mark}", adapter.index, adapter.name));
    say(&format!("   backend    {}, {}", adapter.backend, adapter.kind));
    if !adapter.driver.is_empty() {
        say(&format!("   driver     {}", adapter.driver));
    }
    say(&format!(
        "   limits     binding {}, buffer {}, workgroup {} invocations and {} KiB",
        megabytes(adapter.max_binding_bytes),
        megabytes(adapter.max_buffer_bytes),
        adapter.max_workgroup_invocations,
        adapter.max_workgroup_bytes >> 10
    ));
    let subgroup = match adapter.subgroup {
        (0, 0) => String::new(),
        (low, high) if low == high => format!(", subgroups of {low}"),
        (low, high) => format!(", subgroups of {low} to {high}"),
    };
    let features = if adapter.features.is_empty() { "none".to_owned() } else { adapter.features.join(", ") };
    say(&format!("   features   {features}{subgroup}"));
}

pub(super) fn run(args: &DevicesArgs) -> Result<()> {
    let listed = pollster::block_on(adapters());
    if listed.is_empty() {
        return Err(Error::NoAdapter(no_adapter_help()));
    }
    let wanted = args.device.options()?.device;
    for adapter in &listed {
        if args.json { say_json(adapter)? } else { describe(adapter) }
    }
    let software = listed.iter().find(|adapter| adapter.default).and_then(software_warning);
    if let (Some(warning), None) = (software, wanted) {
        note(&warning);
    }
    Ok(())
}
