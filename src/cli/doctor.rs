//! `mexhat doctor`.

use super::output::say_painted;
use super::{DeviceArgs, say, say_json};
use crate::check::OPERATIONS;
use crate::doctor::{Finding, Report, Verdict, examine};
use crate::gpu::Gpu;
use crate::{Error, Result};
use clap::Args;
use std::io::IsTerminal;

/// Checks an adapter.
#[derive(Args)]
#[command(
    after_help = "Every operation runs forward and backward over ordinary and awkward sizes, and is held against a plain one in \
    f64 on the CPU.\nThe exit code is 1 when anything is off.\n\nExamples:\n  mexhat doctor\n  mexhat doctor --device 1\n  \
    mexhat doctor --json > doctor.json"
)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// The whole report as one JSON object
    #[arg(long)]
    json: bool,
}

/// Columns of a check's name.
const NAME: usize = 44;

/// Colours where a person reads.
struct Paint(bool);

impl Paint {
    fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|text| !text.is_empty());
        Self(std::io::stdout().is_terminal() && !plain && std::env::var_os("TERM").is_none_or(|term| term != "dumb"))
    }

    fn with(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn verdict(&self, verdict: Verdict) -> String {
        match verdict {
            Verdict::Ok => self.with("32", "ok   "),
            Verdict::Wrong => self.with("1;31", "WRONG"),
            Verdict::Untried => self.with("2", "-    "),
        }
    }
}

/// Shows checks as they come, each part under its name.
struct Table {
    paint: Paint,
    part: &'static str,
}

impl Table {
    fn head(&self, gpu: &Gpu) {
        let adapter = gpu.adapter();
        say_painted(&format!("{} ({}, {})", self.paint.with("1", &adapter.name), adapter.backend, adapter.kind));
        say(&format!("driver {}; kernels for '{}'", adapter.driver, gpu.profile().name));
    }

    fn show(&mut self, finding: &Finding) {
        if finding.part != self.part {
            self.part = finding.part;
            say_painted(&format!("\n{}", self.paint.with("1", finding.part)));
        }
        let detail = match finding.verdict {
            Verdict::Wrong => finding.detail.clone(),
            _ => self.paint.with("2", &finding.detail),
        };
        say_painted(&format!("  {}  {:<NAME$}  {detail}", self.paint.verdict(finding.verdict), finding.name));
    }

    fn end(&self, report: &Report) {
        let all = report.summary();
        match report.wrong().count() {
            0 => say(&format!(
                "\n{}: this adapter computes what it should ({all})",
                self.paint.with("1;32", "all is well")
            )),
            wrong => {
                let checks = if wrong == 1 { "check" } else { "checks" };
                say_painted(&format!(
                    "\n{} ({all}):",
                    self.paint.with("1;31", &format!("{wrong} {checks} went wrong"))
                ));
                report.wrong().for_each(|finding| say(&format!("  {}: {}", finding.name, finding.detail)));
            }
        }
    }
}

/// What to do about an adapter that is wrong.
fn cure(report: &Report) -> Error {
    let wrong = report.wrong().count();
    Error::Run(format!(
        "do not trust what is trained on '{}': {wrong} of {} checks went wrong. Update its driver and look again; until then take \
         another adapter (`mexhat devices` lists them); and send the output of `mexhat doctor --json` to mexhat's authors",
        report.adapter.name,
        report.tried()
    ))
}

pub(super) fn run(args: &DoctorArgs) -> Result<()> {
    let gpu = Gpu::open_with(args.device.options()?)?;
    let mut table = Table { paint: Paint::new(), part: "" };
    let report = if args.json {
        pollster::block_on(examine(&gpu, OPERATIONS, |_| {}))
    } else {
        table.head(&gpu);
        pollster::block_on(examine(&gpu, OPERATIONS, |finding| table.show(finding)))
    };
    if args.json {
        say_json(&report)?
    } else {
        table.end(&report)
    }
    if report.wrong().next().is_some() { Err(cure(&report)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_fails_the_program() -> Result<()> {
        let adapter = crate::gpu::AdapterSummary {
            index: 0,
            name: "a card".into(),
            backend: "vulkan".into(),
            kind: crate::gpu::AdapterKind::Discrete,
            driver: String::new(),
            max_binding_bytes: 0,
            max_buffer_bytes: 0,
            max_workgroup_invocations: 0,
            max_workgroup_bytes: 0,
            subgroup: (0, 0),
            features: Vec::new(),
            default: true,
        };
        let finding = |verdict| Finding {
            part: "operations",
            name: "relu".into(),
            verdict,
            detail: "element 3".into(),
            worst: (verdict == Verdict::Ok).then_some(0.25),
            kernels: Vec::new(),
        };
        let findings = [Verdict::Ok, Verdict::Untried, Verdict::Wrong].map(finding).to_vec();
        let report = Report { adapter, kernels: "gpu", findings, seconds: 1.0 };
        let error = cure(&report);
        assert_eq!((error.exit_code(), report.tried()), (1, 2));
        let summary = report.summary();
        assert_eq!(
            summary,
            "2 checks, 0 kernels, 1 s; largest error 25 % of what is allowed, by relu; 1 could not be tried, which is no fault"
        );
        assert!(error.to_string().contains("1 of 2 checks") && error.to_string().contains("'a card'"), "{error}");
        Ok(())
    }
}
