//! What the adapter offers, and what is known of it.

use super::{Examination, Finding, Verdict};

const PART: &str = "adapter";

/// Checks, where at most one problem is known.
pub(super) const COUNT: usize = 7;

fn mib(bytes: u64) -> String {
    if bytes >= 1 << 30 {
        format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
    } else {
        format!("{} MiB", bytes >> 20)
    }
}

pub(super) fn examine(examination: &mut Examination<'_>) {
    let adapter = examination.gpu.adapter().clone();
    let known: Vec<_> = adapter.known().collect();
    if known.is_empty() {
        examination.add(Finding::new(PART, "known problems", Verdict::Ok, "none declared"));
    }
    for known in known {
        let verdict = if known.bad { Verdict::Wrong } else { Verdict::Ok };
        examination.add(Finding::new(PART, "known problems", verdict, known.reason));
    }
    // A device is not opened below what kernels need.
    let workgroup = format!(
        "{} invocations and {} KiB shared; 256 and 16 are needed",
        adapter.max_workgroup_invocations,
        adapter.max_workgroup_bytes >> 10
    );
    examination.add(Finding::new(PART, "workgroups", Verdict::Ok, workgroup));
    let buffers =
        format!("{} in one binding, {} in one buffer", mib(adapter.max_binding_bytes), mib(adapter.max_buffer_bytes));
    examination.add(Finding::new(PART, "buffers", Verdict::Ok, buffers));
    let memory = match examination.gpu.room() {
        Some(room) => Finding::new(PART, "memory", Verdict::Ok, format!("{} can be had now", mib(room))),
        None => Finding::new(PART, "memory", Verdict::Untried, "the adapter does not tell how much it has"),
    };
    examination.add(memory);
    let subgroups = match adapter.subgroup {
        (0, 0) => "not offered, and not needed".to_owned(),
        (low, high) if low == high => format!("of {low}"),
        (low, high) => format!("of {low} to {high}"),
    };
    examination.add(Finding::new(PART, "subgroups", Verdict::Ok, subgroups));
    let f16 = match examination.gpu.offers_f16() {
        true => "offered, and not used: arithmetic is f32, and `precision` f16 stores without it",
        false => "not offered, and not needed",
    };
    examination.add(Finding::new(PART, "f16", Verdict::Ok, f16));
    let timestamps = match adapter.features.iter().any(|feature| feature.contains("timestamp")) {
        true => "offered: kernels can be timed one by one",
        false => "not offered: kernels cannot be timed one by one",
    };
    examination.add(Finding::new(PART, "timestamps", Verdict::Ok, timestamps));
}
